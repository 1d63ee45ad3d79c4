//! What the user does not say, decided from the sizes of the network.

mod memory;

use crate::config::{
    Dtype, HiddenConfig, NetworkConfig, OptimizerConfig, SamplerConfig, SecondMoment,
};
use crate::optim::has_stamps;

pub use memory::Memory;

impl NetworkConfig {
    /// Fills in every value that was left open.
    #[must_use]
    pub fn resolve(mut self) -> Self {
        if self.input.features < 1000 {
            self.input.dropout.get_or_insert(0.0);
        }
        let open = self.optimizer.clone();
        self.optimizer.resolve(false);
        let shared = (&open, &self.optimizer);
        let (seed, last) = (self.seed, self.hidden.len().saturating_sub(1));
        let (mut inputs, mut dense) = (self.input.features, None);
        for (i, layer) in self.hidden.iter_mut().enumerate() {
            layer.norm_mut().get_or_insert(if i == last { NORM } else { 0.0 });
            match layer {
                HiddenConfig::Dense(layer) => {
                    // It has a row for each input.
                    let wide = dense.is_none() && is_wide(inputs, layer.units);
                    resolve_optimizer(&mut layer.optimizer, shared, wide);
                }
                HiddenConfig::Sampled(layer) => {
                    layer.sampler.resolve(dense, layer.units, seed);
                    let wide = dense.is_some() && is_wide(layer.units, inputs);
                    resolve_optimizer(&mut layer.optimizer, shared, wide);
                    layer.dtype.get_or_insert(Dtype::F32);
                }
            }
            (inputs, dense) = (layer.units(), layer.dense_units());
        }
        self.output.sampler.resolve(dense, self.output.units, seed);
        let wide = dense.is_some() && is_wide(self.output.units, inputs);
        resolve_optimizer(&mut self.output.optimizer, shared, wide);
        let light = self.output.optimizer.as_ref().unwrap_or(&self.optimizer).has_halves();
        let halves = light && self.output.units.saturating_mul(inputs) >= MOST_FLOATS;
        self.output.dtype.get_or_insert(if halves { Dtype::F16 } else { Dtype::F32 });
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
    /// Whether it is an Adam of one second moment a row and first moments in halves.
    const fn has_halves(&self) -> bool {
        matches!(
            self,
            Self::Adam { second_moment: Some(SecondMoment::Row), moments: Some(Dtype::Bf16), .. }
        )
    }

    /// Bytes that are kept beside each weight, and those that are kept for each row, as by
    /// [`Param::new`](crate::optim::Param::new); `column` says that a row is a single number.
    const fn moments(&self, column: bool) -> (u128, u128) {
        match *self {
            Self::Adam { second_moment, moments, mode, weight_decay, .. } => {
                let moment = match moments {
                    Some(dtype) if !column => dtype.bytes() as u128,
                    _ => Dtype::F32.bytes() as u128,
                };
                let stamp = if has_stamps(mode, weight_decay) { 4 } else { 0 };
                match second_moment {
                    Some(SecondMoment::Row) if !column => (moment, stamp + 4),
                    _ => (2 * moment, stamp),
                }
            }
            Self::Sgd { momentum, .. } if momentum > 0.0 => (4, 0),
            Self::Sgd { .. } => (0, 0),
            Self::Adagrad { .. } => (0, 4),
        }
    }
}

/// Fills in a layer's own optimiser. Where what is open in that of the network means something else
/// for this layer than for the others, it becomes the layer's own.
fn resolve_optimizer(
    own: &mut Option<OptimizerConfig>,
    (open, resolved): (&OptimizerConfig, &OptimizerConfig),
    wide: bool,
) {
    let mut fitting = own.as_ref().unwrap_or(open).clone();
    fitting.resolve(wide);
    if own.is_some() || fitting != *resolved {
        *own = Some(fitting);
    }
}

/// Whether so many rows, touched few at a time, wait for memory.
///
/// With both moments of Adam a million weights are 12 MiB: more than the caches next to the cores
/// hold, where leaving bytes out gains little and rounding costs more than it saves.
const fn is_wide(rows: usize, width: usize) -> bool {
    rows.saturating_mul(width) >= 1 << 20
}

/// From so many weights on, 128 MiB as floats, those of the output are halves if its Adam is light.
const MOST_FLOATS: usize = 1 << 25;

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

/// The share of its features that a row of `n` loses in training where none is given.
///
/// Rows of many features stand losing two in five of them, and generalise better; with the few of
/// a short row what it says would be lost.
pub(crate) fn input_dropout(n: usize) -> f32 {
    MOST_DROPPED * (n.min(LONG_ROW) as f32 / LONG_ROW as f32)
}

/// What rows of `LONG_ROW` features and more lose of them.
const MOST_DROPPED: f32 = 0.4;
const LONG_ROW: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::plain;
    use crate::config::{Activation, AdamMode, FamilyConfig, LshConfig, Projection, SampledConfig};
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
            second_moment: Some(second_moment),
            moments: Some(moments),
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
                let bytes = |rows: &Rows<'_>| n * rows.stride() * rows.dtype().bytes();
                let kept: usize = param.moments().iter().map(|(_, rows)| bytes(rows)).sum();
                let (of_weight, of_row) = optimizer.moments(column);
                let counted = n as u128 * (in_row as u128 * of_weight + of_row);
                assert_eq!(counted, (kept + n * stamp) as u128, "{optimizer:?} {column}");
            }
        }
    }

    /// Adam as it is by rule in a narrow layer, or in a wide one.
    fn adam(wide: bool) -> OptimizerConfig {
        let mut adam = plain(1, 1, 1).optimizer;
        adam.resolve(wide);
        adam
    }

    fn dense(units: usize) -> HiddenConfig {
        let mut hidden = plain(1, units, 1).hidden;
        hidden.remove(0)
    }

    fn sampled(units: usize) -> HiddenConfig {
        let output = plain(1, 1, units).output;
        HiddenConfig::Sampled(SampledConfig {
            units,
            activation: Activation::Relu,
            norm: None,
            bias: true,
            sampler: output.sampler,
            dtype: output.dtype,
            optimizer: None,
        })
    }

    #[test]
    fn adam_is_light_where_few_of_a_million_weights_are_touched() {
        let light = adam(true);
        let OptimizerConfig::Adam { second_moment, moments, .. } = light else { unreachable!() };
        assert_eq!((second_moment, moments), (Some(SecondMoment::Row), Some(Dtype::Bf16)));
        // Each with the layers that are light, hidden ones first.
        for (features, hidden, units, expected) in [
            (1 << 13, vec![dense(128)], 1 << 13, vec![true, true]),
            ((1 << 13) - 1, vec![dense(128)], (1 << 13) - 1, vec![false, false]),
            // All rows of a dense layer behind a dense one are touched.
            (10, vec![dense(1024), dense(1024)], 10, vec![false, false, false]),
            // What a sampled layer touches of a row is few columns where its inputs are sparse.
            (1 << 20, vec![sampled(2000)], 2000, vec![false, false]),
            (10, vec![dense(64), sampled(1 << 14)], 1000, vec![false, true, false]),
            (10, vec![sampled(1 << 14), dense(64)], 1 << 14, vec![false, true, true]),
            (1 << 20, vec![], 1 << 20, vec![false]),
            (1, vec![dense(1)], usize::MAX, vec![false, true]),
        ] {
            let mut config = plain(features, 1, units);
            config.hidden = hidden;
            let config = config.resolve();
            let own = config.hidden.iter().map(HiddenConfig::optimizer);
            let own: Vec<_> = own.chain([config.output.optimizer.as_ref()]).collect();
            let expected: Vec<_> = expected.iter().map(|&wide| wide.then_some(&light)).collect();
            assert_eq!(own, expected, "{features} {units}");
            assert_eq!(config.optimizer, adam(false));
        }
    }

    #[test]
    fn wide_outputs_are_halves_where_adam_is_light_and_nothing_else_is_said() {
        let stored = |config: &NetworkConfig| config.clone().resolve().output.dtype;
        let wide = plain(10, 128, 1 << 18);
        assert_eq!(stored(&wide), Some(Dtype::F16));
        assert_eq!(stored(&plain(10, 128, (1 << 18) - 1)), Some(Dtype::F32));
        assert_eq!(stored(&plain(10, 1, usize::MAX)), Some(Dtype::F16));
        for said in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
            let mut config = wide.clone();
            config.output.dtype = Some(said);
            assert_eq!(stored(&config), Some(said));
        }
        // Adam as published, another optimiser, and rows of which single columns are touched.
        let mut config = wide.clone();
        config.optimizer = adam(false);
        assert_eq!(stored(&config), Some(Dtype::F32));
        config.optimizer = OptimizerConfig::Adagrad { lr: None, eps: 1e-10 };
        assert_eq!(stored(&config), Some(Dtype::F32));
        let mut config = wide.clone();
        config.hidden = vec![sampled(1 << 10)];
        config.output.units = 1 << 20;
        assert_eq!(stored(&config), Some(Dtype::F32));
        let mut config = wide;
        config.hidden.push(sampled(1 << 20));
        let hidden = config.resolve().hidden.pop();
        let Some(HiddenConfig::Sampled(layer)) = hidden else { unreachable!() };
        assert_eq!(layer.dtype, Some(Dtype::F32));
    }

    #[test]
    fn what_is_said_about_moments_is_kept_and_the_rest_is_by_rule() {
        let wide = plain(1 << 20, 128, 1 << 20);
        let said = |second, halves| {
            let mut optimizer = plain(1, 1, 1).optimizer;
            if let OptimizerConfig::Adam { lr, second_moment, moments, .. } = &mut optimizer {
                (*lr, *second_moment, *moments) = (Some(0.5), second, halves);
            }
            optimizer
        };
        let (entry, row) = (Some(SecondMoment::Entry), Some(SecondMoment::Row));
        let (floats, halves) = (Some(Dtype::F32), Some(Dtype::Bf16));
        for (given, of_wide) in [
            ((None, None), (row, halves)),
            ((entry, None), (entry, floats)),
            ((None, halves), (row, halves)),
            ((None, floats), (row, floats)),
            ((entry, floats), (entry, floats)),
            ((row, halves), (row, halves)),
        ] {
            let expected = said(of_wide.0, of_wide.1);
            // By the network, and by the layer, whose network has all in floats.
            let mut config = wide.clone();
            config.optimizer = said(given.0, given.1);
            let by_network = config.resolve();
            assert!(by_network.optimizers().last() == Some(&expected), "{by_network:?}");
            let mut config = wide.clone();
            config.optimizer = said(entry, floats);
            config.output.optimizer = Some(said(given.0, given.1));
            let by_layer = config.resolve();
            assert_eq!(by_layer.output.optimizer, Some(expected));
            assert_eq!(by_layer.hidden[0].optimizer(), None);
        }
    }

    #[test]
    fn adam_that_is_dense_for_comparison_is_exact_whatever_the_width() {
        let mut config = plain(1 << 20, 128, 1 << 20);
        if let OptimizerConfig::Adam { mode, .. } = &mut config.optimizer {
            *mode = AdamMode::Dense;
        }
        let config = config.resolve();
        assert_eq!((config.hidden[0].optimizer(), config.output.optimizer.as_ref()), (None, None));
        let OptimizerConfig::Adam { second_moment, moments, .. } = config.optimizer else {
            unreachable!()
        };
        assert_eq!((second_moment, moments), (Some(SecondMoment::Entry), Some(Dtype::F32)));
    }

    #[test]
    fn documents_without_moments_have_those_of_their_time() {
        let json = plain(1 << 20, 128, 1 << 20).to_json();
        let before = json.replace(r#","second_moment":null,"moments":null"#, "");
        assert_ne!(before, json);
        let read = NetworkConfig::from_json(&before).unwrap().resolve();
        assert_eq!((read.optimizer, read.output.optimizer), (adam(false), None));
        // Left open, it is by rule.
        let read = NetworkConfig::from_json(&json).unwrap().resolve();
        assert_eq!(read.output.optimizer, Some(adam(true)));
    }

    #[test]
    fn rows_lose_features_by_their_length_from_a_thousand_columns_on() {
        assert_eq!(plain(999, 64, 2000).resolve().input.dropout, Some(0.0));
        assert_eq!(plain(1000, 64, 2000).resolve().input.dropout, None);
        let shares = [0, 8, 32, 64, 1 << 31].map(input_dropout);
        assert_eq!(shares, [0.0, 0.05, 0.2, 0.4, 0.4]);
    }

    #[test]
    fn few_outputs_are_computed_in_full() {
        assert_eq!(plain(100, 64, 999).resolve().output.sampler, SamplerConfig::Full {});
    }
}
