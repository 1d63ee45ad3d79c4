//! The wide layer computed in full: blocked matrix products over shards of its rows.
//!
//! The batch goes through every shard twice. First each shard leaves, for every sample, the
//! maximum of its logits and the sum of their exponentials; these are merged into one normaliser
//! a sample. Then each shard computes its logits again, turns them into deltas, adds its part of
//! the gradients of the inputs, and changes its rows. So no matrix of samples times labels is
//! ever held, and what passes between shards is small.

use rayon::prelude::*;

use crate::config::Loss;
use crate::optim::{ParamShard, Update};
use crate::rows::{Matrix, SHARDS, Stripes};
use crate::simd::Kernels;
use crate::tape::Tape;

use super::Output;
use super::logits::{self, TILE, transpose};
use super::output::Room;
use super::update::each;

/// Reusable memory of a full step.
#[derive(Debug, Default)]
pub struct FullScratch {
    /// Maximum and sum of exponentials of each shard and sample, shard after shard.
    partial: Vec<(f32, f64)>,
    /// log of the sum of exponentials of each sample, and its number of labels.
    normalisers: Vec<(f32, usize)>,
    /// Gradients of the inputs from each shard.
    shards: Vec<ShardRoom>,
}

#[derive(Debug, Default)]
struct ShardRoom {
    room: Room,
    input_gradients: Matrix,
    gradients: Matrix,
    columns: Vec<f32>,
}

/// What every shard reads.
struct Batch<'a> {
    kernels: &'a Kernels,
    update: &'a Update,
    loss: Loss,
    scale: f32,
    queries: &'a Matrix,
    n: usize,
    tapes: &'a [Tape],
}

impl Output {
    /// One step on a batch of `n` samples whose inputs are `queries` and whose labels stand in the
    /// edges of `tapes`. Changes every row, writes the gradients of the inputs over `queries`,
    /// and returns the sum of the losses; changes nothing when that is not finite.
    pub fn step_full(
        &mut self,
        (kernels, update): (&Kernels, &Update),
        (loss, scale): (Loss, f32),
        (queries, n): (&mut Matrix, usize),
        tapes: &[Tape],
        scratch: &mut FullScratch,
    ) -> f64 {
        scratch.shards.resize_with(SHARDS, ShardRoom::default);
        self.normalise(kernels, (queries, n), tapes, scratch);
        let total = self.total_loss(kernels, loss, queries, tapes, scratch);
        if !total.is_finite() {
            return total;
        }
        let batch = Batch { kernels, update, loss, scale, queries, n, tapes };
        let stripes = self.stripes();
        let FullScratch { normalisers, shards, .. } = scratch;
        let weights = self.weights.shards_mut().into_par_iter();
        let bias = each(self.bias.as_mut().map(crate::optim::Param::shards_mut));
        let tasks = weights.zip(bias).zip(&mut *shards).enumerate();
        tasks.for_each(|(shard, ((weights, bias), room))| {
            room.step(&batch, (shard, stripes), normalisers, weights, bias);
        });
        let stride = queries.stride();
        let out = queries.as_mut_slice().par_chunks_mut(stride).take(n);
        out.enumerate().for_each(|(i, out)| {
            out.fill(0.0);
            for shard in &*shards {
                (kernels.axpy)(1.0, shard.input_gradients.row(i), out);
            }
        });
        total
    }

    /// First pass: the normaliser of every sample.
    fn normalise(
        &self,
        kernels: &Kernels,
        (queries, n): (&Matrix, usize),
        tapes: &[Tape],
        scratch: &mut FullScratch,
    ) {
        let FullScratch { partial, normalisers, shards } = scratch;
        partial.clear();
        partial.resize(n * SHARDS, (f32::NEG_INFINITY, 0.0));
        let (stripes, stride) = (self.stripes(), queries.stride());
        let weights = self.weights.weights().shards().into_par_iter();
        let bias = each(self.bias.as_ref().map(|bias| bias.weights().shards()));
        let tasks = weights.zip(bias).zip(partial.par_chunks_mut(n)).zip(shards).enumerate();
        tasks.for_each(|(shard, (((weights, bias), partial), room))| {
            let (rows, room) = (stripes.len(shard), &mut room.room);
            for first in (0..rows).step_by(TILE) {
                let count = TILE.min(rows - first);
                let rows = (&weights[first * stride..], bias.map(|bias| &bias[first..]));
                let Room { transposed, logits } = room;
                let queries = (queries.as_slice(), n, stride);
                logits::tile(kernels, queries, rows, count, transposed, logits);
                for (merged, logits) in partial.iter_mut().zip(logits.chunks_mut(TILE)) {
                    let max = (kernels.max)(&logits[..count]);
                    let sum = f64::from((kernels.exp_sum)(max, &mut logits[..count]));
                    *merged = merge(*merged, (max, sum));
                }
            }
        });
        normalisers.clear();
        let labels = tapes.iter().flat_map(|tape| (0..tape.len).map(|i| tape.labels_of(i).len()));
        normalisers.extend(labels.enumerate().map(|(i, labels)| {
            let of_shards = partial.iter().skip(i).step_by(n).copied();
            let (max, sum) = of_shards.fold((f32::NEG_INFINITY, 0.0), merge);
            ((f64::from(max) + sum.ln()) as f32, labels)
        }));
    }

