//! What a network is, as data: the JSON that the Python side writes and a model file carries.
//!
//! A field that is `None` is filled in by rule when the network is made
//! ([`NetworkConfig::resolve`]), from the sizes alone; the rules are in `rules.rs`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

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
    /// The dense layers, first to last; at least one.
    pub hidden: Vec<DenseConfig>,
    /// The wide layer.
    pub output: OutputConfig,
    /// How weights are changed.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes.
    pub schedule: ScheduleConfig,
}

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Cross entropy of a softmax over the active neurons; a row's labels share the target
    /// equally, 1 / their number each.
    Softmax,
    /// Each label of a row is a cross entropy of its own: the target of every label is 1.
    SoftmaxPerLabel,
}

/// The features of a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputConfig {
    /// Number of features (columns of X).
    pub features: usize,
    /// Whether every row is scaled to Euclidean norm 1.
    pub normalize: bool,
    /// Share of the features that is dropped in training; rows of fewer than eight keep all.
    pub dropout: Option<f32>,
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
}

/// Applied to each unit of a hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `z`
    Linear,
    /// `max(z, 0)`
    Relu,
    /// `tanh(z)`
    Tanh,
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
}

/// Which neurons a sample computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SamplerConfig {
    /// Those that hash tables return for the layer's input, and random ones up to `n_active`.
    Lsh {
        /// How candidates are chosen.
        strategy: Strategy,
        /// Neurons computed for a sample, labels included.
        n_active: Option<usize>,
        /// How missing neurons are found.
        fill: Fill,
        /// Share of the active neurons that is drawn at random and stands, by log q, for all
        /// neurons that were not found; 0 for none.
        random_share: Option<f32>,
        /// The hash tables.
        tables: TablesConfig,
        /// When moved rows are inserted again.
        rebuild: RebuildConfig,
    },
    /// Random ones up to `n_active`.
    Uniform {
        /// Neurons computed for a sample, labels included.
        n_active: Option<usize>,
        /// Whether log q is subtracted from the logits of sampled negatives.
        log_q: bool,
    },
    /// All.
    Full {},
}

/// How candidates from the tables become active neurons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Those with the best logits, as estimated from the number of tables they are found in.
    Topk,
    /// Whole buckets, tables in random order, until there are enough.
    Vanilla,
}

/// How missing neurons are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// Drawn without replacement, anew for each sample.
    Random,
    /// Not at all: fewer are computed.
    None,
}

/// The hash tables of a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TablesConfig {
    /// Signs of random projections.
    Simhash {
        /// L, the number of tables.
        n_tables: Option<usize>,
        /// K, the bits of a table's code.
        n_hashes: Option<usize>,
        /// The most ids read from one bucket.
        bucket_size: Option<usize>,
        /// Seed of the projections; the network's when not given.
        seed: Option<u64>,
    },
}

/// When moved rows are inserted again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RebuildConfig {
    /// Steps to the first time.
    pub every: Option<u64>,
    /// Each pause is this many times the one before.
    pub growth: Option<f32>,
}

/// How weights are changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Adam on the touched rows; moments of other rows rest.
    Adam {
        /// Learning rate.
        lr: Option<f32>,
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the root of the second moment.
        eps: f32,
    },
    /// Gradient descent on the touched rows.
    Sgd {
        /// Learning rate.
        lr: Option<f32>,
    },
}

/// How the learning rate changes over a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Steps over which the rate rises from zero.
    pub warmup: Option<u64>,
    /// What happens afterwards.
    pub decay: Decay,
}

/// What the learning rate does after its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Half a cosine down to zero at the end of the run.
    Cosine,
    /// It stays.
    Constant,
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

    /// Checks every value that is given.
    ///
    /// # Errors
    ///
    /// If a value is outside what it may be; the error names it.
    pub fn check(&self) -> Result<()> {
        size("input.features", self.input.features)?;
        share("input.dropout", self.input.dropout.unwrap_or(0.0))?;
        if self.hidden.is_empty() {
            return Err(refused("hidden", &"empty", "at least one dense layer"));
        }
        for layer in &self.hidden {
            size("hidden.units", layer.units)?;
            share("hidden.dropout", layer.dropout)?;
            let norm = layer.norm.unwrap_or(0.0);
            let fine = norm == 0.0 || (1e-3..=1e6).contains(&norm);
            ensure(fine, "hidden.norm", norm, "zero (off) or from 0.001 to 1000000")?;
        }
        size("output.units", self.output.units)?;
        self.output.sampler.check(self.output.units)?;
        let (OptimizerConfig::Adam { lr, .. } | OptimizerConfig::Sgd { lr }) = self.optimizer;
        let lr = lr.unwrap_or(1.0);
        ensure(lr.is_finite() && lr > 0.0, "optimizer.lr", lr, "a positive number")?;
        if let OptimizerConfig::Adam { beta1, beta2, eps, .. } = self.optimizer {
            share("optimizer.beta1", beta1)?;
            share("optimizer.beta2", beta2)?;
            ensure(eps.is_finite() && eps > 0.0, "optimizer.eps", eps, "a positive number")?;
        }
        Ok(())
    }
}

