//! Who contributed to each row of a layer in one batch: the transpose of the samples' active sets.
//!
//! It is made in two steps, both in parallel and neither dependent on the number of rows of the
//! layer: a task that worked on some samples sorts its edges by shard ([`Edges::group`]); then
//! the task that owns a shard collects them from all tasks in order and sorts them by row
//! ([`Touched::gather`]). Within a row the blocks of samples keep their order, and so do the samples
//! of a block, those of a bundle behind the others; so sums are reproducible.

mod edges;

pub use edges::{Edge, Edges};

use edges::Bundle;

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

/// What came from a part: an edge, or the edges of a row to all samples of a block.
#[derive(Clone, Copy, Debug, Default)]
struct Item {
    /// The row's place in the shard.
    local: u32,
    /// The only sample, or the first.
    sample: u32,
    /// How many samples the block has; 0 of an edge.
    n: u32,
    /// The bits of the coefficient of an edge; where those of a block start.
    coef: u32,
}

impl From<Edge> for Item {
    fn from(Edge { local, sample, coef }: Edge) -> Self {
        Self { local, sample, n: 0, coef: coef.to_bits() }
    }
}

/// The edges of one shard, row after row.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    items: Vec<Item>,
    spare: Vec<Item>,
    /// The coefficients of the blocks.
    bundled: Vec<f32>,
    /// The row of each touched row, and where its edges end.
    rows: Vec<(u32, u32)>,
    samples: Vec<u32>,
    coefs: Vec<f32>,
}

/// Bits of a digit at most: its counts stay in the first-level cache.
const DIGIT_BITS: u32 = 11;

/// Items that are put in order faster one by one than by counting digits.
const FEW: usize = 32;

impl Touched {
    /// Collects the edges of `shard` from `parts`, in their order, and sorts them by row.
    pub fn gather<'a>(&mut self, shard: usize, parts: impl Iterator<Item = &'a Edges> + Clone) {
        let (mut edges, mut rows, mut coefs) = (0, 0, 0);
        for part in parts.clone() {
            let bundles = part.bundles(shard);
            edges += part.shard(shard).len();
            rows += bundles.locals.len();
            coefs += bundles.coefs.len();
        }
        make_room(&mut self.items, edges + rows).clear();
        make_room(&mut self.bundled, coefs).clear();
        for part in parts {
            self.items.extend(part.shard(shard).iter().map(|&edge| Item::from(edge)));
            let Bundle { first: sample, n, locals, coefs } = part.bundles(shard);
            let starts = (self.bundled.len() as u32..).step_by(n.max(1));
            let items = locals.iter().zip(starts);
            self.items.extend(items.map(|(&local, coef)| Item {
                local,
                sample,
                n: n as u32,
                coef,
            }));
            self.bundled.extend_from_slice(coefs);
        }
        self.sort();
        self.spread(edges + coefs);
    }

    /// Sorts the items by row; those of a row keep their order.
    fn sort(&mut self) {
        let Self { items, spare, .. } = self;
        // Before it is needed: that depends on the step.
        make_room(spare, items.len());
        if items.len() < FEW {
            for i in 1..items.len() {
                let at = items[..i].partition_point(|item| item.local <= items[i].local);
                items[at..=i].rotate_right(1);
            }
            return;
        }
        let largest = items.iter().fold(0, |max, item| max.max(item.local));
        let bits = u32::BITS - largest.leading_zeros();
        // As many digits as it takes, all as short as that allows.
        let digits = bits.div_ceil(DIGIT_BITS);
        let digit_bits = bits.div_ceil(digits.max(1));
        spare.resize(items.len(), Item::default());
        for digit in 0..digits {
            let of =
                |item: &Item| (item.local >> (digit * digit_bits)) as usize % (1 << digit_bits);
            let mut next = [0_u32; 1 << DIGIT_BITS];
            let next = &mut next[..1 << digit_bits];
            for item in &*items {
                next[of(item)] += 1;
            }
            let mut total = 0;
            for next in &mut *next {
                total += std::mem::replace(next, total);
            }
            for item in &*items {
                let at = &mut next[of(item)];
                spare[*at as usize] = *item;
                *at += 1;
            }
            std::mem::swap(items, spare);
        }
    }

    /// Writes all edges, of which there are `n`, in the order of the items, bundles sample by sample.
    fn spread(&mut self, n: usize) {
        let Self { items, bundled, rows, samples, coefs, .. } = self;
        make_room(rows, items.len()).clear();
        make_room(samples, n).clear();
        make_room(coefs, n).clear();
        for &Item { local, sample, n, coef } in &*items {
            if n == 0 {
                samples.push(sample);
                coefs.push(f32::from_bits(coef));
            } else {
                samples.extend(sample..sample + n);
                coefs.extend_from_slice(&bundled[coef as usize..][..n as usize]);
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
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[u32], &[f32])> + Clone {
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
