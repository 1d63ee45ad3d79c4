//! What becomes of settings when the output layer gets another size.

use super::sampler::active;
use super::{OutputConfig, SamplerConfig};

impl OutputConfig {
    /// Another number of units. Active sets that held all of them hold all again; others stay as
    /// large as they were, where there are so many. What was chosen by rule holds all of them by
    /// rule only: it is chosen anew where it would come to that, or was all of a few. Everything
    /// else stays, and must be filled in.
    pub(crate) fn resize(&mut self, units: usize) {
        let from = std::mem::replace(&mut self.units, units);
        let fit_given = |n: usize| if n == from { units } else { n.min(units) };
        let fit = |n: &mut Option<usize>| {
            let ruled = |n| n == active(from) && (n == from || n >= units);
            *n = n.map(|n| if ruled(n) { active(units) } else { fit_given(n) });
        };
        match &mut self.sampler {
            SamplerConfig::Full {} => {}
            SamplerConfig::Uniform { n_active, .. }
            | SamplerConfig::LogUniform { n_active, .. }
            | SamplerConfig::Oracle { n_active, .. } => fit(n_active),
            // By rule all.
            SamplerConfig::InBatch { n_active, .. } => *n_active = n_active.map(fit_given),
            SamplerConfig::Lsh(lsh) => {
                fit(&mut lsh.min_active);
                if lsh.is_unlimited() {
                    lsh.n_active = lsh.n_active.map(fit_given);
                } else {
                    fit(&mut lsh.n_active);
                }
                // One of them may be by rule and the other not.
                lsh.n_active = lsh.n_active.max(lsh.min_active);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::plain;
    use crate::config::{LshConfig, Strategy};

    /// What a sampler becomes in layers of these sizes, one after another.
    fn resized(sampler: SamplerConfig, sizes: &[usize]) -> SamplerConfig {
        let mut output = plain(9, 4, sizes[0]).output;
        output.sampler = sampler;
        output.sampler.resolve(Some(4), sizes[0], 0);
        for &units in &sizes[1..] {
            output.resize(units);
            output.sampler.check(units).unwrap();
        }
        output.sampler
    }

    #[test]
    fn what_was_chosen_by_rule_never_holds_all_of_many_units() {
        let open = || SamplerConfig::LogUniform { n_active: None, log_q: true };
        let active = |sizes: &[usize]| match resized(open(), sizes) {
            SamplerConfig::LogUniform { n_active, .. } => n_active.unwrap(),
            _ => 0,
        };
        assert_eq!(active(&[20_000, 20_500]), 588);
        assert_eq!(active(&[20_000, 588]), 64);
        assert_eq!(active(&[20_000, 500, 20_000]), 64);
        assert_eq!(active(&[20_000, 50, 20_000]), 588);
        assert_eq!(active(&[30, 20_000]), 588);
    }

    #[test]
    fn both_limits_of_tables_stay_in_order() {
        let lsh = |strategy, min_active, sizes: &[usize]| {
            let open = LshConfig { strategy, min_active, ..LshConfig::open() };
            match resized(SamplerConfig::Lsh(open), sizes) {
                SamplerConfig::Lsh(lsh) => [lsh.min_active, lsh.n_active].map(Option::unwrap),
                _ => [0; 2],
            }
        };
        let topk = LshConfig::open().strategy;
        assert_eq!(lsh(topk, None, &[20_000, 500]), [64, 64]);
        assert_eq!(lsh(topk, Some(100), &[20_000, 500]), [100, 100]);
        assert_eq!(lsh(topk, Some(700), &[20_000, 500, 20_000]), [20_000, 20_000]);
        assert_eq!(lsh(Strategy::Union, None, &[20_000, 500, 20_000]), [64, 20_000]);
        assert_eq!(lsh(Strategy::Union, None, &[1000, 40, 20_000]), [588, 20_000]);
    }

    #[test]
    fn active_sets_of_all_units_stay_so_and_others_are_never_larger_than_the_layer() {
        let active = |n: usize, from: usize, to: usize| {
            let mut output = plain(9, 4, from).output;
            let n_active = Some(n);
            output.sampler = SamplerConfig::LogUniform { n_active, log_q: true };
            output.resize(to);
            assert_eq!(output.units, to);
            match output.sampler {
                SamplerConfig::LogUniform { n_active, .. } => n_active.unwrap(),
                _ => 0,
            }
        };
        assert_eq!(active(100, 100, 150), 150);
        assert_eq!(active(100, 100, 50), 50);
        assert_eq!(active(40, 100, 150), 40);
        assert_eq!(active(40, 100, 30), 30);
    }
}
