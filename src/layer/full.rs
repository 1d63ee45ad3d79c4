//! The wide layer computed in full: blocked matrix products over shards of its rows.
//!
//! The batch goes through every shard twice. First each shard leaves, for every sample, the
//! maximum of its logits and the sum of their exponentials; these are merged into one normaliser
//! a sample. (For a loss that is a sum over the neurons, the first pass sums it.) Then each shard computes its logits again, turns them into deltas, adds its part of
//! the gradients of the inputs, and changes its rows. So no matrix of samples times labels is
//! ever held, and what passes between shards is small.

use rayon::prelude::*;

use crate::config::Loss;
use crate::optim::{ParamShard, Update};
use crate::rows::{Matrix, SHARDS, Stripes};
use crate::simd::Kernels;
use crate::tape::Tape;
use crate::touched::Edge;

use super::Sampled;
use super::logits::{self, TILE, transpose};
use super::output::Room;
use super::update::each;

/// Reusable memory of a full step.
#[derive(Debug, Default)]
pub struct FullScratch {
    /// Maximum and sum of exponentials of each shard and sample, shard after shard; or 0 and the
    /// sum of the losses.
    partial: Vec<(f32, f64)>,
    /// One for each sample.
    samples: Vec<Sample>,
    /// Gradients of the inputs from each shard.
    shards: Vec<ShardRoom>,
}

/// What the second pass knows of a sample.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// log of the sum of exponentials; or the sum of the losses as if there were no labels.
    normaliser: f32,
    /// Weight in the gradient; 0 without labels.
    weight: f32,
    /// Sum of its targets.
    mass: f32,
}

#[derive(Debug, Default)]
struct ShardRoom {
    room: Room,
    input_gradients: Matrix,
    gradients: Matrix,
    columns: Vec<f32>,
    tile: Vec<f32>,
    of_labels: Vec<f32>,
}

/// What every shard reads.
struct Batch<'a> {
    kernels: &'a Kernels,
    update: &'a Update,
    loss: Loss,
    queries: &'a Matrix,
    n: usize,
    tapes: &'a [Tape],
}

