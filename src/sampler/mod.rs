//! Samplers: which neurons of the wide layer a sample computes.

mod fill;
mod retrieve;

use retrieve::Ranking;

use crate::config::{Fill, SamplerConfig, Strategy};
use crate::lsh::{Index, SimHash};
use crate::rng::Rng;
use crate::rows::Stripes;
use crate::schedule::Rebuild;
use crate::simd::Kernels;

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
    },
    /// All neurons.
    Full,
}

/// The state of the LSH sampler.
#[derive(Debug)]
pub struct Lsh {
    /// Hash functions and tables.
    pub index: Index,
    /// When moved rows are inserted again.
    pub rebuild: Rebuild,
    strategy: Strategy,
    n_active: usize,
    n_random: usize,
    bucket_size: usize,
    fill: Fill,
    ranking: Ranking,
}

impl Lsh {
    /// Neurons that are taken from the tables at most: all but the room kept for random ones.
    const fn n_found(&self) -> usize {
        self.n_active - self.n_random
    }
}

/// Reusable memory of one thread. All votes are zero between samples.
#[derive(Debug)]
pub struct Scratch {
    kernels: Kernels,
    votes: Vec<u8>,
    candidates: Vec<u32>,
    order: Vec<u32>,
}

impl Scratch {
    /// For layers of `units` neurons.
    #[must_use]
    pub fn new(units: usize, kernels: Kernels) -> Self {
        Self {
            kernels,
            votes: vec![0; units],
            candidates: vec![0; units + 1],
            order: Vec::with_capacity(units),
        }
    }
}

impl Sampler {
    /// Makes the sampler of a layer with `stripes.rows()` units and `width` inputs; every value of
    /// `config` must be filled in.
    #[must_use]
    pub fn new(config: &SamplerConfig, stripes: Stripes, width: usize) -> Self {
        let given = |n: Option<usize>| n.unwrap_or_else(|| stripes.rows());
        match config {
            SamplerConfig::Full {} => Self::Full,
            SamplerConfig::Uniform { n_active, log_q }
            | SamplerConfig::LogUniform { n_active, log_q }
            | SamplerConfig::InBatch { n_active, log_q } => {
                Self::Uniform { n_active: given(*n_active), log_q: *log_q }
            }
            SamplerConfig::Oracle { n_active, .. } => {
                Self::Uniform { n_active: given(*n_active), log_q: true }
            }
            SamplerConfig::Lsh(config) => {
                let (tables, rebuild) = (&config.tables, &config.rebuild);
                let (l, k) = (tables.n_tables.unwrap_or(1), tables.n_hashes.unwrap_or(1));
                let hash = SimHash::new(l, k, width, tables.seed.unwrap_or(0));
                let (every, growth) = (rebuild.every.unwrap_or(1), rebuild.growth.unwrap_or(1.0));
                let n_active = given(config.n_active);
                let fill = config.fill == Fill::Random;
                let share = if fill { config.random_share.unwrap_or(0.0) } else { 0.0 };
                let n_random = (share * n_active as f32) as usize;
                Self::Lsh(Box::new(Lsh {
                    index: Index::new(hash, stripes),
                    rebuild: Rebuild::new(every, growth),
                    strategy: config.strategy,
                    n_active,
                    n_random: if n_active < stripes.rows() { n_random } else { 0 },
                    bucket_size: given(tables.bucket_size),
                    fill: config.fill,
                    ranking: Ranking::new(l, k),
                }))
            }
        }
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

    /// Appends the neurons that are found for a query with these `codes`: no labels, no fill, as
    /// many as in training and at least `least` where there are so many. `units` neurons stand in
    /// all.
    pub fn retrieve(
        &self,
        (codes, units): (&[u16], usize),
        least: usize,
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) {
        match self {
            Self::Full => active.extend(0..units as u32),
            Self::Uniform { n_active, .. } => {
                let start = active.len();
                fill::random(least.max(*n_active), (start, units), rng, scratch, active);
                scratch.forget(&active[start..]);
            }
            Self::Lsh(lsh) => {
                lsh.retrieve(codes, least.max(lsh.n_found()), rng, scratch, active);
            }
        }
    }

    /// Appends the active set of one sample: its `labels` first, then what is found, then random
    /// neurons up to `n_active`. Labels must be distinct.
    pub fn choose(
        &self,
        labels: &[u32],
        (codes, units): (&[u16], usize),
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) -> Drawn {
        let start = active.len();
        let (wanted, fill, corrected) = match self {
            Self::Full => (units, true, false),
            Self::Uniform { n_active, log_q } => (*n_active, true, *log_q),
            Self::Lsh(lsh) => {
                lsh.retrieve(codes, lsh.n_found(), rng, scratch, active);
                (lsh.n_active, lsh.fill == Fill::Random, lsh.n_random > 0)
            }
        };
        scratch.labels_first(labels, start, wanted, active);
        let (found, from) = (active.len() - start, active.len());
        if fill {
            let missing = wanted.saturating_sub(found);
            fill::random(missing, (start, units), rng, scratch, active);
        }
        scratch.forget(&active[start..]);
        let drawn = active.len() - from;
        let log_q = if corrected && drawn > 0 {
            (drawn as f64 / (units - found) as f64).ln() as f32
        } else {
            0.0
        };
        Drawn { found, log_q }
    }
}

/// The random part of an active set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drawn {
    /// Neurons before the random ones: labels, and what was found.
    pub found: usize,
    /// To be subtracted from the logits of the random ones: the log of the probability with which
    /// one of the neurons that were not found is drawn.
    pub log_q: f32,
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

    /// Takes the marks of `ids` back.
    fn forget(&mut self, ids: &[u32]) {
        for &id in ids {
            self.votes[id as usize] = 0;
        }
    }
}

#[cfg(test)]
mod tests;
