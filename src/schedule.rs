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
    /// stays at 1, and after the end a run without one begins.
    #[must_use]
    pub fn factor(&self, config: &ScheduleConfig, step: u64) -> f32 {
        let done = step.saturating_sub(self.start);
        if let Some(total) = self.total
            && done >= total
        {
            return Self { start: self.start + total, total: None }.factor(config, step);
        }
        let by_rule = || self.total.map_or(100, |total| (total / 10).clamp(1, 100));
        let warmup = config.warmup.unwrap_or_else(by_rule);
        if done < warmup {
            return ((done + 1) as f64 / warmup as f64) as f32;
        }
        match (config.decay, self.total) {
            (Decay::Cosine, Some(total)) => {
                let (done, whole) = (done - warmup, total.saturating_sub(warmup).max(1));
                let share = (done as f64 / whole as f64).min(1.0);
                (0.5 * (1.0 + (std::f64::consts::PI * share).cos())) as f32
            }
            _ => 1.0,
        }
    }
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
}
