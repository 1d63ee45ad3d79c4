//! What a row that is touched again has to know of the steps that it missed.

/// One step of the past.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    /// Its number.
    pub(super) t: u64,
    /// Its learning rate.
    pub(super) lr: f32,
    /// log of the product of the decay factors of this step and all before it.
    log_decay: f64,
}

/// The steps since all rows were last up to date.
///
/// A row carries as its stamp how many of them it has seen. So stamps are small, and a flush sets
/// all of them to zero.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// Empty where nobody will ask.
    steps: Vec<Past>,
    now: u32,
}

impl History {
    /// Adds a step, the current one from now on. `decay` is its factor on weights.
    pub(super) fn push(&mut self, t: u64, lr: f32, decay: f64) {
        // A factor of zero or less would be beyond any closed form; settings exclude it.
        let log = decay.max(f64::MIN_POSITIVE).ln();
        let log_decay = self.steps.last().map_or(0.0, |past| past.log_decay) + log;
        self.steps.push(Past { t, lr, log_decay });
        self.now += 1;
    }

    /// Adds a step of which nobody will ask more than that it was.
    pub(super) const fn count(&mut self) {
        self.now += 1;
    }

    /// Takes the current step back.
    pub(super) fn pop(&mut self) {
        self.steps.pop();
        self.now = self.now.saturating_sub(1);
    }

    /// The learning rates of all steps; zeros where nobody will ask.
    pub(super) fn rates(&self) -> Vec<f32> {
        let mut rates: Vec<f32> = self.steps.iter().map(|past| past.lr).collect();
        rates.resize(self.now as usize, 0.0);
        rates
    }

    /// Forgets everything: all rows are up to date.
    pub(super) fn clear(&mut self) {
        self.steps.clear();
        self.now = 0;
    }

    /// Steps so far, the current one included.
    pub(super) const fn now(&self) -> u32 {
        self.now
    }

    /// The steps after the first `seen` and up to number `until`.
    pub(super) fn between(&self, seen: u32, until: u32) -> &[Past] {
        self.steps.get(seen as usize..until as usize).unwrap_or_default()
    }

    /// The product of the decay factors of the steps after the first `seen`.
    pub(super) fn decay_since(&self, seen: u32) -> f32 {
        let log = |steps: u32| {
            let last = (steps as usize).checked_sub(1).and_then(|last| self.steps.get(last));
            last.map_or(0.0, |past| past.log_decay)
        };
        (log(self.now) - log(seen)).exp() as f32
    }
}
