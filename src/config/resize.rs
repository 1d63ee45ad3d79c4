//! What becomes of settings when the output layer gets another size.

use super::{OutputConfig, SamplerConfig};

impl OutputConfig {
    /// Another number of units. Active sets that held all of them hold all again; others stay as
    /// large as they were, where there are so many. Everything else stays, and must be filled in.
    pub(crate) fn resize(&mut self, units: usize) {
        let from = std::mem::replace(&mut self.units, units);
        let fit = |n: &mut Option<usize>| {
            *n = n.map(|n| if n == from { units } else { n.min(units) });
        };
        match &mut self.sampler {
            SamplerConfig::Full {} => {}
            SamplerConfig::Uniform { n_active, .. }
            | SamplerConfig::LogUniform { n_active, .. }
            | SamplerConfig::InBatch { n_active, .. }
            | SamplerConfig::Oracle { n_active, .. } => fit(n_active),
            SamplerConfig::Lsh(lsh) => {
                fit(&mut lsh.n_active);
                fit(&mut lsh.min_active);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::plain;

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
