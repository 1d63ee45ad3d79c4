//! The correction of sampled logits: with q the probability of an active neuron to be active,
//! `sum of exp(a - log q)` over the sampled ones estimates the sum of `exp(a)` over all, which is
//! what the softmax divides by (Bengio and Senecal, "Quick training of probabilistic neural nets
//! by importance sampling", 2003). Labels are always active, so nothing is subtracted from them.

use super::{Lsh, Pool, Sampler};

/// How an active set came about.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drawn {
    /// Neurons before the random ones: labels, and what was found.
    pub found: usize,
    /// The probability with which one of the neurons that were not found is drawn; 0 where it is
    /// not corrected for.
    pub(super) random: f64,
    law: Law,
}

/// What the probability of a neuron to be active is a function of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Law {
    /// Found neurons are taken as certain, random ones as equally likely.
    #[default]
    Fill,
    /// Id i was drawn by `time` at a rate of P(i): see [`super::log_uniform`].
    Clock { time: f64 },
    /// A `share` of the labels of others: see [`Pool`].
    Pool { share: f32 },
    /// Found in at least one of so many tables, of whose buckets a `share` was read; of all of
    /// those a share was `kept`.
    Any { tables: u32, share: f32, kept: f32 },
    /// Found in enough tables, `floor` or more, for a grade above `least`; of those with just that
    /// grade a share of `ties` was kept, and of those found in just `floor` tables a share was
    /// `kept`.
    Best { share: f32, least: u8, ties: f32, floor: u8, kept: f32 },
}

impl Drawn {
    /// `found` neurons, and `random` ones out of the rest of `units`.
    pub(super) fn new(found: usize, random: usize, units: usize, law: Law) -> Self {
        let random = random as f64 / (units - found).max(1) as f64;
        Self { found, random, law }
    }

    /// What is subtracted from the logits of random neurons that stand for all not found.
    #[must_use]
    pub fn log_q(&self) -> f32 {
        if self.random > 0.0 { self.random.ln() as f32 } else { 0.0 }
    }
}

impl Sampler {
    /// Subtracts log q from the logits of sampled negatives: all but the first `n_labels` of `ids`,
    /// an active set that was chosen as `drawn` says, with `pool` if there was one.
    /// `query_length` is the length of the layer's input as it was hashed, its additional
    /// coordinate included.
    pub fn correct(
        &self,
        drawn: &Drawn,
        (ids, n_labels): (&[u32], usize),
        pool: Option<&Pool>,
        query_length: f32,
        logits: &mut [f32],
    ) {
        let sampled = ids.iter().zip(&mut *logits).skip(n_labels);
        match (self, drawn.law) {
            (Self::LogUniform { law, .. }, Law::Clock { time }) => {
                sampled.for_each(|(&id, logit)| *logit -= law.log_q(id, time));
            }
            (_, Law::Pool { share }) => {
                let Some(pool) = pool else { return };
                let share = share.ln();
                sampled.for_each(|(&id, logit)| *logit -= pool.log_q(id) + share);
            }
            (Self::Lsh(lsh), Law::Any { .. } | Law::Best { .. }) => {
                sampled.for_each(|(&id, logit)| {
                    let found = lsh.probability(drawn.law, id, query_length, *logit);
                    let q = found + (1.0 - found) * drawn.random;
                    *logit -= q.max(f64::MIN_POSITIVE).ln() as f32;
                });
            }
            _ => {
                let log_q = drawn.log_q();
                logits.iter_mut().skip(drawn.found).for_each(|logit| *logit -= log_q);
            }
        }
    }
}

impl Lsh {
    /// Probability that row `id`, whose logit is known, was found.
    ///
    /// With p the probability that one function agrees at the angle between row and query, the
    /// row stands in the bucket of the query in each table with probability p^K, and so in one of
    /// L tables with 1 - (1 - p^K)^L (Spring and Shrivastava, "A new unbiased and efficient class
    /// of LSH-based samplers and estimators for partition function computation in log-linear
    /// models", 2017). Where more than one is asked for, the count is binomial; where the limit
    /// came out of the other candidates, it is taken as given.
    fn probability(&self, law: Law, id: u32, query_length: f32, logit: f32) -> f64 {
        let length = self.index.length(id);
        let cosine = f64::from(logit) / (f64::from(length) * f64::from(query_length));
        // Without a length there is no angle, and every function agrees at random.
        let cosine = if cosine.is_finite() { cosine.clamp(-1.0, 1.0) } else { 0.0 };
        let agree = self.index.hash().collision(cosine).unwrap_or(1.0);
        let stands = agree.powi(self.n_hashes as i32);
        match law {
            Law::Any { tables, share, kept } => {
                let read = stands * f64::from(share);
                f64::from(kept) * -(f64::from(tables) * (-read).ln_1p()).exp_m1()
            }
            Law::Best { share, least, ties, floor, kept } => {
                let from = |grade, floor| {
                    self.ranking.at_least(grade, length, floor, stands * f64::from(share))
                };
                let reaches = |grade| {
                    let all = from(grade, floor);
                    let passed =
                        if kept < 1.0 { all - from(grade, floor.saturating_add(1)) } else { 0.0 };
                    all - (1.0 - f64::from(kept)) * passed
                };
                let above = least.checked_add(1).map_or(0.0, reaches);
                above + f64::from(ties) * (reaches(least) - above).max(0.0)
            }
            Law::Fill | Law::Clock { .. } | Law::Pool { .. } => 1.0,
        }
    }
}
