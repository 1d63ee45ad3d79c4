//! What the user does not say, decided from the sizes of the network.

use crate::config::{
    InputConfig, NetworkConfig, OptimizerConfig, RebuildConfig, SamplerConfig, Strategy,
    TablesConfig,
};

/// Below this many outputs a dense product is cheaper than finding the few that matter.
const DENSE_BELOW: usize = 1000;

impl NetworkConfig {
    /// Fills in every value that was left open.
    #[must_use]
    pub fn resolve(mut self) -> Self {
        self.input.dropout.get_or_insert(input_dropout(&self.input));
        let last = self.hidden.len().saturating_sub(1);
        for (i, layer) in self.hidden.iter_mut().enumerate() {
            layer.norm.get_or_insert(if i == last { NORM } else { 0.0 });
        }
        match &mut self.optimizer {
            OptimizerConfig::Adam { lr, .. } => _ = lr.get_or_insert(5e-3),
            OptimizerConfig::Sgd { lr } => _ = lr.get_or_insert(1.0),
        }
        let (units, seed) = (self.output.units, self.seed);
        if units < DENSE_BELOW && self.output.sampler.is_open() {
            self.output.sampler = SamplerConfig::Full {};
        }
        match &mut self.output.sampler {
            SamplerConfig::Full {} => {}
            SamplerConfig::Uniform { n_active, .. } => _ = n_active.get_or_insert(active(units)),
            SamplerConfig::Lsh { n_active, random_share, tables, rebuild, .. } => {
                n_active.get_or_insert(active(units));
                random_share.get_or_insert(RANDOM_SHARE);
                let TablesConfig::Simhash { n_tables, n_hashes, bucket_size, seed: own } = tables;
                let k = *n_hashes.get_or_insert(hashes(units));
                n_tables.get_or_insert(TABLES);
                bucket_size.get_or_insert(4 * (units >> k).max(32));
                own.get_or_insert(seed);
                resolve_rebuild(rebuild, units);
            }
        }
        self
    }

    /// Bytes that weights, moments and tables take at least. Every value must be filled in.
    #[must_use]
    pub fn bytes(&self) -> u128 {
        let copies = match self.optimizer {
            OptimizerConfig::Adam { .. } => 3,
            OptimizerConfig::Sgd { .. } => 1,
        };
        let (mut inputs, mut floats) = (self.input.features as u128, 0);
        for layer in &self.hidden {
            floats += (inputs + 1) * layer.units as u128;
            inputs = layer.units as u128;
        }
        let units = self.output.units as u128;
        floats += (inputs + 1) * units;
        let tables = match &self.output.sampler {
            SamplerConfig::Lsh { tables: TablesConfig::Simhash { n_tables, .. }, .. } => {
                // An id and a code for each row and table.
                6 * units * n_tables.unwrap_or(0) as u128
            }
            _ => 0,
        };
        4 * copies * floats + tables
    }
}

impl SamplerConfig {
    /// Whether this is the LSH sampler with everything left to rule.
    fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Lsh {
                strategy: Strategy::Topk,
                n_active: None,
                random_share: None,
                tables: TablesConfig::Simhash {
                    n_tables: None,
                    n_hashes: None,
                    bucket_size: None,
                    ..
                },
                rebuild: RebuildConfig { every: None, growth: None },
                ..
            }
        )
    }
}

/// With the hidden vector at a fixed norm a logit is the cosine times that norm times the row's
/// norm, and the cosine is what `SimHash` retrieves.
const NORM: f32 = 6.0;

/// Tables trade recall against the time to count their candidates.
const TABLES: usize = 96;

/// Half for the hard ones, half for the tail of the softmax.
const RANDOM_SHARE: f32 = 0.5;

/// Rows of many sparse features stand losing two in five of them, and generalise better.
fn input_dropout(input: &InputConfig) -> f32 {
    if input.features >= 1000 { 0.4 } else { 0.0 }
}

/// A few in a thousand: the found ones hold nearly all of the softmax, and the random ones stand
/// for the rest whatever their number.
fn active(units: usize) -> usize {
    (units / 200).clamp(64, 1000).min(units)
}

/// As many bits as leave about a hundred rows in a bucket.
fn hashes(units: usize) -> usize {
    ((units as f64 / 100.0).log2().round() as usize).clamp(3, 16)
}

/// Hashing all rows costs about as much as training on `units / 50` samples; this keeps it below a
/// tenth.
fn resolve_rebuild(rebuild: &mut RebuildConfig, units: usize) {
    rebuild.every.get_or_insert((units as u64 / 500).clamp(8, 1000));
    rebuild.growth.get_or_insert(1.1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::plain;

    #[test]
    fn every_open_value_is_filled_in_and_passes_its_own_check() {
        for units in [1, 10, 999, 1000, 22_085, 670_091, 10_000_000] {
            let config = plain(100, 64, units).resolve();
            config.check().unwrap();
            // The warm-up depends on the length of the run.
            let open = config.to_json().replace("\"warmup\":null", "");
            assert!(!open.contains("null"), "{open}");
            assert_eq!(config.clone().resolve(), config);
        }
    }

    #[test]
    fn few_outputs_are_computed_in_full() {
        assert_eq!(plain(100, 64, 999).resolve().output.sampler, SamplerConfig::Full {});
    }
}