impl OptimizerConfig {
    /// The learning rate; 0 where it is left open.
    #[must_use]
    pub fn lr(&self) -> f32 {
        let (Self::Adam { lr, .. } | Self::Sgd { lr }) = self;
        lr.unwrap_or(0.0)
    }
}

impl SamplerConfig {
    fn check(&self, units: usize) -> Result<()> {
        let active = |n: Option<usize>| {
            let n = n.unwrap_or(1);
            let wanted = "at least 1 and at most the number of units";
            ensure((1..=units).contains(&n), "output.sampler.n_active", n, wanted)
        };
        match self {
            Self::Full {} => Ok(()),
            Self::Uniform { n_active, .. } => active(*n_active),
            Self::Lsh { n_active, random_share, tables, rebuild, .. } => {
                active(*n_active)?;
                share("sampler.random_share", random_share.unwrap_or(0.0))?;
                let TablesConfig::Simhash { n_tables, n_hashes, bucket_size, .. } = tables;
                let (l, k) = (n_tables.unwrap_or(1), n_hashes.unwrap_or(1));
                // Votes are counted in bytes.
                ensure((1..=255).contains(&l), "tables.n_tables", l, "from 1 to 255")?;
                ensure((1..=16).contains(&k), "tables.n_hashes", k, "from 1 to 16")?;
                let cap = bucket_size.unwrap_or(1);
                ensure(cap > 0, "tables.bucket_size", cap, "at least 1")?;
                let every = rebuild.every.unwrap_or(1);
                ensure(every > 0, "rebuild.every", every, "at least 1 step")?;
                let growth = rebuild.growth.unwrap_or(1.0);
                let fine = growth.is_finite() && growth >= 1.0;
                ensure(fine, "rebuild.growth", growth, "at least 1")
            }
        }
    }
}

fn refused(name: &'static str, found: &dyn ToString, wanted: &'static str) -> Error {
    Error::Config { name, found: found.to_string(), wanted }
}

fn ensure(
    fine: bool,
    name: &'static str,
    found: impl Copy + ToString,
    wanted: &'static str,
) -> Result<()> {
    if fine { Ok(()) } else { Err(refused(name, &found, wanted)) }
}

/// Ids are 32-bit signed in `SciPy` and in our results, and slots 32-bit unsigned.
fn size(name: &'static str, found: usize) -> Result<()> {
    ensure((1..=i32::MAX as usize).contains(&found), name, found, "from 1 to 2147483647")
}

fn share(name: &'static str, found: f32) -> Result<()> {
    ensure((0.0..1.0).contains(&found), name, found, "at least 0 and below 1")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A network of the given sizes with everything else by rule.
    pub(crate) fn plain(features: usize, hidden: usize, units: usize) -> NetworkConfig {
        NetworkConfig {
            seed: 0,
            loss: Loss::Softmax,
            input: InputConfig { features, normalize: true, dropout: None },
            hidden: vec![DenseConfig {
                units: hidden,
                activation: Activation::Linear,
                norm: None,
                dropout: 0.0,
            }],
            output: OutputConfig {
                units,
                bias: true,
                sampler: SamplerConfig::Lsh {
                    strategy: Strategy::Topk,
                    n_active: None,
                    fill: Fill::Random,
                    random_share: None,
                    tables: TablesConfig::Simhash {
                        n_tables: None,
                        n_hashes: None,
                        bucket_size: None,
                        seed: None,
                    },
                    rebuild: RebuildConfig { every: None, growth: None },
                },
            },
            optimizer: OptimizerConfig::Adam { lr: None, beta1: 0.9, beta2: 0.999, eps: 1e-8 },
            schedule: ScheduleConfig { warmup: None, decay: Decay::Cosine },
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
        config.optimizer = OptimizerConfig::Sgd { lr: Some(f32::NAN) };
        assert!(config.check().unwrap_err().to_string().starts_with("optimizer.lr is NaN"));
    }
}
