//! Optimisers on touched rows only, and the parameters they change.
//!
//! A row that no sample of a batch had active is neither read nor written: its moments rest
//! (the semantics of `torch.optim.SparseAdam`), while bias correction uses the global step.

use crate::config::OptimizerConfig;
use crate::rows::{Rows, SHARDS};
use crate::simd::{AdamStep, Kernels};

/// What one optimiser step does to a row.
#[derive(Clone, Copy, Debug)]
pub enum Update {
    /// Adam (Kingma and Ba, 2015, algorithm 1).
    Adam(AdamStep),
    /// Plain gradient descent.
    Sgd {
        /// Learning rate.
        lr: f32,
    },
}

impl Update {
    /// The update of step `t`, counted from 1, at learning rate `lr`.
    #[must_use]
    pub fn new(config: &OptimizerConfig, lr: f32, t: u64) -> Self {
        match *config {
            OptimizerConfig::Sgd { .. } | OptimizerConfig::Adagrad { .. } => Self::Sgd { lr },
            OptimizerConfig::Adam { beta1, beta2, eps, .. } => {
                let unbias = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf(t as f64))) as f32;
                let (bias1, bias2) = (unbias(beta1), unbias(beta2));
                Self::Adam(AdamStep { lr, beta1, beta2, eps, bias1, bias2 })
            }
        }
    }
}

/// Weights with whatever the optimiser remembers of them.
#[derive(Clone, Debug)]
pub struct Param {
    weights: Rows,
    moments: Option<[Rows; 2]>,
}

impl Param {
    /// Takes `weights`; nothing is remembered yet.
    #[must_use]
    pub fn new(weights: Rows, optimizer: &OptimizerConfig) -> Self {
        let moments = match optimizer {
            OptimizerConfig::Adam { .. } => Some([weights.zeros_like(), weights.zeros_like()]),
            OptimizerConfig::Sgd { .. } | OptimizerConfig::Adagrad { .. } => None,
        };
        Self { weights, moments }
    }

    /// The weights.
    #[must_use]
    pub const fn weights(&self) -> &Rows {
        &self.weights
    }

    /// The weights.
    pub const fn weights_mut(&mut self) -> &mut Rows {
        &mut self.weights
    }

    /// First and second moments, where the optimiser keeps them.
    #[must_use]
    pub const fn moments(&self) -> Option<&[Rows; 2]> {
        self.moments.as_ref()
    }

    /// First and second moments, where the optimiser keeps them.
    pub const fn moments_mut(&mut self) -> Option<&mut [Rows; 2]> {
        self.moments.as_mut()
    }

    /// Every shard, to be changed by one task each.
    #[must_use]
    pub fn shards_mut(&mut self) -> [ParamShard<'_>; SHARDS] {
        let stride = self.weights.stride();
        let mut weights = self.weights.shards_mut().into_iter();
        let mut moments =
            self.moments.as_mut().map(|rows| rows.each_mut().map(|r| r.shards_mut().into_iter()));
        std::array::from_fn(|_| {
            let next = moments.as_mut().map(|m| m.each_mut().map(|m| m.next().unwrap_or_default()));
            let [m, v] = next.unwrap_or_default();
            ParamShard { w: weights.next().unwrap_or_default(), m, v, stride }
        })
    }
}

/// One shard of a parameter.
#[derive(Debug)]
pub struct ParamShard<'a> {
    w: &'a mut [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    stride: usize,
}

impl ParamShard<'_> {
    /// The weights of the shard.
    #[must_use]
    pub const fn weights(&self) -> &[f32] {
        self.w
    }

    /// Asks for the row at place `local`, which will be changed soon.
    pub fn prefetch(&self, kernels: &Kernels, local: usize) {
        let place = local * self.stride..(local + 1) * self.stride;
        for floats in [&*self.w, &*self.m, &*self.v] {
            if let Some(row) = floats.get(place.clone()) {
                (kernels.prefetch)(row);
            }
        }
    }

    /// Changes the row at place `local` by its `gradient`, which is as long as the stride.
    pub fn update(&mut self, kernels: &Kernels, update: &Update, local: usize, gradient: &[f32]) {
        let place = local * self.stride..(local + 1) * self.stride;
        let w = &mut self.w[place.clone()];
        match update {
            Update::Adam(step) => {
                (kernels.adam)(step, w, &mut self.m[place.clone()], &mut self.v[place], gradient);
            }
            Update::Sgd { lr } => (kernels.axpy)(-lr, gradient, w),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADAM: OptimizerConfig = OptimizerConfig::Adam {
        lr: None,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        mode: crate::config::AdamMode::Lazy,
    };

    #[test]
    fn a_row_that_is_not_touched_rests() {
        let kernels = Kernels::available().last().unwrap();
        let mut param = Param::new(Rows::random(200, 20, 1.0, 0, 0), &ADAM);
        let before = param.clone();
        let gradient = vec![0.5; 32];
        param.shards_mut()[3].update(&kernels, &Update::new(&ADAM, 0.1, 1), 1, &gradient);
        for id in 0..200 {
            let same = param.weights().row(id) == before.weights().row(id);
            assert_eq!(same, id != 64 + 3);
        }
    }

    #[test]
    fn the_first_adam_step_is_as_long_as_the_learning_rate() {
        let kernels = Kernels::available().last().unwrap();
        let mut param = Param::new(Rows::zeros(1, 1), &ADAM);
        param.shards_mut()[0].update(&kernels, &Update::new(&ADAM, 0.1, 1), 0, &[3.0; 16]);
        // m / (1 - beta1) = g and sqrt(v / (1 - beta2)) = |g|, each to a few roundings.
        assert!((param.weights().row(0)[0] + 0.1).abs() < 1e-6);
    }

    #[test]
    fn gradient_descent_keeps_no_moments() {
        let kernels = Kernels::available().last().unwrap();
        let sgd = OptimizerConfig::Sgd { lr: None, momentum: 0.0, nesterov: false };
        let mut param = Param::new(Rows::zeros(70, 3), &sgd);
        assert!(param.moments().is_none());
        param.shards_mut()[5].update(&kernels, &Update::new(&sgd, 0.5, 9), 1, &[2.0; 16]);
        assert_eq!(param.weights().row(69)[..3], [-1.0; 3]);
    }
}
