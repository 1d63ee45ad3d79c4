//! Adam (Kingma and Ba, 2015, algorithm 1) and `AdamW`.

use crate::config::AdamMode;
use crate::simd::{AdamStep, Kernels};

use super::history::History;
use super::optimizer::Update;
use super::row::Entries;

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

/// What Adam does to one row in one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    step: AdamStep,
    /// Steps that the row has seen.
    seen: u32,
    replays: bool,
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

    /// What the step `update` does to a row that has seen `seen` steps.
    pub(super) fn row(&self, update: &Update, seen: u32) -> Row {
        let mut step = self.step;
        let replays = self.mode == AdamMode::Dense;
        if !replays && self.weight_decay > 0.0 {
            // A lone step owes its own decay, whatever the row has seen of others.
            let before = update.history.now().saturating_sub(1);
            step.decay = update.history.decay_since(seen.min(before));
        }
        let missed = update.history.now().saturating_sub(seen).saturating_sub(1);
        if self.mode == AdamMode::CatchUp && missed > 0 {
            step.keep1 = power(self.beta1, missed + 1);
            step.keep2 = power(self.beta2, missed + 1);
        }
        Row { step, seen, replays }
    }

    /// Replays steps of the past with zero gradients, up to and including step `until`.
    fn replay(
        &self,
        kernels: &Kernels,
        history: &History,
        (seen, until): (u32, u32),
        entries: &mut Entries<'_>,
    ) {
        /// As many zeros as are needed at a time.
        const ZEROS: [f32; 256] = [0.0; 256];
        for past in history.between(seen, until) {
            let step = self.step_at(past.lr, past.t);
            let w = entries.w.chunks_mut(ZEROS.len());
            let moments = entries.m.chunks_mut(ZEROS.len()).zip(entries.v.chunks_mut(ZEROS.len()));
            for (w, (m, v)) in w.zip(moments) {
                let zeros = &ZEROS[..w.len()];
                (kernels.adam)(&step, w, m, v, zeros);
            }
        }
    }

    /// Changes entries by their gradient.
    pub(super) fn change(
        &self,
        kernels: &Kernels,
        (update, row): (&Update, &Row),
        entries: &mut Entries<'_>,
        g: &[f32],
    ) {
        if row.replays {
            let last = update.history.now().saturating_sub(1);
            self.replay(kernels, &update.history, (row.seen, last), entries);
        }
        (kernels.adam)(&row.step, entries.w, entries.m, entries.v, g);
    }

    /// Pays what is owed to entries of a row that has seen `seen` steps.
    pub(super) fn flush(
        &self,
        kernels: &Kernels,
        history: &History,
        seen: u32,
        entries: &mut Entries<'_>,
    ) {
        if self.mode == AdamMode::Dense {
            self.replay(kernels, history, (seen, history.now()), entries);
            return;
        }
        if self.weight_decay > 0.0 {
            (kernels.scale)(history.decay_since(seen), entries.w);
        }
        if self.mode == AdamMode::CatchUp {
            let missed = history.now().saturating_sub(seen);
            (kernels.scale)(power(self.beta1, missed), entries.m);
            (kernels.scale)(power(self.beta2, missed), entries.v);
        }
    }
}

/// Whether a row has to remember when it was touched.
pub(super) const fn has_stamps(mode: AdamMode, weight_decay: f32) -> bool {
    !matches!(mode, AdamMode::Lazy) || weight_decay > 0.0
}

fn power(beta: f32, steps: u32) -> f32 {
    f64::from(beta).powi(i32::try_from(steps).unwrap_or(i32::MAX)) as f32
}
