//! Which neurons a sample computes.

use serde::{Deserialize, Serialize};

use crate::error::Result;

use super::check::{ensure, share};
use super::{BucketPolicy, FamilyConfig, RebuildConfig, TablesConfig};

/// Which neurons a sample computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SamplerConfig {
    /// Those that hash tables return for the layer's input, and random ones.
    Lsh(LshConfig),
    /// Random ones up to `n_active`.
    Uniform {
        /// Neurons computed for a sample, labels included.
        n_active: Option<usize>,
        /// Whether log q is subtracted from the logits of sampled negatives.
        log_q: bool,
        /// Whether the samples of a block share the random ones.
        #[serde(default)]
        shared_negatives: bool,
    },
    /// Random ones, of which those with low ids are more likely: P(id) = log(1 + 1 / (id + 1)) /
    /// log(units + 1), for ids in the order of their frequency.
    LogUniform {
        /// Neurons computed for a sample, labels included.
        n_active: Option<usize>,
        /// Whether log q is subtracted from the logits of sampled negatives.
        log_q: bool,
    },
    /// The labels of the other samples of the batch.
    InBatch {
        /// Neurons computed for a sample at most, labels included; all when not given.
        n_active: Option<usize>,
        /// Whether log q is subtracted from the logits of sampled negatives.
        log_q: bool,
    },
    /// Those with the highest logits, found by computing all.
    Oracle {
        /// Neurons computed for a sample, labels included.
        n_active: Option<usize>,
        /// As for [`LshConfig`].
        random_share: Option<f32>,
        /// Whether the samples of a block share the random ones.
        #[serde(default)]
        shared_negatives: bool,
    },
    /// All.
    Full {},
}

/// Neurons that hash tables return for the layer's input, and random ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LshConfig {
    /// How candidates are chosen.
    pub strategy: Strategy,
    /// Neurons computed for a sample at most, labels included; with union and threshold, as many
    /// as are found when not given.
    pub n_active: Option<usize>,
    /// Neurons computed for a sample at least; `n_active` when not given, and where that is not
    /// given either, what the other samplers compute.
    pub min_active: Option<usize>,
    /// How neurons that are missing to `min_active` are found.
    pub fill: Fill,
    /// Share of `min_active` that is drawn at random however many are found, and stands, by log q,
    /// for all neurons that were not found; 0 for none.
    pub random_share: Option<f32>,
    /// From which logits log q is subtracted.
    pub log_q: LogQ,
    /// Whether the samples of a block share the random neurons: the rows are then few, and stay in
    /// the cache.
    #[serde(default)]
    pub shared_negatives: bool,
    /// The hash tables.
    pub tables: TablesConfig,
    /// When moved rows are inserted again.
    pub rebuild: RebuildConfig,
}

/// From which logits the log of the probability of being active is subtracted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogQ {
    /// From those of random neurons, where a share of the active ones is random.
    Random,
    /// From those of found neurons as well, by the angle between row and query.
    All,
    /// From none.
    None,
}

/// How candidates from the tables become active neurons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Those with the best logits, as estimated from the number of tables they are found in.
    Topk,
    /// Whole buckets, tables in random order, until there are enough.
    Vanilla,
    /// Those found in at least so many tables; of too many, those found in most.
    Threshold {
        /// Tables; at least 1.
        min_count: usize,
    },
    /// All ids of all buckets; of too many, a random part.
    Union,
}

/// How missing neurons are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// Drawn without replacement.
    Random,
    /// Not at all: fewer are computed.
    None,
}

impl LshConfig {
    /// Everything left to rule.
    #[must_use]
    pub const fn open() -> Self {
        Self {
            strategy: Strategy::Topk,
            n_active: None,
            min_active: None,
            fill: Fill::Random,
            random_share: None,
            log_q: LogQ::Random,
            shared_negatives: true,
            tables: TablesConfig {
                family: FamilyConfig::Simhash { projection: None },
                n_tables: None,
                n_hashes: None,
                bucket_size: None,
                bucket_policy: BucketPolicy::Window,
                seed: None,
                center: false,
                normalize: false,
                append_bias: true,
                mips: false,
            },
            rebuild: RebuildConfig { every: None, growth: None, drift: None, redraw: None },
        }
    }