impl Sampled<'_> {
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
        self.normalise(kernels, (loss, scale), (queries, n), tapes, scratch);
        let total = self.total_loss(kernels, loss, queries, tapes, scratch);
        if !total.is_finite() {
            return total;
        }
        let batch = Batch { kernels, update, loss, queries, n, tapes };
        let stripes = self.stripes();
        let FullScratch { samples, shards, .. } = scratch;
        let weights = self.weights.shards_mut().into_par_iter();
        let bias = each(self.bias.as_mut().map(crate::optim::Param::shards_mut));
        let tasks = weights.zip(bias).zip(&mut *shards).enumerate();
        tasks.for_each(|(shard, ((weights, bias), room))| {
            room.step(&batch, (shard, stripes), samples, weights, bias);
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
        (loss, scale): (Loss, f32),
        (queries, n): (&Matrix, usize),
        tapes: &[Tape],
        scratch: &mut FullScratch,
    ) {
        let FullScratch { partial, samples, shards } = scratch;
        partial.clear();
        partial.resize(n * SHARDS, (f32::NEG_INFINITY, 0.0));
        let (stripes, stride) = (self.stripes(), queries.stride());
        let weights = self.weights.weights();
        let bias = each(self.bias.as_ref().map(|bias| bias.weights().shards())).into_par_iter();
        let tasks = bias.zip(partial.par_chunks_mut(n)).zip(shards).enumerate();
        tasks.for_each(|(shard, ((bias, partial), room))| {
            let rows = stripes.len(shard);
            for first in (0..rows).step_by(TILE) {
                let count = TILE.min(rows - first);
                let tile = weights.tile(kernels, (shard, first, count), &mut room.tile);
                let rows = (tile, bias.map(|bias| &bias[first..]));
                let Room { transposed, logits, .. } = &mut room.room;
                let queries = (queries.as_slice(), n, stride);
                logits::tile(kernels, queries, rows, count, transposed, logits);
                for (merged, logits) in partial.iter_mut().zip(logits.chunks_mut(TILE)) {
                    let logits = &mut logits[..count];
                    let part = if loss.is_softmax() {
                        let max = (kernels.max)(logits);
                        (max, f64::from((kernels.exp_sum)(max, logits)))
                    } else {
                        (0.0, logits.iter().map(|&a| f64::from(loss.of_other(a).0)).sum())
                    };
                    *merged = merge(*merged, part);
                }
            }
        });
        samples.clear();
        let of_tapes = tapes.iter().flat_map(|tape| (0..tape.len).map(move |i| (tape, i)));
        samples.extend(of_tapes.enumerate().map(|(sample, (tape, i))| {
            let of_shards = partial.iter().skip(sample).step_by(n).copied();
            let (max, sum) = of_shards.fold((f32::NEG_INFINITY, 0.0), merge);
            let softmax = loss.is_softmax();
            let normaliser = if softmax { f64::from(max) + sum.ln() } else { sum } as f32;
            let targets = tape.targets_of(i);
            let weight = if targets.is_empty() { 0.0 } else { scale * tape.weights[i] };
            Sample { normaliser, weight, mass: loss.mass(targets) }
        }));
    }

    /// The sum of the losses of all samples, in their order.
    fn total_loss(
        &self,
        kernels: &Kernels,
        loss: Loss,
        queries: &Matrix,
        tapes: &[Tape],
        scratch: &FullScratch,
    ) -> f64 {
        let mut total = 0.0;
        let (weights, bias) = (self.weights.weights(), self.bias.as_ref());
        for tape in tapes {
            for i in (0..tape.len).filter(|&i| !tape.labels_of(i).is_empty()) {
                let all = f64::from(scratch.samples[tape.first + i].normaliser);
                let mut of_sample = if loss.is_softmax() { 0.0 } else { all };
                for (&label, &target) in tape.labels_of(i).iter().zip(tape.targets_of(i)) {
                    let (slot, mut logit) = (self.stripes().slot(label), [0.0]);
                    weights.dot_rows(kernels, &[slot], queries.row(tape.first + i), &mut logit);
                    let bias = bias.map_or(0.0, |bias| bias.weights().as_slice()[slot as usize]);
                    let logit = logit[0] + bias;
                    of_sample += if loss.is_softmax() {
                        f64::from(target) * (all - f64::from(logit))
                    } else {
                        let labelled = f64::from(loss.of_label(logit, target).0);
                        labelled - f64::from(loss.of_other(logit).0)
                    };
                }
                total += f64::from(tape.weights[i]) * of_sample;
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
        samples: &[Sample],
        mut weights: ParamShard<'_>,
        mut bias: Option<ParamShard<'_>>,
    ) {
        let Batch { kernels, queries, n, .. } = *batch;
        let (rows, stride) = (stripes.len(shard), queries.stride());
        self.input_gradients.reset(n, stride);
        for first in (0..rows).step_by(TILE) {
            let count = TILE.min(rows - first);
            let Self { room, input_gradients, gradients, columns, tile, of_labels } = self;
            let tile = weights.tile(kernels, (first, count), tile);
            let biases = bias.as_ref().map(|bias| &bias.weights()[first..]);
            let Room { transposed, logits, .. } = room;
            let inputs = (queries.as_slice(), n, stride);
            logits::tile(kernels, inputs, (tile, biases), count, transposed, logits);
            batch.deltas(logits, (shard, first, count), samples, of_labels);
            let out = input_gradients.as_mut_slice();
            (kernels.gemm)([n, stride, count], logits, TILE, tile, stride, out, stride);
            columns.resize(TILE * n, 0.0);
            transpose(logits, TILE, columns, n);
            gradients.reset(count, stride);
            let out = gradients.as_mut_slice();
            let queries = queries.as_slice();
            (kernels.gemm)([count, stride, n], columns, n, queries, stride, out, stride);
            for i in 0..count {
                weights.update(kernels, batch.update, first + i, gradients.row_mut(i));
                if let Some(bias) = &mut bias {
                    let gradient = columns[i * n..][..n].iter().sum();
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
        samples: &[Sample],
        of_labels: &mut Vec<f32>,
    ) {
        let Self { kernels, loss, .. } = *self;
        // The logits of the labels are needed once more after all have become deltas.
        of_labels.clear();
        self.each_label(shard, first, count, |at, sample, target| {
            let Sample { weight, .. } = samples[sample];
            of_labels.push(if loss.is_softmax() {
                weight * target
            } else {
                let a = logits[at];
                weight * (loss.of_other(a).1 - loss.of_label(a, target).1)
            });
        });
        for (row, sample) in logits.chunks_mut(TILE).zip(samples) {
            let Sample { normaliser, weight, mass } = *sample;
            if weight == 0.0 {
                row.fill(0.0);
            } else if loss.is_softmax() {
                (kernels.exp_sum)(normaliser, &mut row[..count]);
                (kernels.scale)(weight * mass, row);
            } else {
                for a in &mut row[..count] {
                    *a = weight * loss.of_other(*a).1;
                }
            }
        }
        let mut of_labels = of_labels.iter();
        self.each_label(shard, first, count, |at, _, _| {
            logits[at] -= of_labels.next().copied().unwrap_or_default();
        });
    }

    /// Calls `work(place in the tile, sample, target)` for every label in a tile.
    fn each_label(
        &self,
        shard: usize,
        first: usize,
        count: usize,
        mut work: impl FnMut(usize, usize, f32),
    ) {
        for tape in self.tapes {
            let Some(edges) = tape.edges.last() else { continue };
            for &Edge { local, sample, coef: target } in edges.shard(shard) {
                if let Some(at) = (local as usize).checked_sub(first)
                    && at < count
                {
                    work(sample as usize * TILE + at, sample as usize, target);
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
