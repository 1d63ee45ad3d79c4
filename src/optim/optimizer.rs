//! The optimiser of a group of parameters, and one step of it.

use crate::config::{ClipConfig, OptimizerConfig};
use crate::simd::Kernels;

use super::Param;
use super::adam::Adam;
use super::history::History;
use super::sgd::Sgd;

/// What one optimiser step does to a row.
#[derive(Clone, Debug)]
pub struct Update {
    pub(super) rule: Rule,
    pub(super) clip: ClipConfig,
    pub(super) lr: f32,
    pub(super) t: u64,
    pub(super) history: History,
}

/// How a gradient becomes a change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// Adam and `AdamW`.
    Adam(Adam),
    /// Gradient descent, with momentum or without.
    Sgd(Sgd),
    /// Adagrad with one accumulator a row.
    Adagrad {
        /// Added to the root of the accumulator.
        eps: f32,
    },
}

impl Update {
    /// The update of step `t`, counted from 1, at learning rate `lr`, without clipping: a lone
    /// step, before which no row has missed anything. See [`Optimizer`] for many.
    #[must_use]
    pub fn new(config: &OptimizerConfig, lr: f32, t: u64) -> Self {
        let mut update = Self::idle(config, ClipConfig::default());
        update.begin(lr, t);
        update
    }

    /// Whether gradients are clipped.
    pub(super) const fn clips(&self) -> bool {
        self.clip.value.is_some() || self.clip.norm.is_some()
    }

    fn idle(config: &OptimizerConfig, clip: ClipConfig) -> Self {
        let rule = match *config {
            OptimizerConfig::Adam { beta1, beta2, eps, weight_decay, mode, .. } => {
                Rule::Adam(Adam::new([beta1, beta2], eps, weight_decay, mode))
            }
            OptimizerConfig::Sgd { momentum, nesterov, .. } => {
                Rule::Sgd(Sgd { momentum, nesterov })
            }
            OptimizerConfig::Adagrad { eps, .. } => Rule::Adagrad { eps },
        };
        Self { rule, clip, lr: 0.0, t: 0, history: History::default() }
    }

    fn begin(&mut self, lr: f32, t: u64) {
        if self.t == t && self.history.now() > 0 {
            self.history.pop();
        }
        (self.lr, self.t) = (lr, t);
        let Rule::Adam(adam) = &mut self.rule else { return };
        adam.begin(lr, t);
        if adam.has_history() {
            let decay = 1.0 - f64::from(lr) * f64::from(adam.weight_decay);
            self.history.push(t, lr, decay);
        } else if adam.has_stamps() {
            self.history.count();
        }
    }

    /// Learning rate.
    #[must_use]
    pub const fn lr(&self) -> f32 {
        self.lr
    }

    /// Number of the step, counted from 1.
    #[must_use]
    pub const fn t(&self) -> u64 {
        self.t
    }
}

/// The optimiser of a group of parameters: its settings, and the steps since every row was up to
/// date.
///
/// ```
/// # use slide_rs::{config::{ClipConfig, OptimizerConfig}, optim::{Optimizer, Param}};
/// # use slide_rs::{rows::Rows, simd::Kernels};
/// # let kernels = Kernels::detect()?;
/// let sgd = OptimizerConfig::Sgd { lr: None, momentum: 0.0, nesterov: false };
/// let mut optimizer = Optimizer::new(&sgd, ClipConfig::default());
/// let mut param = Param::new(Rows::zeros(10, 1), &sgd);
/// optimizer.begin(0.5, 1);
/// let mut gradient = [0.0; 16];
/// gradient[0] = 2.0;
/// param.shards_mut()[3].update(&kernels, optimizer.update(), 0, &mut gradient);
/// optimizer.flush(&kernels, [&mut param]);
/// assert_eq!(param.weights().row(3)[0], -1.0);
/// # Ok::<(), slide_rs::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Optimizer {
    update: Update,
}

impl Optimizer {
    /// No step has been made yet.
    #[must_use]
    pub fn new(config: &OptimizerConfig, clip: ClipConfig) -> Self {
        Self { update: Update::idle(config, clip) }
    }

    /// Begins step `t`, counted from 1, at learning rate `lr`. A step that was begun and not made
    /// is replaced if it had the same number.
    pub fn begin(&mut self, lr: f32, t: u64) -> &Update {
        self.update.begin(lr, t);
        &self.update
    }

    /// The step that was begun last.
    #[must_use]
    pub const fn update(&self) -> &Update {
        &self.update
    }

    /// Whether every row is to be as if it had been touched in every step: then it is flushed after
    /// each.
    #[must_use]
    pub const fn is_dense(&self) -> bool {
        matches!(self.update.rule, Rule::Adam(adam) if adam.is_dense())
    }

    /// Whether rows may have missed steps that [`Optimizer::flush`] would make up for.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        self.update.history.now() > 0
    }

    /// The learning rates of the steps that rows may have missed.
    #[must_use]
    pub fn missed(&self) -> Vec<f32> {
        self.update.history.rates()
    }

    /// Takes what [`Optimizer::missed`] gave after step `last`: these steps were made, but not on
    /// all rows.
    pub fn remember(&mut self, last: u64, rates: &[f32]) {
        let before = last.saturating_sub(rates.len() as u64);
        for (t, &lr) in (before + 1..).zip(rates) {
            self.update.begin(lr, t);
        }
    }

    /// Brings every row of the group up to date, as if it had been touched with a zero gradient in
    /// every step that was begun; the history is then dropped. `params` must be all that this
    /// optimiser changes. A step must not be begun and flushed before it is made.
    pub fn flush<'a, 'm: 'a>(
        &mut self,
        kernels: &Kernels,
        params: impl IntoIterator<Item = &'a mut Param<'m>>,
    ) {
        if !self.is_pending() {
            return;
        }
        for param in params {
            param.flush(kernels, &self.update);
        }
        self.update.history.clear();
    }

    /// Takes back a step that was begun and is not made after all.
    pub fn cancel(&mut self) {
        self.update.history.pop();
        self.update.t = 0;
    }
}
