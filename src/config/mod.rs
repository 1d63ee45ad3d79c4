//! What a network is, as data: the JSON that the Python side writes and a model file carries.
//!
//! A field that is `None` is filled in by rule when the network is made
//! ([`NetworkConfig::resolve`]), from the sizes alone; each rule stands beside its field.

mod check;
mod functions;
mod optim;
mod resize;
mod sampler;
mod tables;

use serde::{Deserialize, Serialize};

use crate::error::Result;

use check::{ensure, share, size};

pub use functions::{Activation, Loss};
pub use optim::{
    ClipConfig, Decay, Mode as AdamMode, OptimizerConfig, ScheduleConfig, SecondMoment,
};
pub use sampler::{Fill, LogQ, LshConfig, SamplerConfig, Strategy};
pub use tables::{BucketPolicy, FamilyConfig, Projection, RebuildConfig, TablesConfig};

/// A whole network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Every random choice is a function of this number.
    pub seed: u64,
    /// What is minimised.
    pub loss: Loss,
    /// The features.
    pub input: InputConfig,
    /// The hidden layers, first to last.
    pub hidden: Vec<HiddenConfig>,
    /// The output layer.
    pub output: OutputConfig,
    /// How weights are changed, in layers that do not say so themselves.
    pub optimizer: OptimizerConfig,
    /// Limits on gradients.
    pub clip: ClipConfig,
    /// How the learning rate changes.
    pub schedule: ScheduleConfig,
    /// How the tasks of a step share the gradients.
    pub update: UpdateMode,
}

/// How the tasks of a step share the gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateMode {
    /// Each owns a part of the rows: no race, the same bits at any number of threads.
    Sharded,
    /// All add to all rows without locks, and now and then lose an addition (Recht et al.,
    /// "Hogwild!", 2011). For comparison.
    Hogwild,
}

/// The features of a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputConfig {
    /// Number of features (columns of X).
    pub features: usize,
    /// Whether every row is scaled to Euclidean norm 1.
    pub normalize: bool,
    /// Share of the features that is dropped in training; rows of fewer than eight keep all. Left
    /// open, none below 1,000 columns, else by the length of each row.
    pub dropout: Option<f32>,
}

/// A hidden layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum HiddenConfig {
    /// All units are computed.
    Dense(DenseConfig),
    /// Few units are computed; the others count as zero.
    Sampled(SampledConfig),
}

/// A dense hidden layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseConfig {
    /// Number of units.
    pub units: usize,
    /// What is applied to each unit.
    pub activation: Activation,
    /// The Euclidean norm that the activations are scaled to; 0 leaves them as they are.
    pub norm: Option<f32>,
    /// Share of the units that is dropped in training.
    pub dropout: f32,
    /// How the weights are stored.
    pub dtype: Dtype,
    /// How the weights are changed; as the network says when not given.
    pub optimizer: Option<OptimizerConfig>,
}

/// A sampled hidden layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampledConfig {
    /// Number of units.
    pub units: usize,
    /// What is applied to each unit.
    pub activation: Activation,
    /// The Euclidean norm that the activations are scaled to; 0 leaves them as they are.
    pub norm: Option<f32>,
    /// Whether every unit has a bias.
    pub bias: bool,
    /// Which units a sample computes.
    pub sampler: SamplerConfig,
    /// How the weights are stored; by rule when not given.
    pub dtype: Option<Dtype>,
    /// How the weights are changed; as the network says when not given.
    pub optimizer: Option<OptimizerConfig>,
}

/// How weights, or the moments of an optimiser, are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// 32-bit floats.
    #[default]
    F32,
    /// The upper half of 32-bit floats, rounded at random after each change.
    Bf16,
    /// Halves of IEEE 754, rounded at random after each change; for weights alone.
    F16,
}

/// The output layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// Number of labels (columns of Y).
    pub units: usize,
    /// Whether every unit has a bias.
    pub bias: bool,
    /// Which units a sample computes in training.
    pub sampler: SamplerConfig,
    /// How the weights are stored; by rule when not given.
    pub dtype: Option<Dtype>,
    /// How the weights are changed; as the network says when not given.
    pub optimizer: Option<OptimizerConfig>,
}

impl Dtype {
    /// Bytes of a number.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }
}

impl OutputConfig {
    /// As a layer like any other, of which the logits are the outputs.
    pub(crate) fn as_layer(&self) -> SampledConfig {
        SampledConfig {
            units: self.units,
            activation: Activation::Linear,
            norm: Some(0.0),
            bias: self.bias,
            sampler: self.sampler.clone(),
            dtype: self.dtype,
            optimizer: self.optimizer.clone(),
        }
    }
}

impl HiddenConfig {
    /// Number of units.
    #[must_use]
    pub const fn units(&self) -> usize {
        match self {
            Self::Dense(layer) => layer.units,
            Self::Sampled(layer) => layer.units,
        }
    }

    /// The norm its outputs are scaled to.
    #[must_use]
    pub const fn norm(&self) -> Option<f32> {
        match self {
            Self::Dense(layer) => layer.norm,
            Self::Sampled(layer) => layer.norm,
        }
    }

    /// The norm its outputs are scaled to.
    pub(crate) const fn norm_mut(&mut self) -> &mut Option<f32> {
        match self {
            Self::Dense(layer) => &mut layer.norm,
            Self::Sampled(layer) => &mut layer.norm,
        }
    }