    /// The probability of being found is known where it is a function of the angle alone, and the
    /// angle where the logit tells it: not without the bias, about another centre, or at another
    /// length.
    fn check_log_q(&self) -> Result<()> {
        if self.log_q != LogQ::All {
            return Ok(());
        }
        let TablesConfig { family, center, normalize, append_bias, mips, .. } = &self.tables;
        let found = match family {
            FamilyConfig::Wta { .. } => "all with the family wta",
            FamilyConfig::Dwta { .. } => "all with the family dwta",
            FamilyConfig::Doph { .. } => "all with the family doph",
            FamilyConfig::Simhash { .. } if *center => "all with tables.center",
            FamilyConfig::Simhash { .. } if *normalize => "all with tables.normalize",
            FamilyConfig::Simhash { .. } if *mips => "all with tables.mips",
            FamilyConfig::Simhash { .. } if !*append_bias => "all without tables.append_bias",
            FamilyConfig::Simhash { .. } => return Ok(()),
        };
        let wanted =
            "random or none but for simhash with append_bias, without center, normalize and mips";
        ensure(false, "sampler.log_q", found, wanted)
    }

    /// Fills in how many are active. Union and threshold take what they find: unless a limit is
    /// given they have none, and fill up to what the others compute.
    fn resolve_active(&mut self, units: usize) {
        let by_rule = active(units).max(self.min_active.unwrap_or(0));
        let least = self.n_active.unwrap_or(by_rule);
        self.min_active.get_or_insert(least);
        self.n_active.get_or_insert(if self.is_unlimited() { units } else { by_rule });
    }

    /// Whether all that is found is computed, unless a limit is given.
    pub(super) fn is_unlimited(&self) -> bool {
        matches!(self.strategy, Strategy::Union | Strategy::Threshold { .. })
    }

    /// Whether everything but the seed is left to rule.
    fn is_open(&self) -> bool {
        let tables = TablesConfig { seed: None, ..self.tables.clone() };
        Self { tables, fill: Fill::Random, ..self.clone() } == Self::open()
    }
}

impl SamplerConfig {
    /// Checks every value that is given.
    pub(crate) fn check(&self, units: usize) -> Result<()> {
        let active = |name: &'static str, n: Option<usize>| {
            let n = n.unwrap_or(1);
            let wanted = "at least 1 and at most the number of units";
            ensure((1..=units).contains(&n), name, n, wanted)
        };
        match self {
            Self::Full {} => Ok(()),
            Self::Uniform { n_active, .. }
            | Self::LogUniform { n_active, .. }
            | Self::InBatch { n_active, .. } => active("sampler.n_active", *n_active),
            Self::Oracle { n_active, random_share, .. } => {
                share("sampler.random_share", random_share.unwrap_or(0.0))?;
                active("sampler.n_active", *n_active)
            }
            Self::Lsh(lsh) => {
                active("sampler.n_active", lsh.n_active)?;
                active("sampler.min_active", lsh.min_active)?;
                let (least, most) = (lsh.min_active.unwrap_or(1), lsh.n_active.unwrap_or(units));
                ensure(least <= most, "sampler.min_active", least, "at most n_active")?;
                share("sampler.random_share", lsh.random_share.unwrap_or(0.0))?;
                if let Strategy::Threshold { min_count } = lsh.strategy {
                    let most = lsh.tables.n_tables.unwrap_or(usize::MAX);
                    let fine = (1..=most).contains(&min_count);
                    let wanted = "at least 1 and at most tables.n_tables";
                    ensure(fine, "sampler.min_count", min_count, wanted)?;
                }
                lsh.check_log_q()?;
                lsh.tables.check()?;
                lsh.rebuild.check()
            }
        }
    }

    /// Fills in what is open for a layer of `units` neurons, whose inputs are `dense` and so many
    /// or else sparse.
    pub(crate) fn resolve(&mut self, dense: Option<usize>, units: usize, seed: u64) {
        if units < DENSE_BELOW && matches!(self, Self::Lsh(lsh) if lsh.is_open()) {
            *self = Self::Full {};
        }
        match self {
            Self::Full {} => {}
            Self::InBatch { n_active, .. } => _ = n_active.get_or_insert(units),
            Self::Uniform { n_active, .. } | Self::LogUniform { n_active, .. } => {
                n_active.get_or_insert(active(units));
            }
            Self::Oracle { n_active, random_share, .. } => {
                n_active.get_or_insert(active(units));
                let share = random_share_of(n_active.unwrap_or(units));
                random_share.get_or_insert(share);
            }
            Self::Lsh(lsh) => {
                lsh.resolve_active(units);
                let share = random_share_of(lsh.min_active.unwrap_or(units));
                lsh.random_share.get_or_insert(share);
                lsh.tables.resolve(dense, units, seed);
                lsh.rebuild.resolve(units);
            }
        }
    }
}

