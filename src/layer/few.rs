//! The update of an output layer of few neurons that are all computed: one small matrix product.
//!
//! Blocked products over 64 shards ([`super::full`]) are work for wide layers; where a shard would
//! have no more than a row, a block of samples computes all neurons at once, and a batch changes
//! them in one task.

use crate::optim::Update;
use crate::rows::{Matrix, SHARDS};
use crate::sampler::Sampler;
use crate::simd::Kernels;
use crate::tape::Tape;

use super::Sampled;
use super::update::each;

/// Reusable memory of the update of few neurons.
#[derive(Debug, Default)]
pub struct FewScratch {
    deltas: Matrix,
    gradients: Matrix,
    bias: Vec<f32>,
}

impl Sampled<'_> {
    /// Whether all neurons are computed and they are no more than shards.
    #[must_use]
    pub const fn has_few(&self) -> bool {
        matches!(self.sampler, Sampler::Full) && self.units() <= SHARDS
    }

    /// Changes every row by the deltas that stand in `tapes` and the `inputs` of the `n` samples of
    /// the batch. Where no sample has a label it changes none.
    ///
    /// # Panics
    ///
    /// If there are more neurons than shards.
    pub fn update_few(
        &mut self,
        (kernels, update): (&Kernels, &Update),
        tapes: &[Tape],
        (inputs, n): (&Matrix, usize),
        scratch: &mut FewScratch,
    ) {
        let (units, stride) = (self.units(), inputs.stride());
        let FewScratch { deltas, gradients, bias: sums } = scratch;
        deltas.reset(n, units);
        let mut touched = false;
        for tape in tapes {
            for (sample, ids, coefs) in tape.output.active.iter(tape.first) {
                touched |= !ids.is_empty();
                let row = deltas.row_mut(sample as usize);
                ids.iter().zip(coefs).for_each(|(&id, &delta)| row[id as usize] = delta);
            }
        }
        if !touched {
            return;
        }
        sums.clear();
        sums.resize(deltas.stride(), 0.0);
        (0..n).for_each(|i| (kernels.axpy)(1.0, deltas.row(i), sums));
        gradients.reset(units, stride);
        let (dims, of_logits) = ([units, stride, n], (deltas.as_slice(), deltas.stride()));
        let out = gradients.as_mut_slice();
        let inputs = inputs.as_slice();
        (kernels.gemm_across)(dims, of_logits.0, of_logits.1, inputs, stride, out, stride);
        let bias = each(self.bias.as_mut().map(crate::optim::Param::shards_mut));
        let rows = self.weights.shards_mut().into_iter().zip(bias).take(units);
        for (id, (mut weights, bias)) in rows.enumerate() {
            weights.update(kernels, update, 0, gradients.row_mut(id));
            if let Some(mut bias) = bias {
                bias.update(kernels, update, 0, &mut sums[id..=id]);
            }
        }
    }
}
