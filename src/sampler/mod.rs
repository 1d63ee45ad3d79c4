//! Samplers: which neurons of the wide layer a sample computes.
//!
//! An active set is the labels of the sample, then what the sampler finds, then random neurons.
//! All numbers come from the generator of the sample or, where a block of samples shares its random
//! neurons, of the block; so they are the same ones on any thread.

mod correct;
mod fill;
mod log_uniform;
mod lsh;
mod pool;
mod ranking;
mod retrieve;
mod shared;

use correct::Law;

use crate::config::SamplerConfig;
use crate::lsh::Index;
use crate::rng::Rng;
use crate::rows::Stripes;
use crate::simd::Kernels;

pub use correct::Drawn;
pub use log_uniform::LogUniform;
pub use lsh::Lsh;
pub use pool::Pool;
pub use shared::Shared;
pub(crate) use shared::hash;

/// What every sampler does behind one interface.
#[derive(Debug)]
pub enum Sampler {
    /// Neurons that hash tables return.
    Lsh(Box<Lsh>),
    /// Random neurons.
    Uniform {
        /// Neurons computed for a sample, labels included.
        n_active: usize,
        /// Whether log q is subtracted from the logits of sampled negatives.
        log_q: bool,
        /// Whether the samples of a block share them.
        shared_negatives: bool,
    },
    /// Random neurons, of which those with low ids are more likely.
    LogUniform {
        /// Neurons computed for a sample, labels included.
        n_active: usize,
        /// Whether log q is subtracted from the logits of sampled negatives.
        log_q: bool,
        /// How likely.
        law: LogUniform,
    },
    /// The labels of the other samples.
    InBatch {
        /// Neurons computed for a sample at most, labels included.
        n_active: usize,
        /// Whether log q is subtracted from the logits of sampled negatives.
        log_q: bool,
    },
    /// Those with the highest logits.
    Oracle {
        /// Neurons computed for a sample, labels included.
        n_active: usize,
        /// How many of them are random.
        n_random: usize,
        /// Whether the samples of a block share those.
        shared_negatives: bool,
    },
    /// All neurons.
    Full,
}

/// What is asked for one sample.
pub struct Query<'a> {
    /// Its labels, distinct; none where the layer has no labels.
    pub labels: &'a [u32],
    /// The codes of the layer's input, where there is an index.
    pub codes: &'a [u16],
    /// Neurons of the layer.
    pub units: usize,
    /// The labels of the batch, where there is one.
    pub pool: Option<&'a Pool>,
    /// What [`Sampler::share`] drew for the samples around it.
    pub shared: &'a mut Shared,
    /// Appends so many neurons, those with the highest logits.
    pub exact: &'a mut dyn FnMut(usize, &mut Vec<u32>),
}

/// Reusable memory of one thread. All votes are zero between samples.
#[derive(Debug)]
pub struct Scratch {
    kernels: Kernels,
    votes: Vec<u8>,
    candidates: Vec<u32>,
    /// Those of the candidates that have more than one vote.
    repeated: Vec<u32>,
    order: Vec<u32>,
    grades: Vec<u8>,
    clocks: Vec<(f64, u32)>,
}

impl Scratch {
    /// For layers of `units` neurons.
    #[must_use]
    pub fn new(units: usize, kernels: Kernels) -> Self {
        Self {
            kernels,
            votes: vec![0; units],
            candidates: vec![0; units + 1],
            repeated: vec![0; units + 1],
            order: Vec::with_capacity(units),
            grades: Vec::with_capacity(units),
            clocks: vec![],
        }
    }
}

