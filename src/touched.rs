//! Who contributed to each row of a layer in one batch: the transpose of the samples' active sets.
//!
//! It is made in two steps, both in parallel and neither dependent on the number of rows of the
//! layer: a task that worked on some samples sorts its edges by shard ([`Edges::group`]); then
//! the task that owns a shard collects them from all tasks in order and sorts them by row
//! ([`Touched::gather`]). Within a row the samples keep their order, so sums are reproducible.

use crate::rows::{SHARDS, Stripes};

/// Edges between rows of a layer and samples of a batch, each with its coefficient.
#[derive(Clone, Debug, Default)]
pub struct Edges {
    locals: Vec<u32>,
    samples: Vec<u32>,
    coefs: Vec<f32>,
    ends: Vec<usize>,
}

impl Edges {
    /// Sorts `(ids[k], sample, coefs[k])` of several samples by the shard of the id.
    ///
    /// `lists` yields each sample's number, ids and coefficients; it is walked twice.
    pub fn group<'a>(&mut self, lists: impl Iterator<Item = (u32, &'a [u32], &'a [f32])> + Clone) {
        let mut next = [0_usize; SHARDS];
        for (_, ids, _) in lists.clone() {
            for &id in ids {
                next[Stripes::split(id).0 as usize] += 1;
            }
        }
        self.ends.clear();
        let mut total = 0;
        for next in &mut next {
            total += std::mem::replace(next, total);
            self.ends.push(total);
        }
        make_room(&mut self.locals, total).resize(total, 0);
        make_room(&mut self.samples, total).resize(total, 0);
        make_room(&mut self.coefs, total).resize(total, 0.0);
        for (sample, ids, coefs) in lists {
            for (&id, &coef) in ids.iter().zip(coefs) {
                let (shard, local) = Stripes::split(id);
                let at = next[shard as usize];
                next[shard as usize] += 1;
                self.locals[at] = local;
                self.samples[at] = sample;
                self.coefs[at] = coef;
            }
        }
    }

    /// Forgets all edges.
    pub fn clear(&mut self) {
        self.ends.clear();
    }

    /// The edges of one shard: places in the shard, samples, coefficients.
    #[must_use]
    pub fn shard(&self, shard: usize) -> (&[u32], &[u32], &[f32]) {
        let Some(&end) = self.ends.get(shard) else { return (&[], &[], &[]) };
        let start = if shard == 0 { 0 } else { self.ends[shard - 1] };
        (&self.locals[start..end], &self.samples[start..end], &self.coefs[start..end])
    }
}

/// Items that are cheap to have room for: in a layer of few rows, one neuron that comes to be active
/// in every sample may double the edges of its shard.
const LEAST: usize = 1024;

/// Room for `needed` items, with as much again to spare when it has to be found: active sets
/// change a little from step to step, and steps should not allocate.
fn make_room<T>(items: &mut Vec<T>, needed: usize) -> &mut Vec<T> {
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
    sources: [Vec<u32>; 2],
    coefs: [Vec<f32>; 2],
}

const DIGIT_BITS: u32 = 11;
const DIGITS: usize = 1 << DIGIT_BITS;

impl Touched {
    /// Collects the edges of `shard` from `parts`, in their order, and sorts them by row.
    pub fn gather<'a>(&mut self, shard: usize, parts: impl Iterator<Item = &'a Edges> + Clone) {
        let total = parts.clone().map(|part| part.shard(shard).0.len()).sum();
        make_room(&mut self.keys, total).clear();
        make_room(&mut self.sources[0], total).clear();
        make_room(&mut self.coefs[0], total).clear();
        for part in parts {
            let (locals, samples, coefs) = part.shard(shard);
            let first = self.keys.len() as u64;
            self.keys
                .extend(locals.iter().zip(first..).map(|(&local, at)| u64::from(local) << 32 | at));
            self.sources[0].extend_from_slice(samples);
            self.coefs[0].extend_from_slice(coefs);
        }
        self.sort_keys();
        self.permute();
    }

    /// A key is (row, position), so any sort of the keys is a stable sort of the rows.
    fn sort_keys(&mut self) {
        // Before it is needed: that depends on the step.
        make_room(&mut self.spare, self.keys.len());
        if self.keys.len() < DIGITS / 8 {
            self.keys.sort_unstable();
            return;
        }
        let largest = self.keys.iter().fold(0, |max, &key| max.max(key >> 32));
        self.spare.resize(self.keys.len(), 0);
        let mut shift = 32;
        while largest >> (shift - 32) > 0 {
            let mut next = [0_u32; DIGITS];
            for key in &self.keys {
                next[(key >> shift) as usize % DIGITS] += 1;
            }
            let mut total = 0;
            for next in &mut next {
                total += std::mem::replace(next, total);
            }
            for &key in &self.keys {
                let at = &mut next[(key >> shift) as usize % DIGITS];
                self.spare[*at as usize] = key;
                *at += 1;
            }
            std::mem::swap(&mut self.keys, &mut self.spare);
            shift += DIGIT_BITS;
        }
    }

    fn permute(&mut self) {
        let [from, to] = &mut self.sources;
        make_room(to, self.keys.len()).clear();
        to.extend(self.keys.iter().map(|&key| from[key as u32 as usize]));
        let [from, to] = &mut self.coefs;
        make_room(to, self.keys.len()).clear();
        to.extend(self.keys.iter().map(|&key| from[key as u32 as usize]));
    }

    /// Each touched row's place in the shard, with its samples and coefficients.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[u32], &[f32])> {
        let mut start = 0;
        self.keys.chunk_by(|a, b| a >> 32 == b >> 32).map(move |group| {
            let range = start..start + group.len();
            start = range.end;
            let local = (group[0] >> 32) as usize;
            (local, &self.sources[1][range.clone()], &self.coefs[1][range])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};

    /// Transposes random active sets in blocks and compares with sorting them at once.
    fn check(rows: u32, samples: u32, per_sample: u32) {
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
                edges.group(block.iter().map(|(s, ids, coefs)| (*s, &ids[..], &coefs[..])));
                edges
            })
            .collect();
        let mut wanted: Vec<(u32, u32, f32)> = lists
            .iter()
            .flat_map(|(s, ids, coefs)| ids.iter().zip(coefs).map(|(&id, &coef)| (id, *s, coef)))
            .collect();
        wanted.sort_by_key(|&(id, sample, _)| (Stripes::split(id), sample));
        let mut got = vec![];
        for shard in 0..SHARDS {
            let mut touched = Touched::default();
            touched.gather(shard, blocks.iter());
            for (local, sources, coefs) in touched.iter() {
                let id = (local * SHARDS + shard) as u32;
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
            check(rows, samples, per_sample);
        }
    }

    #[test]
    fn no_edges_touch_no_rows() {
        let mut touched = Touched::default();
        touched.gather(5, [Edges::default()].iter());
        assert_eq!(touched.iter().count(), 0);
    }
}
