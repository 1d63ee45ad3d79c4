//! The update of a dense layer whose inputs are dense: gradients of all rows as one product of
//! matrices, `inputs^T deltas`.
//!
//! The sum over the samples runs in their order, as it does where edges bring single samples to
//! single rows ([`super::update`]), and with the same bits. A task takes some rows in the order of
//! their ids, since that is how they stand beside each other in the inputs; then the tasks that
//! own the shards of the weights change them.

use rayon::prelude::*;

use crate::optim::{Param, Update};
use crate::rows::{Matrix, SHARDS};
use crate::simd::Kernels;
use crate::tape::Tape;

use super::inputs::Inputs;
use super::update::{Sums, UpdateScratch};

/// Rows whose gradients one task finds: one of every shard.
const GROUP: usize = SHARDS;

/// Rows whose gradients are held at a time: for 128 units they take as much as a cache holds.
const WAVE: usize = 16 * GROUP;

/// Floats of gradients below which another task would cost more than it saves: some microseconds
/// of work.
const TASK: usize = 1 << 13;

/// Reusable memory of an update.
#[derive(Debug, Default)]
pub(super) struct Products {
    groups: Vec<Group>,
}

/// Some rows, one of every shard.
#[derive(Debug, Default)]
struct Group {
    /// Their inputs, a row for each sample.
    inputs: Vec<f32>,
    /// Their gradients, a row for each.
    gradients: Vec<f32>,
    /// Which of them some sample had; all where the layer before is dense.
    touched: Vec<bool>,
}

/// Changes the rows of `weights`, a row for each input of layer `number` of `tapes`, by the `deltas`
/// of the samples of the batch.
pub(super) fn update(
    weights: &mut Param<'_>,
    (kernels, update): (&Kernels, &Update),
    (tapes, number): (&[Tape], usize),
    deltas: &Matrix,
    scratch: &mut UpdateScratch,
) {
    let (rows, stride) = (weights.weights().stripes().rows(), deltas.stride());
    scratch.make_room(stride, false);
    let UpdateScratch { products: Products { groups }, sums, .. } = scratch;
    let all = rows.min(WAVE).div_ceil(GROUP);
    if groups.len() < all {
        groups.resize_with(all, Group::default);
    }
    for first in (0..rows).step_by(WAVE) {
        let count = WAVE.min(rows - first);
        let groups = &mut groups[..count.div_ceil(GROUP)];
        groups.par_iter_mut().enumerate().for_each(|(group, room)| {
            let from = first + group * GROUP;
            room.find_gradients(kernels, (tapes, number), (from, GROUP.min(rows - from)), deltas);
        });
        let groups = &*groups;
        let least = TASK.div_ceil(groups.len() * stride);
        let shards = weights.shards_mut().into_par_iter().with_min_len(least).enumerate();
        shards.for_each(|(shard, mut weights)| {
            sums.with(|Sums { gradients: [gradient, _], .. }| {
                for (local, group) in (first / GROUP..).zip(groups) {
                    if group.touched.get(shard) == Some(&true) {
                        // The optimiser may clip it.
                        gradient.copy_from_slice(&group.gradients[shard * stride..][..stride]);
                        weights.update(kernels, update, local, gradient);
                    }
                }
            });
        });
    }
}

impl Group {
    /// Finds the gradients of the `count` rows from `first` on.
    fn find_gradients(
        &mut self,
        kernels: &Kernels,
        (tapes, number): (&[Tape], usize),
        (first, count): (usize, usize),
        deltas: &Matrix,
    ) {
        let Self { inputs, gradients, touched } = self;
        inputs.clear();
        for tape in tapes {
            if let Inputs::Dense(values) = tape.inputs(number) {
                for i in 0..tape.len {
                    inputs.extend_from_slice(&values.row(i)[first..first + count]);
                }
            }
        }
        touched.clear();
        touched.resize(count, number > 0);
        for values in inputs.chunks(count) {
            if touched.iter().all(|&touched| touched) {
                break;
            }
            touched.iter_mut().zip(values).for_each(|(touched, &x)| *touched |= x != 0.0);
        }
        let (n, stride) = (inputs.len() / count, deltas.stride());
        gradients.clear();
        gradients.resize(count * stride, 0.0);
        let dims = [count, stride, n];
        (kernels.gemm_across)(dims, inputs, count, deltas.as_slice(), stride, gradients, stride);
    }
}
