//! What the user does not say, decided from the sizes of the network.

mod memory;

use crate::config::{
    Dtype, HiddenConfig, InputConfig, NetworkConfig, OptimizerConfig, SamplerConfig, SecondMoment,
};
use crate::optim::has_stamps;

pub use memory::Memory;

impl NetworkConfig {
    /// Fills in every value that was left open.
    #[must_use]
    pub fn resolve(mut self) -> Self {
        self.input.dropout.get_or_insert(input_dropout(&self.input));
        self.optimizer.resolve();
        let (seed, last) = (self.seed, self.hidden.len().saturating_sub(1));
        let mut dense = None;
        for (i, layer) in self.hidden.iter_mut().enumerate() {
            layer.norm_mut().get_or_insert(if i == last { NORM } else { 0.0 });
            match layer {
                HiddenConfig::Dense(layer) => resolve_optimizer(&mut layer.optimizer),
                HiddenConfig::Sampled(layer) => {
                    layer.sampler.resolve(dense, layer.units, seed);
                    resolve_optimizer(&mut layer.optimizer);
                }
            }
            dense = layer.dense_units();
        }
        self.output.sampler.resolve(dense, self.output.units, seed);
        resolve_optimizer(&mut self.output.optimizer);
        self
    }
}

impl HiddenConfig {
    /// How many numbers it puts out, unless they are sparse, as those of a sampled layer are.
    pub(crate) const fn dense_units(&self) -> Option<usize> {
        match self {
            Self::Dense(layer) => Some(layer.units),
            Self::Sampled(_) => None,
        }
    }
}

impl OptimizerConfig {
    /// Bytes that are kept beside each weight, and those that are kept for each row, as by
    /// [`Param::new`](crate::optim::Param::new); `column` says that a row is a single number.
    const fn moments(&self, column: bool) -> (u128, u128) {
        match *self {
            Self::Adam { second_moment, moments, mode, weight_decay, .. } => {
                let moment = if column { Dtype::F32 } else { moments }.bytes() as u128;
                let stamp = if has_stamps(mode, weight_decay) { 4 } else { 0 };
                match second_moment {
                    SecondMoment::Row if !column => (moment, stamp + 4),
                    SecondMoment::Row | SecondMoment::Entry => (2 * moment, stamp),
                }
            }
            Self::Sgd { momentum, .. } if momentum > 0.0 => (4, 0),
            Self::Sgd { .. } => (0, 0),
            Self::Adagrad { .. } => (0, 4),
        }
    }
}

fn resolve_optimizer(own: &mut Option<OptimizerConfig>) {
    if let Some(own) = own {
        own.resolve();
    }
}

impl SamplerConfig {
    /// Bytes that the tables of a layer and their hash functions take at least.
    pub(crate) fn bytes(&self, inputs: u128, units: usize) -> u128 {
        match self {
            Self::Lsh(lsh) => lsh.tables.bytes(inputs, units),
            _ => 0,
        }
    }
}

/// With the hidden vector at a fixed norm a logit is the cosine times that norm times the row's
/// norm, and the cosine is what `SimHash` retrieves.
const NORM: f32 = 6.0;

/// Rows of many sparse features stand losing two in five of them, and generalise better.
fn input_dropout(input: &InputConfig) -> f32 {
    if input.features >= 1000 { 0.4 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::plain;
    use crate::config::{AdamMode, FamilyConfig, LshConfig, Projection};
    use crate::optim::Param;
    use crate::rows::Rows;

    #[test]
    fn every_open_value_is_filled_in_and_passes_its_own_check() {
        for units in [1, 10, 999, 1000, 22_085, 670_091, 10_000_000] {
            let config = plain(100, 64, units).resolve();
            config.check().unwrap();
            // The warm-up depends on the length of the run; what else is open is off.
            let off = ["warmup", "optimizer", "norm", "value", "drift", "redraw"];
            let json = config.to_json();
            let open =
                off.iter().fold(json, |json, name| json.replace(&format!("\"{name}\":null"), ""));
            assert!(!open.contains("null"), "{open}");
            assert_eq!(config.clone().resolve(), config);
        }
    }

    #[test]
    fn hash_functions_count_as_memory() {
        let bytes = |family| {
            let mut config = plain(1_000_000, 64, 2000);
            let mut lsh = LshConfig::open();
            lsh.tables.family = family;
            lsh.tables.n_hashes = Some(2);
            config.hidden.clear();
            config.output.sampler = SamplerConfig::Lsh(lsh);
            config.resolve().bytes()
        };
        // 96 tables of two functions, and a coordinate for the bias.
        let (order, functions) = (1_000_001 * 4, 2 * 96);
        let without = bytes(FamilyConfig::Doph { top: 30 });
        for (family, times) in [
            (FamilyConfig::Simhash { projection: Some(Projection::Sparse) }, functions),
            (FamilyConfig::Wta { bin_size: 8 }, 1),
            // The bins of all functions fit into one permutation, of which the order is kept too.
            (FamilyConfig::Dwta { bin_size: 8 }, 2),
        ] {
            // The buckets, and what each function of the second compares.
            let little = 96 * (1 << 8) * 4;
            let taken = bytes(family.clone());
            assert!(taken.abs_diff(without + times * order) < little, "{family:?}: {taken}");
        }
    }

    #[test]
    fn moments_and_stamps_count_as_they_are_kept() {
        let (lr, beta1, beta2, eps) = (None, 0.9, 0.999, 1e-8);
        let adam = |second_moment, moments, (mode, weight_decay)| OptimizerConfig::Adam {
            lr,
            beta1,
            beta2,
            eps,
            weight_decay,
            mode,
            second_moment,
            moments,
        };
        let sgd = |momentum| OptimizerConfig::Sgd { lr, momentum, nesterov: false };
        let lazy = (AdamMode::Lazy, 0.0);
        // Each with the bytes of the stamp of a row.
        let optimizers = [
            (adam(SecondMoment::Entry, Dtype::F32, lazy), 0),
            (adam(SecondMoment::Entry, Dtype::Bf16, (AdamMode::Lazy, 0.1)), 4),
            (adam(SecondMoment::Row, Dtype::F32, (AdamMode::CatchUp, 0.0)), 4),
            (adam(SecondMoment::Row, Dtype::Bf16, (AdamMode::Dense, 0.0)), 4),
            (adam(SecondMoment::Row, Dtype::Bf16, lazy), 0),
            (sgd(0.0), 0),
            (sgd(0.9), 0),
            (OptimizerConfig::Adagrad { lr, eps }, 0),
        ];
        // As many rows as there are places for them.
        let n = 128;
        for (optimizer, stamp) in optimizers {
            for (weights, column) in [(Rows::zeros(n, 20), false), (Rows::column(n), true)] {
                let in_row = weights.stride();
                let param = Param::new(weights, &optimizer);
                let bytes = |rows: &Rows| n * rows.stride() * rows.dtype().bytes();
                let kept: usize = param.moments().iter().map(|(_, rows)| bytes(rows)).sum();
                let (of_weight, of_row) = optimizer.moments(column);
                let counted = n as u128 * (in_row as u128 * of_weight + of_row);
                assert_eq!(counted, (kept + n * stamp) as u128, "{optimizer:?} {column}");
            }
        }
    }

    #[test]
    fn few_outputs_are_computed_in_full() {
        assert_eq!(plain(100, 64, 999).resolve().output.sampler, SamplerConfig::Full {});
    }
}
