//! Where the time of training goes.

use std::time::Instant;

/// A part of a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Features and labels are read from the arrays of the caller.
    Read,
    /// Hidden layers, forward.
    Hidden,
    /// Inputs of the output layer are hashed.
    Codes,
    /// Tables are looked up, and the active neurons chosen.
    Tables,
    /// Logits of the active neurons.
    Logits,
    /// Correction of the logits, loss and deltas.
    Loss,
    /// Gradients of the inputs of the output layer.
    Backward,
    /// Hidden layers, backward.
    HiddenBackward,
    /// Edges grouped by row: by the samples' tasks, then by the rows' tasks.
    Transpose,
    /// Gradients and optimiser over the rows of the output layer.
    Update,
    /// The same of hidden layers.
    HiddenUpdate,
    /// All of an output layer that computes every neuron by blocked products.
    Full,
    /// Moved rows are inserted into the tables again.
    Rehash,
}

impl Phase {
    /// All phases, in the order of a step.
    pub const ALL: [Self; 13] = [
        Self::Read,
        Self::Hidden,
        Self::Codes,
        Self::Tables,
        Self::Logits,
        Self::Loss,
        Self::Backward,
        Self::HiddenBackward,
        Self::Transpose,
        Self::Update,
        Self::HiddenUpdate,
        Self::Full,
        Self::Rehash,
    ];

    /// The name by which the phase is reported.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Hidden => "hidden",
            Self::Codes => "codes",
            Self::Tables => "tables",
            Self::Logits => "logits",
            Self::Loss => "loss",
            Self::Backward => "backward",
            Self::HiddenBackward => "hidden_backward",
            Self::Transpose => "transpose",
            Self::Update => "update",
            Self::HiddenUpdate => "hidden_update",
            Self::Full => "full",
            Self::Rehash => "rehash",
        }
    }
}

/// Seconds by phase, summed over the threads that worked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Phases {
    seconds: [f64; Phase::ALL.len()],
    /// Neurons of the output layer that were computed, counted for each sample.
    pub rows_computed: u64,
    /// Rows of the output layer that were read for that: one that a block of samples shares once.
    pub rows_read: u64,
    /// Rows of the output layer that were changed, counted for each step.
    pub rows_updated: u64,
}

impl Phases {
    /// Seconds of one phase.
    #[must_use]
    pub const fn of(&self, phase: Phase) -> f64 {
        self.seconds[phase as usize]
    }

    /// Adds seconds to one phase.
    pub const fn add(&mut self, phase: Phase, seconds: f64) {
        self.seconds[phase as usize] += seconds;
    }

    /// Adds what was measured elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.seconds.iter_mut().zip(other.seconds) {
            *mine += theirs;
        }
        self.rows_computed += other.rows_computed;
        self.rows_read += other.rows_read;
        self.rows_updated += other.rows_updated;
    }
}

/// A clock of one task: each lap goes to a phase.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    last: Instant,
    /// What was measured so far.
    pub phases: Phases,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self { last: Instant::now(), phases: Phases::default() }
    }
}

impl Stopwatch {
    /// Starts a lap.
    pub fn start(&mut self) {
        self.last = Instant::now();
    }

    /// Ends a lap, which was `phase`, and starts the next.
    pub fn lap(&mut self, phase: Phase) {
        let now = Instant::now();
        self.phases.add(phase, (now - self.last).as_secs_f64());
        self.last = now;
    }

    /// Hands out what was measured, and forgets it.
    pub fn take(&mut self) -> Phases {
        std::mem::take(&mut self.phases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_add_up_by_phase() {
        let mut watch = Stopwatch::default();
        for phase in Phase::ALL {
            watch.lap(phase);
        }
        let first = watch.take();
        assert_eq!(watch.phases, Phases::default());
        let mut sum = first;
        sum.merge(&first);
        for (number, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, number);
            assert_eq!(sum.of(phase), 2.0 * first.of(phase));
        }
    }
}
