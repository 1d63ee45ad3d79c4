//! Who contributed to each row of a layer in one batch: the transpose of the samples' active sets.
//!
//! It is made in two steps, both in parallel and neither dependent on the number of rows of the
//! layer: a task that worked on some samples sorts its edges by shard ([`Edges::group`]); then
//! the task that owns a shard collects them from all tasks in order and sorts them by row
//! ([`Touched::gather`]). Within a row the blocks of samples keep their order, and so do the samples
//! of a block, those of a bundle behind the others; so sums are reproducible.

mod edges;

pub use edges::Edges;

/// Items that are cheap to have room for: in a layer of few rows, one neuron that comes to be active
/// in every sample may double the edges of its shard.
const LEAST: usize = 1024;

/// Room for `needed` items, with as much again to spare when it has to be found: active sets
/// change a little from step to step, and steps should not allocate.
pub(crate) fn make_room<T>(items: &mut Vec<T>, needed: usize) -> &mut Vec<T> {
    if items.capacity() < needed {
        items.reserve(2 * needed + LEAST - items.len());
    }
    items
}

/// The edges of one shard, row after row.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    keys: Vec<u64>,
    spare: Vec<u64>,
    /// What came from a part, an edge or a bundle: its first sample, and where its coefficients
    /// start; they end where those of the next start.
    items: Vec<(u32, u32)>,
    /// The coefficients in the order of the items.
    coming: Vec<f32>,
    /// The row of each touched row, and where its edges end.
    rows: Vec<(u32, u32)>,
    samples: Vec<u32>,
    coefs: Vec<f32>,
}

/// Bits of a digit at most: its counts stay in the first-level cache.
const DIGIT_BITS: u32 = 11;

/// Keys below which comparing them is faster than counting digits.
const FEW: usize = 256;