    /// `sum of targets * (normaliser - logit of label)`, in the order of the samples.
    fn total_loss(
        &self,
        kernels: &Kernels,
        loss: Loss,
        queries: &Matrix,
        tapes: &[Tape],
        scratch: &FullScratch,
    ) -> f64 {
        let mut total = 0.0;
        for tape in tapes {
            for i in 0..tape.len {
                let (normaliser, labels) = scratch.normalisers[tape.first + i];
                for &label in tape.labels_of(i) {
                    let slot = self.stripes().slot(label);
                    let (weights, bias) = self.params();
                    let query = queries.row(tape.first + i);
                    let product = (kernels.dot)(weights.weights().row(label), query);
                    let bias = bias.map_or(0.0, |bias| bias.weights().as_slice()[slot as usize]);
                    let below = f64::from(normaliser) - f64::from(product + bias);
                    total += f64::from(loss.target(labels)) * below;
                }
            }
        }
        total
    }
}

impl ShardRoom {
    /// Second pass over one shard.
    fn step(
        &mut self,
        batch: &Batch<'_>,
        (shard, stripes): (usize, Stripes),
        normalisers: &[(f32, usize)],
        mut weights: ParamShard<'_>,
        mut bias: Option<ParamShard<'_>>,
    ) {
        let Batch { kernels, queries, n, .. } = *batch;
        let (rows, stride) = (stripes.len(shard), queries.stride());
        self.input_gradients.reset(n, stride);
        for first in (0..rows).step_by(TILE) {
            let count = TILE.min(rows - first);
            let tile = &weights.weights()[first * stride..][..count * stride];
            let biases = bias.as_ref().map(|bias| &bias.weights()[first..]);
            let Room { transposed, logits } = &mut self.room;
            let inputs = (queries.as_slice(), n, stride);
            logits::tile(kernels, inputs, (tile, biases), count, transposed, logits);
            batch.deltas(logits, (shard, first, count), normalisers);
            let out = self.input_gradients.as_mut_slice();
            (kernels.gemm)([n, stride, count], logits, TILE, tile, stride, out, stride);
            self.columns.resize(TILE * n, 0.0);
            transpose(logits, TILE, &mut self.columns, n);
            self.gradients.reset(count, stride);
            let out = self.gradients.as_mut_slice();
            let queries = queries.as_slice();
            (kernels.gemm)([count, stride, n], &self.columns, n, queries, stride, out, stride);
            for i in 0..count {
                weights.update(kernels, batch.update, first + i, self.gradients.row_mut(i));
                if let Some(bias) = &mut bias {
                    let gradient = self.columns[i * n..][..n].iter().sum();
                    bias.update(kernels, batch.update, first + i, &mut [gradient]);
                }
            }
        }
    }
}

impl Batch<'_> {
    /// Turns the logits of a tile into deltas.
    fn deltas(
        &self,
        logits: &mut [f32],
        (shard, first, count): (usize, usize, usize),
        normalisers: &[(f32, usize)],
    ) {
        let Self { kernels, loss, scale, .. } = *self;
        for (row, &(normaliser, labels)) in logits.chunks_mut(TILE).zip(normalisers) {
            if labels == 0 {
                row.fill(0.0);
                continue;
            }
            (kernels.exp_sum)(normaliser, &mut row[..count]);
            (kernels.scale)(scale * loss.target(labels) * labels as f32, row);
        }
        for tape in self.tapes {
            let Some(edges) = tape.edges.last() else { continue };
            let (locals, samples, targets) = edges.shard(shard);
            for ((&local, &sample), &target) in locals.iter().zip(samples).zip(targets) {
                if let Some(at) = (local as usize).checked_sub(first)
                    && at < count
                {
                    logits[sample as usize * TILE + at] -= scale * target;
                }
            }
        }
    }
}

/// Adds two sums of exponentials, each relative to its maximum.
fn merge((a, x): (f32, f64), (b, y): (f32, f64)) -> (f32, f64) {
    let max = a.max(b);
    let part = |m: f32, sum: f64| if sum == 0.0 { 0.0 } else { sum * f64::from(m - max).exp() };
    (max, part(a, x) + part(b, y))
}
