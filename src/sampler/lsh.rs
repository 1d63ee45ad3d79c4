//! The state of the LSH sampler.

use crate::config::{BucketPolicy, Fill, LogQ, LshConfig, Strategy};
use crate::lsh::{Index, Rebuild};
use crate::rows::Stripes;

use super::n_random;
use super::ranking::Ranking;

/// The state of the LSH sampler.
#[derive(Debug)]
pub struct Lsh {
    /// Hash functions and tables.
    pub index: Index,
    /// When moved rows are inserted again.
    pub rebuild: Rebuild,
    pub(super) strategy: Strategy,
    pub(super) log_q: LogQ,
    pub(super) ranking: Ranking,
    /// Ids of a bucket that are read at most.
    pub(super) window: usize,
    /// Hash functions of a table.
    pub(super) n_hashes: usize,
    most: usize,
    least: usize,
    n_random: usize,
    fill: Fill,
    /// Whether the samples of a block share the random neurons.
    pub(super) shared_negatives: bool,
}

impl Lsh {
    /// The sampler of a layer with `width` inputs; every value of `config` must be filled in.
    #[must_use]
    pub fn new(config: &LshConfig, stripes: Stripes, width: usize) -> Self {
        let (tables, units) = (&config.tables, stripes.rows());
        let index = Index::new(tables, stripes, width);
        let n_hashes = tables.n_hashes.unwrap_or(1);
        let most = config.n_active.unwrap_or(units);
        let least = config.min_active.unwrap_or(most).min(most);
        let fill = config.fill;
        // The length of a row says something about its logit only where it was not hashed already.
        let lengths = !tables.mips && !tables.normalize && config.strategy == Strategy::Topk;
        let collision = |cosine| index.hash().collision(cosine).filter(|_| lengths);
        let ranking = Ranking::new(index.hash().n_tables(), n_hashes, collision);
        let whole = tables.bucket_policy != BucketPolicy::Window;
        Self {
            rebuild: Rebuild::new(&config.rebuild),
            strategy: config.strategy,
            log_q: config.log_q,
            ranking,
            window: if whole { units } else { tables.bucket_size.unwrap_or(units) },
            n_hashes,
            most,
            least,
            n_random: match fill {
                Fill::Random => n_random(config.random_share, least, units),
                Fill::None => 0,
            },
            fill,
            shared_negatives: config.shared_negatives,
            index,
        }
    }

    /// Neurons computed for a sample at most, labels included.
    pub(super) const fn n_active(&self) -> usize {
        self.most
    }

    /// Neurons that are taken from the tables at most: all but the room kept for random ones.
    pub(super) const fn n_found(&self) -> usize {
        self.most - self.n_random
    }

    /// Random neurons that are to be drawn at most, but where the tables hardly find any.
    pub(super) fn most_random(&self) -> usize {
        match self.fill {
            Fill::Random => self.n_random.max(self.least / 2),
            Fill::None => 0,
        }
    }

    /// Whether room is kept for random neurons.
    pub(super) const fn has_random(&self) -> bool {
        self.n_random > 0
    }

    /// Random neurons that are to be drawn where `found` are there already.
    pub(super) fn missing(&self, found: usize) -> usize {
        let reserved = self.n_random.min(self.most.saturating_sub(found));
        match self.fill {
            Fill::Random => self.least.saturating_sub(found).max(reserved),
            Fill::None => 0,
        }
    }

    /// Whether random neurons stand for all that were not found, rather than for themselves.
    pub(super) fn corrects_fill(&self) -> bool {
        match self.log_q {
            LogQ::None => false,
            LogQ::Random => self.n_random > 0,
            LogQ::All => true,
        }
    }
}
