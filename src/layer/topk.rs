//! The best few of many that are offered one by one.

use std::cmp::Ordering;

/// The best of what was offered, best first; equal scores in the order of their ids.
///
/// What is offered is collected until twice as many are there as are wanted; then the better half
/// stays. So an offer takes constant time on average, however many are wanted.
#[derive(Clone, Debug)]
pub struct TopK {
    k: usize,
    threshold: f32,
    best: Vec<(f32, u32)>,
}

impl TopK {
    /// Keeps `k` of them, at least one. Memory grows with what is offered.
    #[must_use]
    pub const fn new(k: usize) -> Self {
        Self { k, threshold: f32::NEG_INFINITY, best: Vec::new() }
    }

    /// Forgets everything; `k` are kept from now on.
    pub fn reset(&mut self, k: usize) {
        self.k = k;
        self.threshold = f32::NEG_INFINITY;
        self.best.clear();
    }

    /// No score below this is kept.
    #[must_use]
    #[inline]
    pub const fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Offers a neuron; each may be offered once.
    #[inline]
    pub fn offer(&mut self, score: f32, id: u32) {
        if score >= self.threshold {
            self.best.push((score, id));
            if self.best.len() >= (2 * self.k).max(LEAST) {
                self.compact();
            }
        }
    }

    /// Offers all that another one keeps.
    pub fn merge(&mut self, other: &Self) {
        for &(score, id) in &other.best {
            self.offer(score, id);
        }
    }

    /// Best first.
    pub fn best(&mut self) -> &[(f32, u32)] {
        self.compact();
        self.best.sort_unstable_by(|&a, &b| descending(a, b));
        &self.best
    }

    /// Writes the ids and scores, padded with -1 and minus infinity.
    pub fn write(&mut self, ids: &mut [i32], scores: &mut [f32]) {
        ids.fill(-1);
        scores.fill(f32::NEG_INFINITY);
        for ((&(score, id), out_id), out) in self.best().iter().zip(ids).zip(scores) {
            (*out_id, *out) = (id as i32, score);
        }
    }

    fn compact(&mut self) {
        if self.best.len() > self.k {
            let order = |&a: &_, &b: &_| descending(a, b);
            let (_, last, _) = self.best.select_nth_unstable_by(self.k - 1, order);
            self.threshold = last.0;
            self.best.truncate(self.k);
        }
    }
}

/// Fewer are not worth a selection.
const LEAST: usize = 16;

/// Best first.
fn descending(a: (f32, u32), b: (f32, u32)) -> Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};

    #[test]
    fn the_best_are_those_of_a_full_sort() {
        let mut rng = Rng::new(0, Stream::Probe, 0, 0);
        for k in [1, 3, 50, 80] {
            // Few distinct scores, so that ties are common.
            let mut all: Vec<(f32, u32)> = (0..60).map(|id| (rng.below(9) as f32, id)).collect();
            rng.shuffle(&mut all);
            let mut top = TopK::new(9);
            top.offer(1e9, 0);
            top.reset(k);
            for &(score, id) in &all {
                top.offer(score, id);
            }
            all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            all.truncate(k);
            assert_eq!(top.best(), all);
        }
    }
}
