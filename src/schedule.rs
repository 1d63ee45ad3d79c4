//! The learning rate of a step.

use serde::{Deserialize, Serialize};

use crate::config::{Decay, ScheduleConfig};

/// A run of training steps whose end may be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Optimiser step at which the run began.
    pub start: u64,
    /// Steps of the run, when it was announced.
    pub total: Option<u64>,
}

impl Run {
    /// The factor on the learning rate at optimiser step `step`, counted from 0.
    ///
    /// It rises linearly over the warm-up, then follows the decay. Without an announced end it
    /// stays at 1, unless it goes down in steps, and after the end a run without one begins.
    #[must_use]
    pub fn factor(&self, config: &ScheduleConfig, step: u64) -> f32 {
        let done = step.saturating_sub(self.start);
        if let Some(total) = self.total
            && done >= total
        {
            return Self { start: self.start + total, total: None }.factor(config, step);
        }
        let by_rule = || match (config.decay, self.total) {
            // It rises on its own, and needs to know where to.
            (Decay::OneCycle, Some(_)) => 0,
            (_, total) => total.map_or(100, |total| (total / 10).clamp(1, 100)),
        };
        let warmup = config.warmup.unwrap_or_else(by_rule);
        if done < warmup {
            return ((done + 1) as f64 / warmup as f64) as f32;
        }
        let done = done - warmup;
        let whole = self.total.map(|total| total.saturating_sub(warmup).max(1));
        let share = |whole: u64| (done as f64 / whole as f64).min(1.0);
        (match (config.decay, whole) {
            (Decay::Cosine, Some(whole)) => half_cosine(1.0, 0.0, share(whole)),
            (Decay::Linear, Some(whole)) => 1.0 - share(whole),
            (Decay::OneCycle, Some(whole)) => one_cycle(done, whole),
            (Decay::Step { every, gamma }, _) => {
                f64::from(gamma).powf((done / every.max(1)) as f64)
            }
            (Decay::Constant | Decay::Cosine | Decay::Linear | Decay::OneCycle, _) => 1.0,
        }) as f32
    }
}

/// From `from` to `to`, level at both ends.
fn half_cosine(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
}

/// Up over the first three tenths of the steps, then down until the last one (the two phases and
/// the constants of `torch.optim.lr_scheduler.OneCycleLR`).
fn one_cycle(done: u64, whole: u64) -> f64 {
    let (first, last) = (1.0 / 25.0, 1.0 / 25e4);
    let (done, end) = (done as f64, whole as f64 - 1.0);
    let peak = 0.3 * whole as f64 - 1.0;
    if done <= peak {
        return half_cosine(first, 1.0, done / peak);
    }
    half_cosine(1.0, last, ((done - peak.max(0.0)) / (end - peak.max(0.0)).max(1.0)).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSINE: ScheduleConfig = ScheduleConfig { warmup: Some(10), decay: Decay::Cosine };

    #[test]
    fn the_rate_rises_to_one_and_falls_to_zero() {
        let run = Run { start: 5, total: Some(110) };
        let factors: Vec<f32> = (5..115).map(|step| run.factor(&COSINE, step)).collect();
        assert!((factors[0] - 0.1).abs() < 1e-6);
        assert_eq!((factors[9], factors[10]), (1.0, 1.0));
        assert!((factors[60] - 0.5).abs() < 1e-6);
        assert!(factors[109] < 1e-3 && factors[109] > 0.0);
        assert!(factors[10..].windows(2).all(|pair| pair[0] > pair[1]));
        assert!((run.factor(&COSINE, 115) - 0.1).abs() < 1e-6);
        assert_eq!(run.factor(&COSINE, 1000), 1.0);
    }

    #[test]
    fn without_an_end_the_rate_stays() {
        let run = Run::default();
        assert_eq!(run.factor(&COSINE, 1_000_000), 1.0);
    }

    #[test]
    fn a_linear_rate_falls_by_the_same_amount_each_step() {
        let linear = ScheduleConfig { warmup: Some(2), decay: Decay::Linear };
        let run = Run { start: 0, total: Some(12) };
        let factors: Vec<f32> = (0..12).map(|step| run.factor(&linear, step)).collect();
        let expected = [0.5, 1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1];
        for (factor, expected) in factors.into_iter().zip(expected) {
            assert!((factor - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn steps_multiply_the_rate_with_an_end_or_without() {
        let decay = Decay::Step { every: 10, gamma: 0.5 };
        let config = ScheduleConfig { warmup: Some(3), decay };
        for total in [None, Some(100)] {
            let run = Run { start: 7, total };
            let at = [9, 10, 19, 20, 29, 30].map(|step| run.factor(&config, step));
            assert_eq!(at, [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]);
        }
    }

    #[test]
    fn a_constant_rate_stays_after_its_warm_up() {
        let config = ScheduleConfig { warmup: Some(4), decay: Decay::Constant };
        let run = Run { start: 0, total: Some(50) };
        assert_eq!(run.factor(&config, 0), 0.25);
        assert!((4..50).all(|step| run.factor(&config, step) == 1.0));
    }

    #[test]
    fn one_cycle_rises_from_a_25th_to_one_and_falls_to_a_250_000th() {
        let config = ScheduleConfig { warmup: None, decay: Decay::OneCycle };
        let run = Run { start: 0, total: Some(100) };
        let factors: Vec<f32> = (0..100).map(|step| run.factor(&config, step)).collect();
        assert!((factors[0] - 0.04).abs() < 1e-7);
        assert_eq!(factors[29], 1.0);
        assert!((factors[99] - 4e-6).abs() < 1e-9);
        assert!(factors[..30].windows(2).all(|pair| pair[0] < pair[1]));
        assert!(factors[29..].windows(2).all(|pair| pair[0] > pair[1]));
        // As `torch.optim.lr_scheduler.OneCycleLR(max_lr=1.0, total_steps=total)` prints them.
        for (total, step, expected) in [
            (100, 10, 0.295_163_95),
            (100, 50, 0.793_893_45),
            (100, 80, 0.171_033_95),
            (7, 1, 0.980_556_63),
            (7, 4, 0.357_738_78),
            (7, 6, 4e-6),
        ] {
            let factor = Run { start: 0, total: Some(total) }.factor(&config, step);
            assert!((factor - expected).abs() < 1e-6, "{step} of {total}: {factor}");
        }
        // The shortest runs have no room to rise.
        for total in 1..8 {
            let run = Run { start: 0, total: Some(total) };
            assert!((0..total).all(|step| (0.0..=1.0).contains(&run.factor(&config, step))));
        }
    }
}
