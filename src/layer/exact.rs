//! Every row of a layer meets every query: exact prediction.
//!
//! A tile of rows that fits in the L1 cache meets the queries, a few at a time, and what comes out
//! is looked at while it is there: no matrix of queries times rows is ever held. One query is a
//! stream over the weights as they stand in memory; many are products near the peak of the machine,
//! since then each row is fetched once for all of them. The bits of a logit do not depend on it,
//! and are those that the row has as an active neuron.

use std::ops::Range;

use crate::rows::Matrix;
use crate::simd::Kernels;
use crate::tape::Tape;

use super::inputs::{Inputs, inputs};
use super::output::Room;
use super::{Sampled, TopK};

/// What meets all rows of a layer.
#[derive(Clone, Copy, Debug)]
pub enum Queries<'a> {
    /// The first so many rows of a matrix.
    Dense(&'a Matrix, usize),
    /// The inputs of the output layer as they stand in the tapes of blocks.
    Sparse(&'a [Tape]),
}

impl Queries<'_> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Dense(_, n) => *n,
            Self::Sparse(tapes) => tapes.iter().map(|tape| tape.len).sum(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A run of rows of one shard.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// Number of the shard.
    pub shard: usize,
    /// Place there of the first row.
    pub first: usize,
    /// How many.
    pub count: usize,
}

/// Bytes of a tile of the weights: half of a 32 KiB cache.
const TILE: usize = 1 << 14;

/// Rows of a tile at most.
const MOST: usize = 256;

/// Queries that meet a tile at a time; their logits are few enough to stay on the stack.
const FEW: usize = 4;

impl Sampled<'_> {
    /// Offers every neuron of `shards` to each of the queries, as many as there are `tops`.
    pub fn exact(
        &self,
        kernels: &Kernels,
        queries: Queries<'_>,
        shards: Range<usize>,
        tops: &mut [TopK],
    ) {
        self.each_tile(kernels, queries, shards, |tile, query, logits| {
            let top = &mut tops[query];
            let threshold = top.threshold();
            // Without a branch for each, so that many are compared at a time; few tiles have any.
            if logits.iter().filter(|&&logit| logit >= threshold).count() == 0 {
                return;
            }
            for (i, &logit) in logits.iter().enumerate() {
                if logit >= top.threshold()
                    && let Some(id) = self.stripes().id(tile.shard, tile.first + i)
                {
                    top.offer(logit, id);
                }
            }
        });
    }

    /// Calls `work` for every tile of rows of `shards` and every query, with the number of the
    /// query and the logits.
    pub fn each_tile(
        &self,
        kernels: &Kernels,
        queries: Queries<'_>,
        shards: Range<usize>,
        mut work: impl FnMut(Tile, usize, &[f32]),
    ) {
        let weights = self.weights.weights();
        let rows = match queries {
            // One query is a stream, and meets no row a second time.
            Queries::Dense(_, 1) | Queries::Sparse(_) => MOST,
            Queries::Dense(..) => TILE / (weights.stride() * weights.dtype().bytes()).max(1),
        };
        let most = rows.clamp(FEW, MOST);
        for shard in shards {
            let rows = self.stripes().len(shard);
            for first in (0..rows).step_by(most) {
                let tile = Tile { shard, first, count: most.min(rows - first) };
                match queries {
                    Queries::Dense(queries, n) => {
                        self.dense_tile(kernels, (queries, n), tile, &mut work);
                    }
                    Queries::Sparse(tapes) => self.sparse_tile(kernels, tapes, tile, &mut work),
                }
            }
        }
    }

    fn dense_tile(
        &self,
        kernels: &Kernels,
        (queries, n): (&Matrix, usize),
        tile: Tile,
        work: &mut impl FnMut(Tile, usize, &[f32]),
    ) {
        let Tile { shard, first, count } = tile;
        let (stripes, stride) = (self.stripes(), queries.stride());
        let slot = stripes.per_shard() * shard + first;
        let bias = self.bias.as_ref().map(|bias| &bias.weights().as_slice()[slot..][..count]);
        let mut logits = [0.0; FEW * MOST];
        // While these queries meet the tile, their part of the next one is fetched.
        let parts = n.div_ceil(FEW);
        for (part, queries) in queries.as_slice()[..n * stride].chunks(FEW * stride).enumerate() {
            let logits = &mut logits[..queries.len() / stride * count];
            let rows = (slot, count);
            self.weights.weights().products(kernels, rows, queries, (part, parts), logits);
            for (i, logits) in logits.chunks_exact_mut(count).enumerate() {
                for (logit, bias) in logits.iter_mut().zip(bias.unwrap_or_default()) {
                    *logit += bias;
                }
                work(tile, part * FEW + i, logits);
            }
        }
    }

    /// The same for the inputs of blocks: only their own columns of the weights are read, so what
    /// it takes does not grow with the width of the layer.
    fn sparse_tile(
        &self,
        kernels: &Kernels,
        tapes: &[Tape],
        tile: Tile,
        work: &mut impl FnMut(Tile, usize, &[f32]),
    ) {
        self.rooms.with(|Room { slots, .. }| {
            let start = self.stripes().per_shard() * tile.shard + tile.first;
            slots.clear();
            slots.extend(start as u32..(start + tile.count) as u32);
            let mut logits = [0.0; MOST];
            let logits = &mut logits[..tile.count];
            let mut query = 0;
            for tape in tapes {
                let inputs: Inputs<'_> = inputs(&tape.features, tape.hidden.last());
                for i in 0..tape.len {
                    self.row_sums(kernels, (inputs, i), slots, logits);
                    work(tile, query, logits);
                    query += 1;
                }
            }
        });
    }
}