    /// What changes its weights, where it says so itself.
    #[must_use]
    pub const fn optimizer(&self) -> Option<&OptimizerConfig> {
        match self {
            Self::Dense(layer) => layer.optimizer.as_ref(),
            Self::Sampled(layer) => layer.optimizer.as_ref(),
        }
    }

    fn check(&self) -> Result<()> {
        size("hidden.units", self.units())?;
        let (norm, optimizer) = match self {
            Self::Dense(layer) => {
                share("hidden.dropout", layer.dropout)?;
                (layer.norm, &layer.optimizer)
            }
            Self::Sampled(layer) => {
                layer.sampler.check(layer.units)?;
                let fine = !matches!(layer.sampler, SamplerConfig::InBatch { .. });
                ensure(fine, "hidden.sampler", "in_batch", "a sampler that needs no labels")?;
                (layer.norm, &layer.optimizer)
            }
        };
        let norm = norm.unwrap_or(0.0);
        let fine = norm == 0.0 || (1e-3..=1e6).contains(&norm);
        ensure(fine, "hidden.norm", norm, "zero (off) or from 0.001 to 1000000")?;
        optimizer.as_ref().map_or(Ok(()), OptimizerConfig::check)
    }
}

impl NetworkConfig {
    /// Reads the JSON form.
    ///
    /// # Errors
    ///
    /// If it is not JSON, or has missing, unknown or mistyped fields.
    pub fn from_json(json: &str) -> Result<Self> {
        Ok(serde_json::from_str(json)?)
    }

    /// Writes the JSON form.
    ///
    /// # Panics
    ///
    /// Never: a tree of numbers, strings and enums can be written.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a tree of numbers, strings and enums can be written")
    }

    /// The optimiser of every layer, the output layer last.
    pub fn optimizers(&self) -> impl Iterator<Item = &OptimizerConfig> {
        let own = self.hidden.iter().map(HiddenConfig::optimizer);
        own.chain([self.output.optimizer.as_ref()]).map(|own| own.unwrap_or(&self.optimizer))
    }

    /// The learning rate of every layer, the output layer last.
    pub fn rates(&self) -> impl Iterator<Item = f32> {
        self.optimizers().map(OptimizerConfig::lr)
    }

    /// Checks every value that is given.
    ///
    /// # Errors
    ///
    /// If a value is outside what it may be; the error names it.
    pub fn check(&self) -> Result<()> {
        size("input.features", self.input.features)?;
        share("input.dropout", self.input.dropout.unwrap_or(0.0))?;
        self.hidden.iter().try_for_each(HiddenConfig::check)?;
        size("output.units", self.output.units)?;
        self.output.sampler.check(self.output.units)?;
        self.output.optimizer.as_ref().map_or(Ok(()), OptimizerConfig::check)?;
        self.optimizer.check()?;
        self.clip.check()?;
        self.schedule.check()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::error::Error;

    /// A network of the given sizes with everything else by rule.
    pub(crate) fn plain(features: usize, hidden: usize, units: usize) -> NetworkConfig {
        NetworkConfig {
            seed: 0,
            loss: Loss::Softmax,
            input: InputConfig { features, normalize: true, dropout: None },
            hidden: vec![HiddenConfig::Dense(DenseConfig {
                units: hidden,
                activation: Activation::Linear,
                norm: None,
                dropout: 0.0,
                dtype: Dtype::F32,
                optimizer: None,
            })],
            output: OutputConfig {
                units,
                bias: true,
                sampler: SamplerConfig::Lsh(LshConfig::open()),
                dtype: None,
                optimizer: None,
            },
            optimizer: OptimizerConfig::Adam {
                lr: None,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: 0.0,
                mode: AdamMode::Lazy,
                second_moment: None,
                moments: None,
            },
            clip: ClipConfig::default(),
            schedule: ScheduleConfig { warmup: None, decay: Decay::Cosine },
            update: UpdateMode::Sharded,
        }
    }

    #[test]
    fn json_comes_back_as_it_went() {
        let config = plain(10, 4, 7);
        assert_eq!(NetworkConfig::from_json(&config.to_json()).unwrap(), config);
    }

    #[test]
    fn unknown_fields_and_wrong_types_are_refused() {
        let json = plain(10, 4, 7).to_json();
        for (from, to) in [
            ("\"seed\":0", "\"seed\":0,\"sed\":1"),
            ("\"seed\":0", "\"seed\":-1"),
            ("\"softmax\"", "\"hardmax\""),
            ("\"features\":10", "\"features\":1.5"),
        ] {
            let changed = json.replace(from, to);
            assert_ne!(changed, json);
            assert!(matches!(NetworkConfig::from_json(&changed), Err(Error::Json(_))), "{to}");
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        let mut config = plain(10, 4, 7);
        config.input.dropout = Some(1.0);
        let refused = config.check().unwrap_err().to_string();
        assert_eq!(refused, "input.dropout is 1, but must be at least 0 and below 1");
        let mut config = plain(10, 4, 7);
        config.optimizer =
            OptimizerConfig::Sgd { lr: Some(f32::NAN), momentum: 0.0, nesterov: false };
        assert!(config.check().unwrap_err().to_string().starts_with("optimizer.lr is NaN"));
    }
}