impl Sampler {
    /// Makes the sampler of a layer with `stripes.rows()` units and `width` inputs; every value of
    /// `config` must be filled in.
    #[must_use]
    pub fn new(config: &SamplerConfig, stripes: Stripes, width: usize) -> Self {
        let units = stripes.rows();
        match *config {
            SamplerConfig::Full {} => Self::Full,
            SamplerConfig::Uniform { n_active, log_q, shared_negatives } => {
                Self::Uniform { n_active: n_active.unwrap_or(units), log_q, shared_negatives }
            }
            SamplerConfig::LogUniform { n_active, log_q } => {
                let n_active = n_active.unwrap_or(units);
                Self::LogUniform { n_active, log_q, law: LogUniform::new(units) }
            }
            SamplerConfig::InBatch { n_active, log_q } => {
                Self::InBatch { n_active: n_active.unwrap_or(units), log_q }
            }
            SamplerConfig::Oracle { n_active, random_share, shared_negatives } => {
                let n_active = n_active.unwrap_or(units);
                let n_random = n_random(random_share, n_active, units);
                Self::Oracle { n_active, n_random, shared_negatives }
            }
            SamplerConfig::Lsh(ref config) => Self::Lsh(Box::new(Lsh::new(config, stripes, width))),
        }
    }

    /// The same for inputs of the given length, which the tables are tuned to.
    #[must_use]
    pub fn expecting(mut self, length: f32) -> Self {
        if let Some(index) = self.index_mut() {
            index.expect(length);
        }
        self
    }

    /// The hash index, where there is one.
    #[must_use]
    pub fn index(&self) -> Option<&Index> {
        match self {
            Self::Lsh(lsh) => Some(&lsh.index),
            _ => None,
        }
    }

    /// The hash index, where there is one.
    pub fn index_mut(&mut self) -> Option<&mut Index> {
        match self {
            Self::Lsh(lsh) => Some(&mut lsh.index),
            _ => None,
        }
    }

    /// Appends the neurons that are found for a query: no labels, no fill, as many as in training,
    /// and where a limit would leave fewer than `least`, up to that. Without a batch there are no
    /// labels of others.
    pub fn retrieve(
        &self,
        query: &mut Query<'_>,
        least: usize,
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) {
        let (start, units) = (active.len(), query.units);
        match self {
            Self::Full => active.extend(0..units as u32),
            Self::Uniform { n_active, .. } => {
                fill::random(least.max(*n_active), (start, units), rng, scratch, active);
            }
            Self::LogUniform { n_active, law, .. } => {
                law.draw(least.max(*n_active), (start, units), rng, scratch, active);
            }
            Self::InBatch { n_active, .. } => {
                if let Some(pool) = query.pool {
                    pool.draw(least.max(*n_active), rng, scratch, active);
                }
            }
            Self::Oracle { n_active, n_random, .. } => {
                return (query.exact)(least.max(n_active - n_random).min(units), active);
            }
            Self::Lsh(lsh) => {
                lsh.retrieve(query.codes, least.max(lsh.n_found()), rng, scratch, active);
                return;
            }
        }
        scratch.forget(&active[start..]);
    }

    /// Draws the random neurons that the samples of a block share: each takes the first of them that
    /// it does not have yet, which is a random set of those, as it would draw for itself. But the rows
    /// of a block are fewer, and meet all of its samples at once. Leaves none where each sample draws
    /// its own.
    pub fn share(&self, units: usize, rng: &mut Rng, scratch: &mut Scratch, shared: &mut Shared) {
        let n = match self {
            Self::Lsh(lsh) if lsh.shared_negatives => lsh.most_random(),
            Self::Uniform { n_active, shared_negatives: true, .. } => *n_active,
            Self::Oracle { n_random, shared_negatives: true, .. } => *n_random,
            _ => 0,
        };
        shared.refill(|ids| {
            fill::random(n, (0, units), rng, scratch, ids);
            scratch.forget(ids);
            // Of many, ids come in ascending order; a sample that has some of them leaves the last
            // ones.
            rng.shuffle(ids);
        });
    }

    /// Whether what [`Sampler::share`] draws is meant to be taken: tables that leave no room for random
    /// neurons have them in reserve only.
    #[must_use]
    pub fn shares(&self) -> bool {
        match self {
            Self::Lsh(lsh) => lsh.shared_negatives && lsh.has_random(),
            Self::Uniform { shared_negatives, .. } | Self::Oracle { shared_negatives, .. } => {
                *shared_negatives
            }
            Self::LogUniform { .. } | Self::InBatch { .. } | Self::Full => false,
        }
    }

