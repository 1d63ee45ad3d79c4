//! Edges between rows of a layer and samples of a batch, sorted by shard.

use crate::rows::{SHARDS, Stripes};

use super::make_room;

/// An edge between a row of a shard and a sample of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Edge {
    /// The row's place in the shard.
    pub local: u32,
    /// The sample.
    pub sample: u32,
    /// What the sample's input is multiplied by.
    pub coef: f32,
}

/// Edges between rows of a layer and samples of a batch, each with its coefficient.
#[derive(Clone, Debug, Default)]
pub struct Edges {
    all: Vec<Edge>,
    ends: Vec<usize>,
    bundles: Bundles,
}

/// Rows that have an edge to every sample of a block: `n` samples from `first` on.
#[derive(Clone, Debug, Default)]
struct Bundles {
    first: u32,
    n: usize,
    locals: Vec<u32>,
    /// The coefficients of all samples for a row, then those for the next.
    coefs: Vec<f32>,
    ends: Vec<usize>,
}

/// The bundles of one shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bundle<'a> {
    /// Number of the first sample.
    pub(super) first: u32,
    /// Samples of each row.
    pub(super) n: usize,
    /// Places of the rows in the shard.
    pub(super) locals: &'a [u32],
    /// The coefficients of all samples for a row, then those for the next.
    pub(super) coefs: &'a [f32],
}

impl Edges {
    /// Sorts `(ids[k], sample, coefs[k])` of several samples by the shard of the id in `stripes`.
    ///
    /// `lists` yields each sample's number, ids and coefficients; it is walked twice.
    pub fn group<'a>(
        &mut self,
        stripes: Stripes,
        lists: impl Iterator<Item = (u32, &'a [u32], &'a [f32])> + Clone,
    ) {
        let mut next = [0_usize; SHARDS];
        for (_, ids, _) in lists.clone() {
            for &id in ids {
                next[stripes.split(id).0 as usize] += 1;
            }
        }
        let total = to_starts(&mut next, &mut self.ends);
        make_room(&mut self.all, total).resize(total, Edge::default());
        for (sample, ids, coefs) in lists {
            for (&id, &coef) in ids.iter().zip(coefs) {
                let (shard, local) = stripes.split(id);
                let at = next[shard as usize];
                next[shard as usize] += 1;
                self.all[at] = Edge { local, sample, coef };
            }
        }
    }

    /// Adds edges from each of `rows` to all of `n` samples, of which the first is `first`. A row
    /// comes with its column in `coefs`, which has a line for each sample, `stride` floats apart.
    pub fn bundle(
        &mut self,
        stripes: Stripes,
        (first, n): (usize, usize),
        rows: impl Iterator<Item = (usize, u32)> + Clone,
        (coefs, stride): (&[f32], usize),
    ) {
        let mut next = [0_usize; SHARDS];
        for (_, id) in rows.clone() {
            next[stripes.split(id).0 as usize] += 1;
        }
        let bundles = &mut self.bundles;
        (bundles.first, bundles.n) = (first as u32, n);
        let total = to_starts(&mut next, &mut bundles.ends);
        make_room(&mut bundles.locals, total).resize(total, 0);
        make_room(&mut bundles.coefs, total * n).resize(total * n, 0.0);
        for (column, id) in rows {
            let (shard, local) = stripes.split(id);
            let at = next[shard as usize];
            next[shard as usize] += 1;
            bundles.locals[at] = local;
            let column = coefs[column..].iter().step_by(stride);
            bundles.coefs[at * n..][..n].iter_mut().zip(column).for_each(|(to, &from)| *to = from);
        }
    }

    /// Forgets all edges.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.bundles.ends.clear();
    }

    /// The edges of one shard but for bundles.
    #[must_use]
    pub fn shard(&self, shard: usize) -> &[Edge] {
        let Some(&end) = self.ends.get(shard) else { return &[] };
        let start = if shard == 0 { 0 } else { self.ends[shard - 1] };
        &self.all[start..end]
    }

    /// The bundles of one shard.
    pub(super) fn bundles(&self, shard: usize) -> Bundle<'_> {
        let Bundles { first, n, ref locals, ref coefs, ref ends } = self.bundles;
        let end = ends.get(shard).copied().unwrap_or_default();
        let start = if shard == 0 || end == 0 { 0 } else { ends[shard - 1] };
        Bundle { first, n, locals: &locals[start..end], coefs: &coefs[start * n..end * n] }
    }
}

/// Turns the size of each shard into its start; `ends` become their ends. Returns the last one.
fn to_starts(sizes: &mut [usize; SHARDS], ends: &mut Vec<usize>) -> usize {
    ends.clear();
    let mut total = 0;
    for size in sizes {
        total += std::mem::replace(size, total);
        ends.push(total);
    }
    total
}
