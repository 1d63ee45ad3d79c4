//! Random neurons that a block of samples shares, computed for all of it at once: a row is read once
//! forward and once backward, and meets the samples as a product of small matrices.

use crate::rows::Matrix;
use crate::simd::Kernels;
use crate::tape::{SampledTape, SharedTape};

use super::Sampled;

/// Rows that meet the samples at a time: with the samples they fill half of a first-level cache.
const TILE: usize = 16;

impl Sampled<'_> {
    /// Computes the logits of all shared neurons for all `n` samples. Each has the bits that
    /// [`Sampled::row_sums`](Sampled) gives.
    pub(super) fn shared_logits(
        &self,
        kernels: &Kernels,
        (inputs, n): (&Matrix, usize),
        tape: &mut SampledTape,
    ) {
        let SampledTape { shared, products, .. } = tape;
        let SharedTape { slots, values, rows, sums, .. } = products;
        let (weights, stripes) = (self.weights.weights(), self.stripes());
        slots.clear();
        slots.extend(shared.ids().iter().map(|&id| stripes.slot(id)));
        let stride = weights.stride();
        values.reshape(n, slots.len());
        rows.resize(TILE * stride, 0.0);
        sums.resize(TILE * n, 0.0);
        let x = &inputs.as_slice()[..n * stride];
        let bias = self.bias.as_ref().map(|bias| bias.weights().as_slice());
        for first in (0..slots.len()).step_by(TILE) {
            let (slots, next) = slots[first..].split_at(TILE.min(slots.len() - first));
            let rows = &mut rows[..slots.len() * stride];
            weights.gather(kernels, slots, next, rows);
            let sums = &mut sums[..slots.len() * n];
            (kernels.f32.products)(rows, x, stride, &[], sums);
            let mut biases = [0.0; TILE];
            if let Some(bias) = bias {
                slots.iter().zip(&mut biases).for_each(|(&slot, to)| *to = bias[slot as usize]);
            }
            for (i, sums) in sums.chunks_exact(slots.len()).enumerate() {
                let logits = &mut values.row_mut(i)[first..first + slots.len()];
                let terms = sums.iter().zip(&biases);
                logits.iter_mut().zip(terms).for_each(|(logit, (sum, bias))| *logit = sum + bias);
            }
        }
    }

    /// Adds the gradients of the inputs that come from the shared neurons to those in `out`.
    pub(super) fn shared_gradients(
        &self,
        kernels: &Kernels,
        n: usize,
        tape: &SharedTape,
        out: &mut Matrix,
    ) {
        let SharedTape { slots, values, .. } = tape;
        let deltas = ((values.as_slice(), values.stride()), n);
        self.weights.weights().multiply_chosen(kernels, deltas, slots, out.as_mut_slice());
    }
}

impl SampledTape {
    /// Writes the logits of the shared neurons that sample `i` took behind those of its own.
    pub(super) fn read_shared(&mut self, i: usize) {
        let Self { active, shared, products, .. } = self;
        let first = active.range(i).end - shared.count(i);
        let mut out = &mut active.coefs[first..];
        for run in shared.runs(i) {
            let logits = &products.values.row(i)[run];
            out.split_off_mut(..logits.len()).unwrap_or_default().copy_from_slice(logits);
        }
    }

