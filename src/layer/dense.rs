//! A dense layer, feature-major: each input owns a row of weights, one for every unit.
//!
//! A sparse input then touches few long rows. Forward is a sum of rows, the gradient of a row a
//! sum of deltas, and a dense input (the output of the layer before) is the case in which all
//! rows are present.

use crate::config::{Activation, DenseConfig, OptimizerConfig};
use crate::optim::{Param, Update};
use crate::rng::{Rng, Stream};
use crate::rows::{Matrix, Rows};
use crate::simd::Kernels;
use crate::tape::{DenseTape, Lists};
use crate::touched::Edges;

use super::update::{ShardScratch, Target};

/// Euclidean length; in f64 where the squares leave the range of f32.
fn length(kernels: &Kernels, x: &[f32]) -> f32 {
    let square = (kernels.dot)(x, x);
    if (1e-20..1e30).contains(&square) {
        return square.sqrt();
    }
    x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt() as f32
}

/// A sample with fewer features than this has none to spare.
const SHORT: usize = 8;

/// What dropout needs to know; `None` outside training.
type Training = Option<(u64, u64)>;

/// A dense layer.
#[derive(Debug)]
pub struct Dense {
    weights: Param,
    bias: Param,
    activation: Activation,
    norm: f32,
    dropout: f32,
    number: u64,
    ids: Vec<u32>,
    slots: Vec<u32>,
}

impl Dense {
    /// Layer `number` of a network, with `inputs` inputs of about norm 1.
    #[must_use]
    pub fn new(
        config: &DenseConfig,
        inputs: usize,
        optimizer: &OptimizerConfig,
        (seed, number): (u64, u64),
    ) -> Self {
        let std = 1.0 / (config.units as f32).sqrt();
        let weights = Rows::random(inputs, config.units, std, seed, number);
        let stripes = weights.stripes();
        let ids: Vec<u32> = if number == 0 { vec![] } else { (0..inputs as u32).collect() };
        Self {
            slots: ids.iter().map(|&id| stripes.slot(id)).collect(),
            ids,
            weights: Param::new(weights, optimizer),
            bias: Param::new(Rows::zeros(1, config.units), optimizer),
            activation: config.activation,
            norm: config.norm.unwrap_or(0.0),
            dropout: config.dropout,
            number,
        }
    }

    /// The weights, a row for each input.
    #[must_use]
    pub const fn weights(&self) -> &Param {
        &self.weights
    }

    /// The parameters: weights, then biases (one row).
    pub const fn params_mut(&mut self) -> [&mut Param; 2] {
        [&mut self.weights, &mut self.bias]
    }

    /// The parameters: weights, then biases (one row).
    #[must_use]
    pub const fn params(&self) -> [&Param; 2] {
        [&self.weights, &self.bias]
    }

    /// Sparse inputs: finds the row of each feature, and in training drops features; samples with
    /// fewer than eight keep them all.
    pub fn prepare(&self, features: &mut Lists, dropout: f32, first: usize, training: Training) {
        if let Some((seed, step)) = training
            && dropout > 0.0
        {
            let kept = 1.0 / (1.0 - dropout);
            for i in 0..features.ends.len() {
                let mut rng = Rng::new(seed, Stream::InputDropout, step, (first + i) as u64);
                let range = features.range(i);
                if range.len() < SHORT {
                    continue;
                }
                for coef in &mut features.coefs[range] {
                    *coef = if rng.uniform() < dropout { 0.0 } else { *coef * kept };
                }
            }
            features.drop_zeros();
        }
        let stripes = self.weights.weights().stripes();
        features.slots.extend(features.ids.iter().map(|&id| stripes.slot(id)));
    }

    /// Forward from sparse inputs.
    pub fn forward_sparse(&self, kernels: &Kernels, features: &Lists, tape: &mut DenseTape) {
        for i in 0..features.ends.len() {
            let range = features.range(i);
            let (slots, coefs) = (&features.slots[range.clone()], &features.coefs[range]);
            self.sum_rows(kernels, slots, coefs, tape.outputs.row_mut(i));
        }
    }

