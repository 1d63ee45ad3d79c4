//! Phase C: every touched row of a layer is changed once a batch.
//!
//! A task owns a shard of the rows. The gradient of a row is the sum of `coefficient * input` over
//! the samples that had it active, in the order of the samples; the optimiser follows while the
//! row is in the cache. Nothing is shared for writing, so there is no lock and no race, and the
//! result does not depend on the number of threads.

use rayon::prelude::*;

use crate::optim::{Param, Update};
use crate::rows::{Matrix, SHARDS};
use crate::simd::Kernels;
use crate::touched::{Edges, Touched};

/// Rows that are asked for before they are needed: a row of the optimiser is three streams from
/// random places in memory.
const AHEAD: usize = 2;

/// Reusable memory of the task that owns a shard.
#[derive(Debug, Default)]
pub struct ShardScratch {
    touched: Touched,
    gradient: Vec<f32>,
}

/// What changes: weights, biases where there are any, and the marks of moved rows.
pub(super) struct Target<'a> {
    pub(super) weights: &'a mut Param,
    pub(super) bias: Option<&'a mut Param>,
    pub(super) moved: Option<[&'a mut [bool]; SHARDS]>,
}

impl Target<'_> {
    /// Changes every row that has edges in `parts`; an edge of sample `s` adds
    /// `coefficient * inputs[s]` to the gradient of its row.
    pub(super) fn update<'e, I: Iterator<Item = &'e Edges> + Clone>(
        self,
        (kernels, update): (&Kernels, &Update),
        parts: impl Fn() -> I + Sync,
        inputs: &Matrix,
        scratch: &mut [ShardScratch],
    ) {
        let stride = inputs.stride();
        let bias = each(self.bias.map(Param::shards_mut));
        let moved = each(self.moved);
        let weights = self.weights.shards_mut().into_par_iter();
        let tasks = weights.zip(bias).zip(moved).zip(scratch).enumerate();
        tasks.for_each(|(shard, (((mut weights, mut bias), mut moved), scratch))| {
            let ShardScratch { touched, gradient } = scratch;
            touched.gather(shard, parts());
            let mut coming = touched.iter().map(|(local, ..)| local).skip(AHEAD);
            for (local, samples, coefs) in touched.iter() {
                if let Some(coming) = coming.next() {
                    weights.prefetch(kernels, coming);
                }
                gradient.clear();
                gradient.resize(stride, 0.0);
                (kernels.axpy_rows)(inputs.as_slice(), samples, coefs, gradient);
                weights.update(kernels, update, local, gradient);
                if let Some(bias) = &mut bias {
                    bias.update(kernels, update, local, &mut [coefs.iter().sum()]);
                }
                if let Some(moved) = &mut moved {
                    moved[local] = true;
                }
            }
        });
    }
}

/// An optional array as an array of options.
pub(super) fn each<T, const N: usize>(array: Option<[T; N]>) -> [Option<T>; N] {
    let mut items = array.map(IntoIterator::into_iter);
    std::array::from_fn(|_| items.as_mut().and_then(Iterator::next))
}
