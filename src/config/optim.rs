//! How weights are changed.

use serde::{Deserialize, Serialize};

use crate::error::Result;

use super::Dtype;
use super::check::{ensure, share};

/// How weights are changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Adam on the touched rows.
    Adam {
        /// Learning rate.
        lr: Option<f32>,
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the root of the second moment.
        eps: f32,
        /// Share of a weight that is lost in a step at rate 1 (decoupled, as in `AdamW`).
        weight_decay: f32,
        /// What happens to rows that are not touched.
        mode: Mode,
        /// What has a second moment of its own.
        #[serde(default = "every_entry")]
        second_moment: Option<SecondMoment>,
        /// How moments are stored: the first, and the second where every entry has one.
        #[serde(default = "floats")]
        moments: Option<Dtype>,
    },
    /// Gradient descent on the touched rows.
    Sgd {
        /// Learning rate.
        lr: Option<f32>,
        /// Share of the step before that is kept.
        momentum: f32,
        /// Whether the gradient is taken ahead, as Nesterov does.
        nesterov: bool,
    },
    /// Adagrad with one accumulator a row.
    Adagrad {
        /// Learning rate.
        lr: Option<f32>,
        /// Added to the root of the accumulator.
        eps: f32,
    },
}

/// What Adam does about the steps in which a row was not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Its moments rest.
    Lazy,
    /// Its moments decay when it is next touched.
    CatchUp,
    /// As if the gradient had been zero: its moments decay and move it.
    Dense,
}

/// What documents meant before there was a choice.
#[expect(clippy::unnecessary_wraps, reason = "the default of a field that may be open")]
const fn every_entry() -> Option<SecondMoment> {
    Some(SecondMoment::Entry)
}

/// What documents meant before there was a choice.
#[expect(clippy::unnecessary_wraps, reason = "the default of a field that may be open")]
const fn floats() -> Option<Dtype> {
    Some(Dtype::F32)
}

/// What has a second moment of its own in Adam.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondMoment {
    /// Every weight: the running mean of its squared gradient.
    #[default]
    Entry,
    /// Every row: the running mean of the mean square of its gradient.
    Row,
}

/// Limits on the gradient of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipConfig {
    /// The Euclidean norm it is scaled down to.
    pub norm: Option<f32>,
    /// The absolute value that its entries are cut at.
    pub value: Option<f32>,
}

/// How the learning rate changes over a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Steps over which the rate rises from zero.
    pub warmup: Option<u64>,
    /// What happens afterwards.
    pub decay: Decay,
}

/// What the learning rate does after its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Half a cosine down to zero at the end of the run.
    Cosine,
    /// It stays.
    Constant,
    /// A straight line down to zero at the end of the run.
    Linear,
    /// It is multiplied now and then.
    Step {
        /// Steps between.
        every: u64,
        /// The factor.
        gamma: f32,
    },
    /// Half a cosine up from a 25th over the first three tenths of the run, then half a cosine
    /// down to a 250,000th (Smith and Topin, "Super-convergence", 2018).
    OneCycle,
}

/// Adam's learning rate by rule.
const ADAM_LR: f32 = 5e-3;

impl OptimizerConfig {
    /// The learning rate; 0 where it is left open.
    #[must_use]
    pub fn lr(&self) -> f32 {
        let (Self::Adam { lr, .. } | Self::Sgd { lr, .. } | Self::Adagrad { lr, .. }) = self;
        lr.unwrap_or(0.0)
    }

    /// Checks every value that is given.
    ///
    /// # Errors
    ///
    /// If a value is outside what it may be; the error names it.
    pub fn check(&self) -> Result<()> {
        let positive = |name: &'static str, x: f32| {
            ensure(x.is_finite() && x > 0.0, name, x, "a positive number")
        };
        let (Self::Adam { lr, .. } | Self::Sgd { lr, .. } | Self::Adagrad { lr, .. }) = *self;
        positive("optimizer.lr", lr.unwrap_or(1.0))?;
        match *self {
            Self::Adam { beta1, beta2, eps, weight_decay, moments, .. } => {
                let fine = moments != Some(Dtype::F16);
                ensure(fine, "optimizer.moments", "f16", "f32 or bf16, which has small numbers")?;
                share("optimizer.beta1", beta1)?;
                share("optimizer.beta2", beta2)?;
                positive("optimizer.eps", eps)?;
                let fine = weight_decay >= 0.0 && weight_decay * lr.unwrap_or(ADAM_LR) < 1.0;
                let wanted = "at least 0, and below 1 when multiplied by lr";
                ensure(fine, "optimizer.weight_decay", weight_decay, wanted)
            }
            Self::Sgd { momentum, nesterov, .. } => {
                share("optimizer.momentum", momentum)?;
                let fine = !nesterov || momentum > 0.0;
                ensure(fine, "optimizer.nesterov", "true", "false without momentum")
            }
            Self::Adagrad { eps, .. } => positive("optimizer.eps", eps),
        }
    }

    /// Fills in what is open; `wide` says that it is for rows of which a step touches few, and
    /// which wait for memory.
    ///
    /// Adam is light there. In `dense` mode, which is for comparison with other implementations, it
    /// never is by rule.
    pub(crate) fn resolve(&mut self, wide: bool) {
        match self {
            Self::Adam { lr, mode, second_moment, moments, .. } => {
                lr.get_or_insert(ADAM_LR);
                let light = wide && *mode != Mode::Dense;
                let by_rule = if light { SecondMoment::Row } else { SecondMoment::Entry };
                let second = *second_moment.get_or_insert(by_rule);
                // Second moments in halves are noisy: by rule there are none.
                let halves = light && second == SecondMoment::Row;
                moments.get_or_insert(if halves { Dtype::Bf16 } else { Dtype::F32 });
            }
            Self::Sgd { lr, .. } => _ = lr.get_or_insert(1.0),
            Self::Adagrad { lr, .. } => _ = lr.get_or_insert(0.05),
        }
    }
}

impl ClipConfig {
    /// Checks every value that is given.
    ///
    /// # Errors
    ///
    /// If a value is outside what it may be; the error names it.
    pub fn check(&self) -> Result<()> {
        for (name, limit) in [("clip.norm", self.norm), ("clip.value", self.value)] {
            let limit = limit.unwrap_or(1.0);
            ensure(limit.is_finite() && limit > 0.0, name, limit, "a positive number")?;
        }
        Ok(())
    }
}

impl ScheduleConfig {
    /// Checks every value.
    pub(super) fn check(&self) -> Result<()> {
        let Decay::Step { every, gamma } = self.decay else { return Ok(()) };
        ensure(every > 0, "schedule.every", every, "at least 1 step")?;
        let fine = gamma > 0.0 && gamma <= 1.0;
        ensure(fine, "schedule.gamma", gamma, "above 0 and at most 1")
    }
}