    /// Forward from the outputs of the layer before.
    pub fn forward_dense(
        &self,
        kernels: &Kernels,
        inputs: &Matrix,
        n: usize,
        tape: &mut DenseTape,
    ) {
        for i in 0..n {
            let coefs = &inputs.row(i)[..self.ids.len()];
            self.sum_rows(kernels, &self.slots, coefs, tape.outputs.row_mut(i));
        }
    }

    fn sum_rows(&self, kernels: &Kernels, slots: &[u32], coefs: &[f32], out: &mut [f32]) {
        out.copy_from_slice(self.bias.weights().row(0));
        (kernels.axpy_rows)(self.weights.weights().as_slice(), slots, coefs, out);
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
            let (out, slopes) = (tape.outputs.row_mut(i), tape.slopes.row_mut(i));
            match self.activation {
                Activation::Linear
                | Activation::Sigmoid
                | Activation::LeakyRelu
                | Activation::Gelu => slopes.fill(1.0),
                Activation::Relu => {
                    for (z, slope) in out.iter_mut().zip(slopes.iter_mut()) {
                        *slope = f32::from(u8::from(*z > 0.0));
                        // NaN stays NaN, where `max` would hide it.
                        *z = if *z < 0.0 { 0.0 } else { *z };
                    }
                }
                Activation::Tanh => {
                    for (z, slope) in out.iter_mut().zip(slopes.iter_mut()) {
                        *z = z.tanh();
                        *slope = 1.0 - *z * *z;
                    }
                }
            }
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
            tape.scales[i] = 1.0;
            if self.norm > 0.0 {
                let length = length(kernels, out);
                tape.scales[i] = if length > 0.0 { self.norm / length } else { 0.0 };
                (kernels.scale)(tape.scales[i], out);
            }
        }
    }

    /// Turns the gradients of the outputs into those of the pre-activations, and those into the
    /// gradients of the inputs, where the layer before wants them.
    pub fn backward(
        &self,
        kernels: &Kernels,
        n: usize,
        tape: &mut DenseTape,
        before: Option<&mut DenseTape>,
    ) {
        for i in 0..n {
            let delta = tape.deltas.row_mut(i);
            if self.norm > 0.0 {
                // h = norm a / |a|, so da = (norm / |a|) (dh - h (h . dh) / norm^2).
                let along = (kernels.dot)(tape.outputs.row(i), delta) / self.norm / self.norm;
                (kernels.axpy)(-along, tape.outputs.row(i), delta);
                (kernels.scale)(tape.scales[i], delta);
            }
            for (delta, slope) in delta.iter_mut().zip(tape.slopes.row(i)) {
                *delta *= slope;
            }
        }
        let Some(before) = before else { return };
        let weights = self.weights.weights().as_slice();
        for i in 0..n {
            let out = &mut before.deltas.row_mut(i)[..self.ids.len()];
            (kernels.dot_rows)(weights, &self.slots, tape.deltas.row(i), out);
        }
    }

    /// All inputs of a sample, as ids.
    #[must_use]
    pub fn inputs(&self) -> &[u32] {
        &self.ids
    }

    /// Changes the rows that have edges in `parts`, and the biases, by the `deltas` of the `n`
    /// samples of the batch. `sum` is room for the gradient of the biases.
    pub fn update<'e, I: Iterator<Item = &'e Edges> + Clone>(
        &mut self,
        how: (&Kernels, &Update),
        parts: impl Fn() -> I + Sync,
        (deltas, n): (&Matrix, usize),
        scratch: &mut [ShardScratch],
        sum: &mut Vec<f32>,
    ) {
        let target = Target { weights: &mut self.weights, bias: None, moved: None };
        target.update(how, parts, deltas, scratch);
        let (kernels, update) = how;
        sum.clear();
        sum.resize(deltas.stride(), 0.0);
        for i in 0..n {
            (kernels.axpy)(1.0, deltas.row(i), sum);
        }
        self.bias.shards_mut()[0].update(kernels, update, 0, sum);
    }
}
