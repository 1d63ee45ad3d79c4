//! When moved rows are inserted again, and when new functions are drawn.
//!
//! All of it is a function of the step alone, so that a network that was saved goes on as if it
//! had not been; only whether the rows have drifted enough is asked of the index.

use crate::config::RebuildConfig;

/// What is to be done after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    No,
    /// Rows that moved are inserted again, where there is a limit only if they drifted that far.
    Rehash,
    /// New functions are drawn, and all rows inserted again.
    Redraw,
}

/// Pauses that grow: the t-th time comes after the sum of `every * growth^i` steps
/// (Chen et al., "SLIDE", section 4.2, with growth = exp(lambda)).
///
/// Every `redraw`-th time new functions are drawn. Times at which the rows had not drifted enough
/// to be inserted count as well: else the count would depend on more than the step.
#[derive(Clone, Copy, Debug)]
pub struct Rebuild {
    next: f64,
    pause: f64,
    growth: f64,
    drift: Option<f32>,
    redraw: Option<u64>,
    times: u64,
}

impl Rebuild {
    /// The schedule of `config`, whose values must be filled in; only the limits may be missing.
    #[must_use]
    pub fn new(config: &RebuildConfig) -> Self {
        let pause = config.every.unwrap_or(1) as f64;
        let growth = f64::from(config.growth.unwrap_or(1.0));
        let RebuildConfig { drift, redraw, .. } = *config;
        Self { next: pause, pause, growth, drift, redraw, times: 0 }
    }

    /// What is due after `steps` steps; asked in ascending order. Where steps were left out, it
    /// answers for all of them together.
    pub fn due(&mut self, steps: u64) -> Due {
        if (steps as f64) < self.next {
            return Due::No;
        }
        let generation = self.generation();
        if self.growth == 1.0 {
            let times = (steps as f64 / self.pause).floor();
            (self.times, self.next) = (times as u64, (times + 1.0) * self.pause);
        }
        while steps as f64 >= self.next {
            self.times += 1;
            self.pause *= self.growth;
            self.next += self.pause;
        }
        if self.generation() > generation { Due::Redraw } else { Due::Rehash }
    }

    /// How often new functions have been drawn.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.redraw.map_or(0, |redraw| self.times / redraw)
    }

    /// The share of the bits of a sample of rows that must have changed for [`Due::Rehash`].
    #[must_use]
    pub const fn drift(&self) -> Option<f32> {
        self.drift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rebuild(every: u64, growth: f32, redraw: Option<u64>) -> Rebuild {
        let (every, growth) = (Some(every), Some(growth));
        Rebuild::new(&RebuildConfig { every, growth, drift: None, redraw })
    }

    #[test]
    fn pauses_grow() {
        let mut growing = rebuild(10, 2.0, None);
        let due: Vec<u64> = (1..=200).filter(|&step| growing.due(step) == Due::Rehash).collect();
        assert_eq!(due, [10, 30, 70, 150]);
        let mut fixed = rebuild(10, 1.0, None);
        let due: Vec<u64> = (1..=40).filter(|&step| fixed.due(step) == Due::Rehash).collect();
        assert_eq!(due, [10, 20, 30, 40]);
    }

    #[test]
    fn functions_are_drawn_every_so_many_times() {
        for growth in [1.0, 1.5] {
            let mut rebuild = rebuild(4, growth, Some(3));
            let answers: Vec<Due> =
                (1..=500).map(|step| rebuild.due(step)).filter(|&due| due != Due::No).collect();
            for (time, &answer) in (1..).zip(&answers) {
                assert_eq!(answer, if time % 3 == 0 { Due::Redraw } else { Due::Rehash });
            }
            assert_eq!(rebuild.generation(), answers.len() as u64 / 3);
        }
    }

    #[test]
    fn pauses_can_be_caught_up_with_from_any_step() {
        for growth in [1.0, 1.05, 2.0] {
            for loaded_at in [1, 6, 7, 8, 250, 500] {
                let mut walked = rebuild(7, growth, Some(4));
                let mut jumped = rebuild(7, growth, Some(4));
                (1..=loaded_at).for_each(|step| _ = walked.due(step));
                jumped.due(loaded_at);
                assert_eq!(walked.generation(), jumped.generation());
                for step in loaded_at + 1..5000 {
                    assert_eq!(walked.due(step), jumped.due(step), "{growth} {step}");
                }
            }
        }
        assert_eq!(rebuild(1, 1.0, None).due(1 << 52), Due::Rehash);
    }

    #[test]
    fn steps_that_were_left_out_are_answered_for_together() {
        let mut rebuild = rebuild(10, 1.0, Some(5));
        assert_eq!(rebuild.due(49), Due::Rehash);
        assert_eq!(rebuild.due(90), Due::Redraw);
        assert_eq!(rebuild.generation(), 1);
    }
}