/// Below this many outputs a dense product is cheaper than finding the few that matter.
const DENSE_BELOW: usize = 1000;

/// Half for the hard ones, half for the tail of the softmax. Of many, fewer are hard: those are other
/// rows for each sample, while a block shares the random ones.
fn random_share_of(n_active: usize) -> f32 {
    1.0 - 0.5_f32.min(MOST_FOUND / n_active as f32)
}

/// Neurons that are found for a sample, at most.
const MOST_FOUND: f32 = 128.0;

/// A few in a hundred: the found ones hold nearly all of the softmax. The random ones stand for the
/// rest; where labels are as frequent as each other it takes many, which a block shares, to do so.
pub(super) fn active(units: usize) -> usize {
    (units / 34).clamp(64, 1000).min(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_found_neurons_cannot_be_corrected_it_is_said_why() {
        let open = || LshConfig { log_q: LogQ::All, ..LshConfig::open() };
        let refused = |tables| {
            let lsh = LshConfig { tables, ..open() };
            SamplerConfig::Lsh(lsh).check(100).unwrap_err().to_string()
        };
        let tables = open().tables;
        SamplerConfig::Lsh(open()).check(100).unwrap();
        let dwta = FamilyConfig::Dwta { bin_size: 8 };
        assert_eq!(
            refused(TablesConfig { family: dwta, ..tables.clone() }),
            "sampler.log_q is all with the family dwta, but must be random or none but for \
             simhash with append_bias, without center, normalize and mips"
        );
        for tables in [
            TablesConfig { center: true, ..tables.clone() },
            TablesConfig { mips: true, ..tables.clone() },
            TablesConfig { normalize: true, ..tables.clone() },
            TablesConfig { append_bias: false, ..tables },
        ] {
            assert!(refused(tables).starts_with("sampler.log_q is all with"));
        }
    }

    #[test]
    fn union_and_threshold_have_no_limit_unless_it_is_given() {
        let units = 20_000;
        let sizes = |strategy, n_active, min_active| {
            let open = LshConfig::open();
            let mut sampler =
                SamplerConfig::Lsh(LshConfig { strategy, n_active, min_active, ..open });
            sampler.resolve(Some(128), units, 0);
            sampler.check(units).unwrap();
            match sampler {
                SamplerConfig::Lsh(lsh) => [lsh.n_active.unwrap(), lsh.min_active.unwrap()],
                _ => [0, 0],
            }
        };
        for strategy in [Strategy::Union, Strategy::Threshold { min_count: 2 }] {
            assert_eq!(sizes(strategy, None, None), [units, 588]);
            assert_eq!(sizes(strategy, Some(50), None), [50, 50]);
            assert_eq!(sizes(strategy, None, Some(7)), [units, 7]);
        }
        for strategy in [Strategy::Topk, Strategy::Vanilla] {
            assert_eq!(sizes(strategy, None, None), [588, 588]);
            assert_eq!(sizes(strategy, Some(50), Some(7)), [50, 7]);
            assert_eq!(sizes(strategy, None, Some(700)), [700, 700]);
        }
    }
}