impl Touched {
    /// Collects the edges of `shard` from `parts`, in their order, and sorts them by row.
    pub fn gather<'a>(&mut self, shard: usize, parts: impl Iterator<Item = &'a Edges> + Clone) {
        let (mut items, mut coefs) = (0, 0);
        for part in parts.clone() {
            let (edges, bundles) = (part.shard(shard).0.len(), part.bundles(shard));
            items += edges + bundles.locals.len();
            coefs += edges + bundles.coefs.len();
        }
        make_room(&mut self.keys, items).clear();
        make_room(&mut self.items, items + 1).clear();
        make_room(&mut self.coming, coefs).clear();
        for part in parts {
            let (locals, samples, coefs) = part.shard(shard);
            self.add_keys(locals);
            let starts = self.coming.len() as u32..;
            self.items.extend(samples.iter().copied().zip(starts));
            self.coming.extend_from_slice(coefs);
            let bundles = part.bundles(shard);
            self.add_keys(bundles.locals);
            let starts = (self.coming.len() as u32..).step_by(bundles.n.max(1));
            self.items
                .extend(starts.take(bundles.locals.len()).map(|start| (bundles.first, start)));
            self.coming.extend_from_slice(bundles.coefs);
        }
        self.items.push((0, self.coming.len() as u32));
        self.sort_keys();
        self.permute();
    }

    fn add_keys(&mut self, locals: &[u32]) {
        let items = self.keys.len() as u64..;
        self.keys.extend(locals.iter().zip(items).map(|(&local, at)| u64::from(local) << 32 | at));
    }

    /// A key is (row, item), so any sort of the keys is a stable sort of the rows.
    fn sort_keys(&mut self) {
        // Before it is needed: that depends on the step.
        make_room(&mut self.spare, self.keys.len());
        if self.keys.len() < FEW {
            self.keys.sort_unstable();
            return;
        }
        let largest = self.keys.iter().fold(0, |max, &key| max.max(key >> 32));
        let bits = u64::BITS - largest.leading_zeros();
        // As many digits as it takes, all as short as that allows.
        let digits = bits.div_ceil(DIGIT_BITS);
        let digit_bits = bits.div_ceil(digits.max(1));
        self.spare.resize(self.keys.len(), 0);
        for digit in 0..digits {
            let of = |key: u64| (key >> (32 + digit * digit_bits)) as usize % (1 << digit_bits);
            let mut next = [0_u32; 1 << DIGIT_BITS];
            let next = &mut next[..1 << digit_bits];
            for &key in &self.keys {
                next[of(key)] += 1;
            }
            let mut total = 0;
            for next in &mut *next {
                total += std::mem::replace(next, total);
            }
            for &key in &self.keys {
                let at = &mut next[of(key)];
                self.spare[*at as usize] = key;
                *at += 1;
            }
            std::mem::swap(&mut self.keys, &mut self.spare);
        }
    }

    /// Writes all edges in the order of the keys, bundles sample by sample.
    fn permute(&mut self) {
        let Self { keys, items, coming, rows, samples, coefs, .. } = self;
        make_room(rows, keys.len()).clear();
        make_room(samples, coming.len()).clear();
        make_room(coefs, coming.len()).clear();
        for &key in &*keys {
            let (local, item) = ((key >> 32) as u32, key as u32 as usize);
            let ((sample, start), (_, end)) = (items[item], items[item + 1]);
            if end - start == 1 {
                samples.push(sample);
                coefs.push(coming[start as usize]);
            } else {
                samples.extend(sample..sample + (end - start));
                coefs.extend_from_slice(&coming[start as usize..end as usize]);
            }
            let end = samples.len() as u32;
            match rows.last_mut() {
                Some(last) if last.0 == local => last.1 = end,
                _ => rows.push((local, end)),
            }
        }
    }

    /// Whether no row was touched.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Each touched row's place in the shard, with its samples and coefficients.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[u32], &[f32])> {
        let mut start = 0;
        self.rows.iter().map(move |&(local, end)| {
            let range = start..end as usize;
            start = range.end;
            (local as usize, &self.samples[range.clone()], &self.coefs[range])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};
    use crate::rows::{SHARDS, Stripes};

    /// Transposes random active sets in blocks and compares with sorting them at once.
    fn check(stripes: Stripes, samples: u32, per_sample: u32) {
        let rows = stripes.rows() as u32;
        let mut rng = Rng::new(1, Stream::Probe, u64::from(rows), u64::from(per_sample));
        let lists: Vec<(u32, Vec<u32>, Vec<f32>)> = (0..samples)
            .map(|sample| {
                let ids: Vec<u32> = (0..per_sample).map(|_| rng.below(rows)).collect();
                let coefs = ids.iter().map(|_| rng.uniform()).collect();
                (sample, ids, coefs)
            })
            .collect();
        let blocks: Vec<Edges> = lists
            .chunks(3)
            .map(|block| {
                let mut edges = Edges::default();
                edges
                    .group(stripes, block.iter().map(|(s, ids, coefs)| (*s, &ids[..], &coefs[..])));
                edges
            })
            .collect();
        let mut wanted: Vec<(u32, u32, f32)> = lists
            .iter()
            .flat_map(|(s, ids, coefs)| ids.iter().zip(coefs).map(|(&id, &coef)| (id, *s, coef)))
            .collect();
        wanted.sort_by_key(|&(id, sample, _)| (stripes.split(id), sample));
        let mut got = vec![];
        for shard in 0..SHARDS {
            let mut touched = Touched::default();
            touched.gather(shard, blocks.iter());
            for (local, sources, coefs) in touched.iter() {
                let id = stripes.id(shard, local).unwrap();
                got.extend(sources.iter().zip(coefs).map(|(&s, &coef)| (id, s, coef)));
            }
        }
        assert_eq!(got, wanted);
    }

    #[test]
    fn regroups_by_row_in_sample_order() {
        for (rows, samples, per_sample) in
            [(1, 4, 1), (10, 7, 3), (100, 20, 50), (500, 40, 2000), (3_000_000, 30, 2000)]
        {
            check(Stripes::new(rows), samples, per_sample);
            check(Stripes::in_order(rows), samples, per_sample);
        }
    }

    /// A row of a bundle has an edge to every sample of its block, behind the others of the block.
    #[test]
    fn bundles_stand_between_the_blocks() {
        let stripes = Stripes::new(1000);
        let (ids, coefs) = ([3_u32, 3 + 64, 130, 3 + 640], [1.0_f32, 2.0, 3.0, 4.0]);
        let mut blocks = [Edges::default(), Edges::default(), Edges::default()];
        blocks[0].group(
            stripes,
            [(0, &ids[..2], &coefs[..2]), (2, &ids[..1], &coefs[2..3])].into_iter(),
        );
        // Three samples from number 3 on, four columns of which two are taken.
        let columns: Vec<f32> = (0..12).map(|x| x as f32).collect();
        blocks[1].group(stripes, std::iter::empty());
        blocks[1].bundle(stripes, (3, 3), [(0, ids[0]), (2, ids[3])].into_iter(), (&columns, 4));
        blocks[2].group(stripes, std::iter::once((7, &ids[..], &coefs[..])));
        let found = |blocks: &[Edges], shard: usize| {
            let mut touched = Touched::default();
            touched.gather(shard, blocks.iter());
            let rows = touched.iter().map(|(local, s, c)| (local, s.to_vec(), c.to_vec()));
            rows.collect::<Vec<_>>()
        };
        let of_first = (vec![0, 2, 3, 4, 5, 7], vec![1.0, 3.0, 0.0, 4.0, 8.0, 1.0]);
        let of_last = (vec![3, 4, 5, 7], vec![2.0, 6.0, 10.0, 4.0]);
        let wanted = [
            (0, of_first.0, of_first.1),
            (1, vec![0, 7], vec![2.0, 2.0]),
            (10, of_last.0, of_last.1),
        ];
        assert_eq!(found(&blocks, 3), wanted);
        assert_eq!(found(&blocks, 2), [(2, vec![7], vec![3.0])]);
        blocks[1].clear();
        assert_eq!(found(&blocks, 2), [(2, vec![7], vec![3.0])]);
    }

    #[test]
    fn no_edges_touch_no_rows() {
        let mut touched = Touched::default();
        touched.gather(5, [Edges::default()].iter());
        assert_eq!(touched.iter().count(), 0);
    }
}