    /// Appends the active set of one sample: its labels first, then what is found, then random
    /// neurons, those behind the others that it shares with the samples around it.
    pub fn choose(
        &self,
        query: &mut Query<'_>,
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) -> Drawn {
        let (start, units) = (active.len(), query.units);
        let mut law = match self {
            Self::Lsh(lsh) => lsh.retrieve(query.codes, lsh.n_found(), rng, scratch, active),
            Self::Oracle { n_active, n_random, .. } => {
                (query.exact)(n_active - n_random, active);
                Law::Fill
            }
            _ => Law::Fill,
        };
        let most = self.most(units);
        scratch.labels_first(query.labels, start, most, active);
        let (found, from) = (active.len() - start, active.len());
        let missing = most.saturating_sub(found);
        let mut taken = 0;
        match self {
            Self::LogUniform { law: likely, log_q, .. } => {
                let time = likely.draw(missing, (start, units), rng, scratch, active);
                law = if *log_q { Law::Clock { time } } else { Law::Fill };
                query.shared.pass();
            }
            Self::InBatch { log_q, .. } => {
                let share = query.pool.map_or(1.0, |pool| pool.draw(missing, rng, scratch, active));
                law = if *log_q { Law::Pool { share } } else { Law::Fill };
                query.shared.pass();
            }
            _ => {
                let missing = match self {
                    Self::Lsh(lsh) => lsh.missing(found),
                    _ => missing,
                };
                let sizes = (start, units);
                taken = fill::rest(missing, query.shared, sizes, rng, scratch, active);
            }
        }
        // What is shared bears no marks.
        scratch.forget(&active[start..active.len() - taken]);
        let corrected = match self {
            Self::Uniform { log_q, .. } => *log_q,
            Self::Oracle { n_random, .. } => *n_random > 0,
            Self::Lsh(lsh) => lsh.corrects_fill(),
            Self::LogUniform { .. } | Self::InBatch { .. } | Self::Full => false,
        };
        let drawn = if corrected { active.len() - from } else { 0 };
        Drawn::new(found, drawn, units, law)
    }

    /// Neurons computed for a sample at most, unless it has more labels.
    fn most(&self, units: usize) -> usize {
        match self {
            Self::Full => units,
            Self::Uniform { n_active, .. }
            | Self::LogUniform { n_active, .. }
            | Self::InBatch { n_active, .. }
            | Self::Oracle { n_active, .. } => *n_active,
            Self::Lsh(lsh) => lsh.n_active(),
        }
    }
}

/// Neurons that are random whatever is found, of `n`; none where all are computed anyway.
fn n_random(share: Option<f32>, n: usize, units: usize) -> usize {
    if n < units { (share.unwrap_or(0.0) * n as f32) as usize } else { 0 }
}

impl Scratch {
    /// Rewrites `active[start..]` (found neurons) as labels, then what else was found, at most
    /// `wanted` in all unless there are more labels; marks all of them.
    fn labels_first(&mut self, labels: &[u32], start: usize, wanted: usize, active: &mut Vec<u32>) {
        self.order.clear();
        self.order.extend_from_slice(&active[start..]);
        active.truncate(start);
        active.extend_from_slice(labels);
        for &label in labels {
            self.votes[label as usize] = 1;
        }
        for &id in &self.order {
            if active.len() - start >= wanted {
                break;
            }
            if std::mem::replace(&mut self.votes[id as usize], 1) == 0 {
                active.push(id);
            }
        }
    }

    /// Takes the votes of the first `found` candidates back.
    fn forget_found(&mut self, found: usize) {
        for &id in &self.candidates[..found] {
            self.votes[id as usize] = 0;
        }
    }

    /// Takes the marks of `ids` back.
    fn forget(&mut self, ids: &[u32]) {
        for &id in ids {
            self.votes[id as usize] = 0;
        }
    }
}

#[cfg(test)]
mod tests;
