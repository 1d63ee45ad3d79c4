//! A dense layer, feature-major: each input owns a row of weights, one for every unit.
//!
//! A sparse input then touches few long rows. Forward is a sum of rows, the gradient of a row a
//! sum of deltas, and a dense input (the output of the layer before) is the case in which all
//! rows are present.

use crate::config::{Activation, DenseConfig};
use crate::hogwild::SharedSums;
use crate::optim::{Param, Update};
use crate::rng::{Rng, Stream};
use crate::rows::{Matrix, Rows};
use crate::simd::Kernels;
use crate::tape::{DenseTape, Lists, Tape};
use crate::touched::Edges;

use super::Place;
use super::activation::{scale_back, scale_to};
use super::inputs::{BatchInputs, Inputs};
use super::products;
use super::update::{Target, UpdateScratch};

/// What dropout needs to know; `None` outside training.
type Training = Option<(u64, u64)>;

/// A dense layer.
#[derive(Debug)]
pub struct Dense {
    weights: Param<'static>,
    bias: Param<'static>,
    sums: Option<SharedSums>,
    activation: Activation,
    norm: f32,
    dropout: f32,
    number: u64,
    ids: Vec<u32>,
    slots: Vec<u32>,
}

impl Dense {
    /// A layer with inputs of about norm 1.
    #[must_use]
    pub fn new(config: &DenseConfig, place: Place<'_>) -> Self {
        let Place { inputs, sparse, seed, number, .. } = place;
        let optimizer = config.optimizer.as_ref().unwrap_or(place.optimizer);
        let std = 1.0 / (config.units as f32).sqrt();
        let sizes = (inputs, config.units);
        let weights = Rows::random_as(config.dtype, sizes, std, (seed, number));
        let (stripes, sums) = (weights.stripes(), place.sums(&weights));
        let ids: Vec<u32> = if sparse { vec![] } else { (0..inputs as u32).collect() };
        Self {
            slots: ids.iter().map(|&id| stripes.slot(id)).collect(),
            ids,
            sums,
            weights: Param::new(weights, optimizer),
            bias: Param::new(Rows::zeros(1, config.units), optimizer),
            activation: config.activation,
            norm: config.norm.unwrap_or(0.0),
            dropout: config.dropout,
            number,
        }
    }

    /// Number of units.
    #[must_use]
    pub const fn units(&self) -> usize {
        self.weights.weights().width()
    }

