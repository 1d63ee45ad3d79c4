//! Bins that hold the greatest key that fell into them, and what an empty one stands for.

use crate::rng::{Rng, Stream};

/// What an empty bin holds; no key is as small.
pub(super) const EMPTY: u64 = 0;

/// Attempts at finding a bin that is not empty before they are walked through in order. With one
/// bin in twenty filled, one search in twenty-seven comes to that.
const ATTEMPTS: usize = 64;

/// Where empty bins look for another's key.
///
/// Each bin has a random sequence of others and takes the key of the first that is not empty
/// (Shrivastava, "Optimal densification for fast and accurate minwise hashing", ICML 2017): two
/// vectors with the same bins empty look in the same places. The number of attempts is bounded;
/// after them the next bin in order that is not empty counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Donors {
    seed: u64,
    generation: u64,
}

impl Donors {
    pub(super) const fn new(seed: u64, generation: u64) -> Self {
        Self { seed, generation }
    }

    /// The key of bin `i`, or of the bin it takes it from; [`EMPTY`] if all are empty.
    pub(super) fn key(self, bins: &[u64], i: usize) -> u64 {
        if bins[i] != EMPTY {
            return bins[i];
        }
        let mut rng = Rng::new(self.seed, Stream::Densify, self.generation, i as u64);
        let drawn = (0..ATTEMPTS).map(|_| bins[rng.below(bins.len() as u32) as usize]);
        let walked = bins[i..].iter().chain(&bins[..i]).copied();
        drawn.chain(walked).find(|&key| key != EMPTY).unwrap_or(EMPTY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_bin_takes_the_key_of_one_that_is_not() {
        let donors = Donors::new(1, 0);
        for full in [1, 2, 50, 99] {
            let mut bins = vec![EMPTY; 100];
            bins[100 - full..].fill(7);
            assert!((0..100).all(|i| donors.key(&bins, i) == 7));
        }
    }

    #[test]
    fn when_all_bins_are_empty_every_key_is_empty() {
        assert!((0..5).all(|i| Donors::new(1, 0).key(&[EMPTY; 5], i) == EMPTY));
    }

    #[test]
    fn every_bin_gives_as_often_as_the_others() {
        let (n, taken) = (20, 1);
        let mut counts = vec![0_u32; n];
        let draws = 4000;
        for seed in 0..draws {
            let bins: Vec<u64> = (0..n as u64).collect();
            counts[Donors::new(seed, 0).key(&bins, 0) as usize] += 1;
        }
        let expected = draws as f64 / (n - taken) as f64;
        let off = |&count: &u32| (f64::from(count) - expected).powi(2) / expected;
        let chi: f64 = counts[taken..].iter().map(off).sum();
        // 18 degrees of freedom: mean 18, standard deviation 6; five of them.
        assert!(chi < 18.0 + 5.0 * 6.0, "chi square {chi}");
    }
}
