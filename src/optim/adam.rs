//! Adam (Kingma and Ba, 2015, algorithm 1) and `AdamW`.

use crate::config::AdamMode;
use crate::simd::{AdamStep, Kernels, State};

use super::history::History;
use super::optimizer::Update;
use super::row::Entries;
use super::stored::Stored;

/// The settings of Adam.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adam {
    pub(super) beta1: f32,
    pub(super) beta2: f32,
    pub(super) eps: f32,
    pub(super) weight_decay: f32,
    pub(super) mode: AdamMode,
    /// The current step on a row that has missed none: its powers are taken once, not per row.
    step: AdamStep,
}

impl Adam {
    /// No step has begun.
    pub(super) fn new(
        [beta1, beta2]: [f32; 2],
        eps: f32,
        weight_decay: f32,
        mode: AdamMode,
    ) -> Self {
        let (keep1, keep2, decay, lr) = (beta1, beta2, 1.0, 0.0);
        let step = AdamStep { lr, beta1, beta2, keep1, keep2, decay, eps, bias1: 1.0, bias2: 1.0 };
        Self { beta1, beta2, eps, weight_decay, mode, step }
    }

    /// Begins step `t`.
    pub(super) fn begin(&mut self, lr: f32, t: u64) {
        self.step = self.step_at(lr, t);
    }

    /// The constants of the current step on a row that has missed none.
    pub(super) const fn step(&self) -> &AdamStep {
        &self.step
    }

    /// Whether a row has to remember when it was touched.
    pub(super) const fn has_stamps(&self) -> bool {
        has_stamps(self.mode, self.weight_decay)
    }

    /// Whether missed steps move a row.
    pub(super) const fn is_dense(&self) -> bool {
        matches!(self.mode, AdamMode::Dense)
    }

    /// Whether more than the number of the missed steps has to be known.
    pub(super) const fn has_history(&self) -> bool {
        matches!(self.mode, AdamMode::Dense) || self.weight_decay > 0.0
    }

    /// The constants of step `t`.
    fn step_at(&self, lr: f32, t: u64) -> AdamStep {
        let Self { beta1, beta2, eps, weight_decay, .. } = *self;
        let unbias = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf(t as f64))) as f32;
        let (bias1, bias2) = (unbias(beta1), unbias(beta2));
        let decay = (1.0 - f64::from(lr) * f64::from(weight_decay)) as f32;
        let (keep1, keep2) = (beta1, beta2);
        AdamStep { lr, beta1, beta2, keep1, keep2, decay, eps, bias1, bias2 }
    }

    /// The constants of the step `update` on a row that has seen `seen` steps.
    #[inline]
    fn step_on(&self, update: &Update, seen: u32) -> AdamStep {
        let mut step = self.step;
        if !self.is_dense() && self.weight_decay > 0.0 {
            // A lone step owes its own decay, whatever the row has seen of others.
            let before = update.history.now().saturating_sub(1);
            step.decay = update.history.decay_since(seen.min(before));
        }
        let missed = update.history.now().saturating_sub(seen).saturating_sub(1);
        if self.mode == AdamMode::CatchUp && missed > 0 {
            step.keep1 = power(self.beta1, missed + 1);
            step.keep2 = power(self.beta2, missed + 1);
        }
        step
    }

    /// Replays steps of the past with zero gradients, up to and including step `until`.
    fn replay(
        &self,
        kernels: &Kernels,
        history: &History,
        (seen, until): (u32, u32),
        row: &mut Stored<'_>,
    ) {
        for past in history.between(seen, until) {
            row.change(kernels, &self.step_at(past.lr, past.t), past.t, None);
        }
    }

    /// Changes a row that has seen `seen` steps by its gradient, which may come with the sum of its
    /// squares.
    #[inline]
    pub(super) fn change(
        &self,
        kernels: &Kernels,
        (update, seen): (&Update, u32),
        row: &mut Stored<'_>,
        g: (&[f32], Option<f32>),
    ) {
        if self.is_dense() {
            let last = update.history.now().saturating_sub(1);
            self.replay(kernels, &update.history, (seen, last), row);
        }
        row.change(kernels, &self.step_on(update, seen), update.t, Some(g));
    }

    /// Changes entries, each with a second moment of its own, that have missed nothing.
    pub(super) fn change_entries(
        &self,
        kernels: &Kernels,
        Entries { w, m, v }: &mut Entries<'_>,
        g: &[f32],
    ) {
        let row = State { w, m, v, soon: 0 };
        (kernels.f32.adam.entries)(&self.step, (0, 0), row, g);
    }

    /// Pays what is owed to a row that has seen `seen` steps.
    pub(super) fn flush(
        &self,
        kernels: &Kernels,
        (update, seen): (&Update, u32),
        mut row: Stored<'_>,
    ) {
        let history = &update.history;
        if self.is_dense() {
            self.replay(kernels, history, (seen, history.now()), &mut row);
            return;
        }
        let missed = history.now().saturating_sub(seen);
        let means = [power(self.beta1, missed), power(self.beta2, missed)];
        let decay = (self.weight_decay > 0.0).then(|| history.decay_since(seen));
        row.scale(kernels, update.t, decay, (self.mode == AdamMode::CatchUp).then_some(means));
    }
}

/// Whether a row has to remember when it was touched.
pub(crate) const fn has_stamps(mode: AdamMode, weight_decay: f32) -> bool {
    !matches!(mode, AdamMode::Lazy) || weight_decay > 0.0
}

fn power(beta: f32, steps: u32) -> f32 {
    f64::from(beta).powi(i32::try_from(steps).unwrap_or(i32::MAX)) as f32
}