    /// The weights, a row for each input.
    #[must_use]
    pub const fn weights(&self) -> &Param<'static> {
        &self.weights
    }

    /// The parameters: weights, then biases (one row).
    pub const fn params_mut(&mut self) -> (&mut Param<'static>, Option<&mut Param<'static>>) {
        (&mut self.weights, Some(&mut self.bias))
    }

    /// The parameters: weights, then biases (one row).
    #[must_use]
    pub const fn params(&self) -> (&Param<'static>, Option<&Param<'static>>) {
        (&self.weights, Some(&self.bias))
    }

    /// Finds the row of each feature.
    pub fn find_rows(&self, features: &mut Lists) {
        let stripes = self.weights.weights().stripes();
        features.slots.extend(features.ids.iter().map(|&id| stripes.slot(id)));
    }

    /// Pre-activations of the `n` samples of a block.
    pub fn forward(&self, kernels: &Kernels, inputs: Inputs<'_>, n: usize, tape: &mut DenseTape) {
        let weights = self.weights.weights();
        for i in 0..n {
            tape.outputs.row_mut(i).copy_from_slice(self.bias.weights().row(0));
        }
        match inputs {
            Inputs::Dense(inputs) => {
                let out = tape.outputs.as_mut_slice();
                weights.multiply(kernels, (inputs, n), out);
            }
            Inputs::Sparse(lists) => {
                for i in 0..n {
                    let range = lists.range(i);
                    let (slots, coefs) = (&lists.slots[range.clone()], &lists.coefs[range]);
                    weights.axpy_rows(kernels, slots, coefs, tape.outputs.row_mut(i));
                }
            }
        }
    }

    /// From pre-activations to outputs: activation, dropout, scaling to the norm.
    pub fn activate(
        &self,
        kernels: &Kernels,
        (first, n): (usize, usize),
        training: Training,
        tape: &mut DenseTape,
    ) {
        for i in 0..n {
            // Without the padding: a sigmoid of zero is not zero.
            let out = &mut tape.outputs.row_mut(i)[..self.units()];
            let slopes = &mut tape.slopes.row_mut(i)[..self.units()];
            self.activation.apply(out, slopes);
            if let Some((seed, step)) = training
                && self.dropout > 0.0
            {
                let item = self.number << 32 | (first + i) as u64;
                let mut rng = Rng::new(seed, Stream::HiddenDropout, step, item);
                for (a, slope) in out.iter_mut().zip(slopes.iter_mut()) {
                    let keep = f32::from(u8::from(rng.uniform() >= self.dropout));
                    *a *= keep / (1.0 - self.dropout);
                    *slope *= keep / (1.0 - self.dropout);
                }
            }
            tape.scales[i] = scale_to(kernels, self.norm, out);
        }
    }

    /// Turns the gradients of the outputs into those of the pre-activations.
    pub fn backward(&self, kernels: &Kernels, n: usize, tape: &mut DenseTape) {
        for i in 0..n {
            let delta = tape.deltas.row_mut(i);
            scale_back(kernels, (self.norm, tape.scales[i]), tape.outputs.row(i), delta);
            for (delta, slope) in delta.iter_mut().zip(tape.slopes.row(i)) {
                *delta *= slope;
            }
        }
    }

    /// The gradients of the inputs of sample `i`: of those in `slots`, or of all.
    pub fn input_gradients(
        &self,
        kernels: &Kernels,
        tape: &DenseTape,
        (i, slots): (usize, Option<&[u32]>),
        out: &mut [f32],
    ) {
        let slots = slots.unwrap_or(&self.slots);
        let out = &mut out[..slots.len()];
        self.weights.weights().dot_rows(kernels, slots, tape.deltas.row(i), out);
    }

    /// All inputs of a sample, as ids.
    #[must_use]
    pub fn inputs(&self) -> &[u32] {
        &self.ids
    }

    /// Whether the tasks of a step add to the same gradients.
    #[must_use]
    pub const fn races(&self) -> bool {
        self.sums.is_some()
    }

    /// Whether what layer `number` - this one - read in the batch of `tapes` were rows, and their
    /// gradients are products of matrices.
    #[must_use]
    pub fn takes_products(&self, tapes: &[Tape], number: usize) -> bool {
        let read = tapes.first().map(|tape| tape.inputs(number));
        matches!(read, Some(Inputs::Dense(_))) && !self.races()
    }

    /// Changes the rows that have edges in `parts` by the `deltas` of the samples of the batch.
    pub fn update_rows<'e, I: Iterator<Item = &'e Edges> + Clone>(
        &mut self,
        how: (&Kernels, &Update),
        parts: impl Fn() -> I + Sync,
        deltas: &Matrix,
        scratch: &mut UpdateScratch,
    ) {
        let target = Target {
            weights: &mut self.weights,
            bias: None,
            moved: None,
            sums: self.sums.as_ref(),
        };
        target.update(how, parts, BatchInputs::Dense(deltas), scratch);
    }

    /// Changes the rows of all inputs that some sample had, by matrix products.
    pub fn update_by_products(
        &mut self,
        how: (&Kernels, &Update),
        (tapes, number): (&[Tape], usize),
        deltas: &Matrix,
        scratch: &mut UpdateScratch,
    ) {
        products::update(&mut self.weights, how, (tapes, number), deltas, scratch);
    }

    /// Changes the biases by the `deltas` of the `n` samples of the batch; `sum` is room for their
    /// gradient.
    pub fn update_bias(
        &mut self,
        (kernels, update): (&Kernels, &Update),
        (deltas, n): (&Matrix, usize),
        sum: &mut Vec<f32>,
    ) {
        sum.clear();
        sum.resize(deltas.stride(), 0.0);
        for i in 0..n {
            (kernels.axpy)(1.0, deltas.row(i), sum);
        }
        self.bias.shards_mut()[0].update(kernels, update, 0, sum);
    }
}
