//! Hash tables as flat arrays: for each table, the ids ordered by bucket, and where buckets start.
//!
//! A table is built from the stored codes by counting sort. Tables are built in parallel, each by
//! one task. All rows stand in the arrays whatever the cap of a bucket: of a bucket that holds more,
//! the ids that count stand first (a reservoir) or last (first in, first out), and only those are handed out.

mod codes;
mod overlay;
mod sort;
mod stats;

use rayon::prelude::*;

use crate::config::{BucketPolicy, TablesConfig};
use crate::rng::{Rng, Stream};
use crate::rows::{Lines, SHARDS, Stripes};

use codes::Codes;
use overlay::Overlay;

pub use codes::ShardCodes;
pub use stats::TableStats;

/// Which ids count in a bucket that holds many. A build inserts the rows in the order they have in
/// memory, so that of a queue the last ones in that order are kept until others are inserted.
#[derive(Clone, Copy, Debug)]
pub struct Cap {
    /// The most ids that count.
    pub size: usize,
    /// Which.
    pub policy: BucketPolicy,
    /// What a reservoir is a function of, with the numbers of table and bucket.
    pub seed: u64,
}

impl Cap {
    /// All ids count.
    pub const NONE: Self = Self { size: usize::MAX, policy: BucketPolicy::Window, seed: 0 };

    /// What `config` says, whose values must be filled in.
    #[must_use]
    pub fn new(config: &TablesConfig) -> Self {
        let size = config.bucket_size.unwrap_or(usize::MAX);
        Self { size, policy: config.bucket_policy, seed: config.seed.unwrap_or(0) }
    }

    /// The ids of a bucket that count.
    #[inline]
    fn kept(self, ids: &[u32]) -> &[u32] {
        match self.policy {
            BucketPolicy::Window => ids,
            BucketPolicy::Reservoir => &ids[..ids.len().min(self.size)],
            BucketPolicy::Fifo => &ids[ids.len().saturating_sub(self.size)..],
        }
    }

    /// Brings the ids that count to their places in a bucket that was just filled, in the order
    /// of the rows in memory.
    ///
    /// A reservoir is drawn as the first places of a random order (Fisher and Yates), so each of n
    /// ids is kept with probability size / n. All ids stand in an array, so no pass over a stream
    /// (Vitter's algorithm R) is needed.
    fn settle(self, table: usize, code: usize, ids: &mut [u32]) {
        if self.policy == BucketPolicy::Reservoir && ids.len() > self.size {
            let mut rng = Rng::new(self.seed, Stream::Reservoir, table as u64, code as u64);
            for i in 0..self.size {
                ids.swap(i, i + rng.below((ids.len() - i) as u32) as usize);
            }
        }
    }
}

/// `n_tables` tables over the rows of a layer.
#[derive(Clone, Debug)]
pub struct HashTables {
    stripes: Stripes,
    n_tables: usize,
    n_buckets: usize,
    cap: Cap,
    codes: Codes,
    starts: Vec<u32>,
    ids: Lines<'static>,
    /// Rows that no table shall hold, by slot.
    removed: Vec<bool>,
    overlay: Overlay,
}

impl HashTables {
    /// Tables for codes of `bits` bits, empty until they are built.
    #[must_use]
    pub fn new(stripes: Stripes, n_tables: usize, bits: usize) -> Self {
        let n_buckets = 1 << bits;
        Self {
            stripes,
            n_tables,
            n_buckets,
            cap: Cap::NONE,
            codes: Codes::new(stripes, n_tables),
            starts: vec![0; n_tables * (n_buckets + 1)],
            ids: Lines::of_words(n_tables * stripes.rows()),
            removed: vec![false; stripes.slots()],
            overlay: Overlay::new(n_tables),
        }
    }

    /// The same tables with a cap on their buckets, from the next build on.
    #[must_use]
    pub fn capped(mut self, cap: Cap) -> Self {
        self.cap = cap;
        self
    }

