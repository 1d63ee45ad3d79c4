//! Hash tables as flat arrays: for each table, the ids ordered by bucket, and where buckets start.
//!
//! A table is built from the stored codes by counting sort. Tables are built in parallel, a few
//! by each task, so that the codes of a row (which lie side by side) are read together.

use rayon::prelude::*;

use crate::rows::{SHARDS, Stripes};

/// Tables that one task builds together: their codes of a row fill one cache line.
const GROUP: usize = 32;

/// `n_tables` tables over the rows of a layer.
#[derive(Clone, Debug)]
pub struct HashTables {
    stripes: Stripes,
    n_tables: usize,
    n_buckets: usize,
    codes: Vec<u16>,
    starts: Vec<u32>,
    ids: Vec<u32>,
}

impl HashTables {
    /// Tables for codes of `n_hashes` bits, empty until they are built.
    #[must_use]
    pub fn new(stripes: Stripes, n_tables: usize, n_hashes: usize) -> Self {
        let n_buckets = 1 << n_hashes;
        Self {
            stripes,
            n_tables,
            n_buckets,
            codes: vec![0; stripes.slots() * n_tables],
            starts: vec![0; n_tables * (n_buckets + 1)],
            ids: vec![0; n_tables * stripes.rows()],
        }
    }

    /// The codes of every shard's slots, `n_tables` a slot, to be written by one task each.
    #[must_use]
    pub fn codes_mut(&mut self) -> [&mut [u16]; SHARDS] {
        let codes = self.stripes.per_shard() * self.n_tables;
        let mut rest = &mut self.codes[..];
        std::array::from_fn(|_| rest.split_off_mut(..codes).unwrap_or_default())
    }

    /// Sorts all ids into their buckets.
    pub fn build(&mut self) {
        let Self { stripes, n_tables, n_buckets, codes, starts, ids } = self;
        let groups = starts
            .par_chunks_mut(GROUP * (*n_buckets + 1))
            .zip(ids.par_chunks_mut(GROUP * stripes.rows()));
        groups.enumerate().for_each(|(group, (starts, ids))| {
            let first = group * GROUP;
            let rows = || slots(*stripes, codes, *n_tables, first);
            build_group((starts, *n_buckets), (ids, stripes.rows()), rows);
        });
    }

    /// The ids of one bucket.
    #[must_use]
    #[inline]
    pub fn bucket(&self, table: usize, code: u16) -> &[u32] {
        let at = table * (self.n_buckets + 1) + code as usize;
        let (start, end) = (self.starts[at] as usize, self.starts[at + 1] as usize);
        let first = table * self.stripes.rows();
        &self.ids[first + start..first + end]
    }

    /// Number of tables.
    #[must_use]
    pub const fn n_tables(&self) -> usize {
        self.n_tables
    }
}

/// Every id with its codes in the tables from `first` on.
fn slots(
    stripes: Stripes,
    codes: &[u16],
    n_tables: usize,
    first: usize,
) -> impl Iterator<Item = (u32, &[u16])> {
    let last = (first + GROUP).min(n_tables);
    (0..SHARDS).flat_map(move |shard| {
        let codes = &codes[shard * stripes.per_shard() * n_tables..];
        let rows = codes.chunks_exact(n_tables).take(stripes.len(shard)).enumerate();
        rows.map(move |(local, codes)| ((local * SHARDS + shard) as u32, &codes[first..last]))
    })
}

/// Counting sort of the same rows into several tables.
fn build_group<'a, I: Iterator<Item = (u32, &'a [u16])>>(
    (starts, n_buckets): (&mut [u32], usize),
    (ids, n_rows): (&mut [u32], usize),
    rows: impl Fn() -> I,
) {
    starts.fill(0);
    for (_, codes) in rows() {
        for (starts, &code) in starts.chunks_mut(n_buckets + 1).zip(codes) {
            starts[code as usize + 1] += 1;
        }
    }
    for starts in starts.chunks_mut(n_buckets + 1) {
        let mut total = 0;
        for start in starts {
            total += *start;
            *start = total;
        }
    }
    // The starts serve as cursors, which leaves each at the start of the next bucket ...
    for (id, codes) in rows() {
        let tables = starts.chunks_mut(n_buckets + 1).zip(ids.chunks_mut(n_rows));
        for ((starts, ids), &code) in tables.zip(codes) {
            let at = &mut starts[code as usize];
            ids[*at as usize] = id;
            *at += 1;
        }
    }
    // ... so they move back by one place.
    for starts in starts.chunks_mut(n_buckets + 1) {
        starts.copy_within(0..n_buckets, 1);
        starts[0] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};

    #[test]
    fn every_id_is_in_the_bucket_of_its_code_and_nowhere_else() {
        for (rows, n_tables, n_hashes) in [(1, 1, 1), (200, 3, 4), (1000, 70, 6)] {
            let stripes = Stripes::new(rows);
            let mut tables = HashTables::new(stripes, n_tables, n_hashes);
            let mut rng = Rng::new(0, Stream::Probe, rows as u64, 0);
            for codes in tables.codes_mut() {
                codes.fill_with(|| rng.below(1 << n_hashes) as u16);
            }
            tables.build();
            for table in 0..n_tables {
                let mut seen = vec![0; rows];
                for code in 0..1 << n_hashes {
                    for &id in tables.bucket(table, code) {
                        let at = stripes.slot(id) as usize * n_tables + table;
                        assert_eq!(tables.codes[at], code);
                        seen[id as usize] += 1;
                    }
                }
                assert!(seen.iter().all(|&n| n == 1));
            }
        }
    }
}
