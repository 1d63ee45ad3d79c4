//! The labels of a batch, each of which serves the other samples as a negative.

use crate::rng::Rng;

use super::Scratch;

/// The distinct labels of a batch, and how many samples have each.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    all: Vec<u32>,
    ids: Vec<u32>,
    counts: Vec<u32>,
    samples: usize,
}

impl Pool {
    /// Becomes the pool of a batch, from the labels of each of its samples; memory is reused.
    pub fn refill<'a>(&mut self, samples: impl IntoIterator<Item = &'a [u32]>) {
        let Self { all, ids, counts, samples: n } = self;
        all.clear();
        *n = 0;
        for labels in samples {
            all.extend_from_slice(labels);
            *n += 1;
        }
        all.sort_unstable();
        ids.clear();
        counts.clear();
        for same in all.chunk_by(|a, b| a == b) {
            ids.push(same[0]);
            counts.push(same.len() as u32);
        }
    }

    /// The distinct labels, ascending.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The log of the probability that a label of other samples stands in the pool: 0 for one that
    /// does not stand there.
    ///
    /// Of n other samples c have it, so its frequency is taken to be c / n, and a batch holds it
    /// with probability 1 - (1 - c / n)^n. Labels that are too rare for most batches are
    /// overestimated by that, at most to 1 - 1 / e: a batch alone cannot tell how rare they are,
    /// and counts of earlier batches would be a state that results depend on.
    #[must_use]
    pub fn log_q(&self, id: u32) -> f32 {
        let Ok(at) = self.ids.binary_search(&id) else { return 0.0 };
        let others = (self.samples - 1).max(1) as f64;
        let absent = (1.0 - f64::from(self.counts[at]) / others).max(0.0);
        (1.0 - absent.powf(others)).ln() as f32
    }

    /// Appends labels that are not marked yet and marks them: `missing` of them, each set equally
    /// likely, or all when there are fewer. Returns the share of them that was taken.
    pub(super) fn draw(
        &self,
        missing: usize,
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) -> f32 {
        let free = self.ids.iter().filter(|&&id| scratch.votes[id as usize] == 0).count();
        let (mut missing, mut left) = (missing.min(free) as u32, free as u32);
        let share = missing as f32 / left.max(1) as f32;
        for &id in &self.ids {
            if scratch.votes[id as usize] == 0 {
                // Algorithm S of Knuth; without draws where all are taken.
                if missing == left || rng.below(left) < missing {
                    scratch.votes[id as usize] = 1;
                    active.push(id);
                    missing -= 1;
                }
                left -= 1;
            }
        }
        share
    }
}