    /// The codes of every shard's rows, to be written by one task each. The tables hold the rows by
    /// their old codes until they are built.
    #[must_use]
    pub fn codes_mut(&mut self) -> [ShardCodes<'_>; SHARDS] {
        self.overlay.waiting = true;
        self.codes.shards_mut()
    }

    /// Takes over the codes of another layer's rows, and which of them were removed: row `id` those
    /// of row `sources[id]`, where that names one. Both have the same functions. The tables are as
    /// before until they are built.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn take_over(&mut self, other: &Self, sources: &[Option<u32>]) {
        self.overlay.waiting = true;
        let stripes = self.stripes;
        self.codes.take_over(&other.codes, sources);
        for (id, source) in (0..).zip(sources) {
            let removed = source.is_some_and(|old| other.removed[other.stripes.slot(old) as usize]);
            self.removed[stripes.slot(id) as usize] = removed;
        }
    }

    /// Whether codes wait for a build.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        self.overlay.waiting
    }

    /// The codes by which row `id` was inserted, one a table.
    pub fn codes_of(&self, id: u32) -> impl Iterator<Item = u16> {
        self.codes.of(id)
    }

    /// The codes in one table by which the rows were inserted, in the order of their ids.
    pub fn codes_in(&self, table: usize) -> impl Iterator<Item = u16> {
        self.codes.in_table(table)
    }

    /// Takes the codes of every table, rows in the order of their ids, and builds.
    pub(super) fn assign(&mut self, codes: &[u16]) {
        self.codes.assign(codes);
        self.build();
    }

    /// Sorts all ids into their buckets, but those that were removed.
    pub fn build(&mut self) {
        let Self { stripes, n_buckets, cap, codes, starts, ids, removed, overlay, .. } = self;
        overlay.clear();
        let removed = if removed.contains(&true) { &removed[..] } else { &[] };
        let ids = ids.as_mut_words().par_chunks_mut(stripes.rows());
        let tables = starts.par_chunks_mut(*n_buckets + 1).zip(ids);
        tables.enumerate().for_each(|(table, (starts, ids))| {
            sort::sort((codes, table), (*stripes, removed), starts, ids);
            if cap.policy == BucketPolicy::Reservoir {
                for (code, &[start, end]) in starts.array_windows().enumerate() {
                    cap.settle(table, code, &mut ids[start as usize..end as usize]);
                }
            }
        });
    }

    /// The ids of one bucket that count; with [`BucketPolicy::Window`] all of them, and a reader
    /// takes a part.
    #[must_use]
    #[inline]
    pub fn bucket(&self, table: usize, code: u16) -> &[u32] {
        self.cap.kept(self.whole(table, code))
    }

    /// Ids in one bucket, whether they count or not.
    #[must_use]
    #[inline]
    pub fn occupancy(&self, table: usize, code: u16) -> usize {
        self.whole(table, code).len()
    }

    /// Ids that count in a bucket; no more than there are.
    #[must_use]
    pub fn cap(&self) -> usize {
        self.cap.size.min(self.rows())
    }

    /// Number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.stripes.rows()
    }

    /// Number of tables.
    #[must_use]
    pub const fn n_tables(&self) -> usize {
        self.n_tables
    }

    /// Number of buckets of a table.
    #[must_use]
    pub const fn n_buckets(&self) -> usize {
        self.n_buckets
    }

    /// All ids of a bucket.
    #[inline]
    fn whole(&self, table: usize, code: u16) -> &[u32] {
        match self.overlay.changed(table, code) {
            Some(ids) => ids,
            None => self.built(table, code),
        }
    }

    /// The ids of a bucket as it was built.
    #[inline]
    fn built(&self, table: usize, code: u16) -> &[u32] {
        let at = table * (self.n_buckets + 1) + code as usize;
        let (start, end) = (self.starts[at] as usize, self.starts[at + 1] as usize);
        let first = table * self.stripes.rows();
        &self.ids.as_words()[first + start..first + end]
    }
}

#[cfg(test)]
mod tests;