    /// Puts the deltas of the shared neurons that sample `i` took in the place of all logits.
    pub(super) fn write_shared(&mut self, i: usize) {
        let Self { active, shared, products, .. } = self;
        let mut deltas = &active.coefs[active.range(i).end - shared.count(i)..];
        let row = products.values.row_mut(i);
        row.fill(0.0);
        for run in shared.runs(i) {
            let len = run.len();
            row[run].copy_from_slice(deltas.split_off(..len).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Dtype, OptimizerConfig, OutputConfig, SamplerConfig, UpdateMode};
    use crate::layer::{Inputs, Place};
    use crate::rng::{Rng, Stream};
    use crate::tape::BLOCK;

    const UNITS: usize = 700;

    fn layer(width: usize, (bias, dtype): (bool, Dtype)) -> Sampled<'static> {
        let config = OutputConfig {
            units: UNITS,
            bias,
            sampler: SamplerConfig::Full {},
            dtype: Some(dtype),
            optimizer: None,
        };
        let optimizer = &OptimizerConfig::Adagrad { lr: Some(0.1), eps: 1e-8 };
        let (sparse, input_norm, update) = (false, 1.0, UpdateMode::Sharded);
        let place =
            Place { inputs: width, sparse, input_norm, optimizer, update, seed: 3, number: 1 };
        let mut layer = Sampled::output(&config, place);
        if let Some(bias) = &mut layer.bias {
            bias.weights_mut().assign((0..UNITS).map(|id| (id as f32).sin()));
        }
        layer
    }

    /// A block of inputs, and a tape whose samples have taken shared neurons, the first of them none.
    fn block(width: usize, n: usize) -> (Matrix, SampledTape) {
        let mut inputs = Matrix::zeros(BLOCK, width);
        for i in 0..n {
            let mut rng = Rng::new(1, Stream::Probe, 0, i as u64);
            rng.fill_normal(1.0, &mut inputs.row_mut(i)[..width]);
        }
        let mut tape = SampledTape::default();
        tape.shared.refill(|ids| ids.extend((0..53).map(|k| k * 13 % UNITS as u32)));
        tape.products.apart = true;
        for i in 0..n {
            let known = [13 * i as u32, 5, 260];
            let missing = if i == 0 { 0 } else { 20 + i };
            let ids = tape.shared.ids().to_vec();
            let ids = ids.into_iter().filter(|id| !known.contains(id)).take(missing);
            tape.active.ids.extend(known.into_iter().chain(ids));
            tape.active.ends.push(tape.active.ids.len());
            tape.shared.take(missing, &known);
        }
        (inputs, tape)
    }

    #[test]
    fn a_block_at_once_is_every_sample_on_its_own_to_the_bit() {
        for kernels in Kernels::available() {
            for (width, n) in [(16, 1), (128, 16), (50, 7)] {
                let halves = [(true, Dtype::Bf16), (true, Dtype::F16)];
                for what in [true, false].map(|bias| (bias, Dtype::F32)).into_iter().chain(halves) {
                    let layer = layer(width, what);
                    let (inputs, mut tape) = block(width, n);
                    layer.shared_logits(&kernels, (&inputs, n), &mut tape);
                    let mut together = Matrix::zeros(BLOCK, width);
                    let mut alone = together.clone();
                    for i in 0..n {
                        layer.sums(&kernels, Inputs::Dense(&inputs), i, &mut tape);
                        tape.read_shared(i);
                        let range = tape.active.range(i);
                        let ids = &tape.active.ids[range.clone()];
                        let slots: Vec<u32> =
                            ids.iter().map(|&id| layer.stripes().slot(id)).collect();
                        let mut wanted = vec![0.0; ids.len()];
                        let of = (Inputs::Dense(&inputs), i);
                        layer.row_sums(&kernels, of, &slots, &mut wanted);
                        assert_eq!(tape.active.coefs[range.clone()], wanted, "{}", kernels.name);
                        // Deltas are whatever numbers; here the logits.
                        tape.write_shared(i);
                        let own = tape.own(i);
                        assert_eq!(own.len(), 3);
                        let (own, all) = (own.len(), tape.active.coefs[range].to_vec());
                        let edges = (&slots[..own], &all[..own]);
                        layer.row_gradients(&kernels, edges, None, together.row_mut(i));
                        layer.row_gradients(&kernels, (&slots, &all), None, alone.row_mut(i));
                    }
                    layer.shared_gradients(&kernels, n, &tape.products, &mut together);
                    assert_eq!(together.as_slice(), alone.as_slice(), "{} {width}", kernels.name);
                }
            }
        }
    }
}
