//! From the values of several hash functions to the number of a bucket.

use crate::rng::{Rng, Stream, mix};

/// The most bits of a bucket's number.
pub(super) const MOST_BITS: usize = 16;

/// Concatenates values of equally many bits.
///
/// The published code shifts values of three bits by two places, which leaves one bucket in
/// twenty-seven within reach (algorithm.md, section 8). Here all are, and what is longer than the
/// number of a bucket is hashed to its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packing {
    each: usize,
    all: usize,
    fold: Fold,
}

impl Packing {
    /// For `n_hashes` values of `each` bits, at most 128 in all.
    pub(super) const fn new(n_hashes: usize, each: usize, seed: u64, generation: u64) -> Self {
        Self { each, all: n_hashes * each, fold: Fold::new(MOST_BITS, seed, generation) }
    }

    /// Bits of the number of a bucket.
    pub(super) const fn bits(self) -> usize {
        if self.all < MOST_BITS { self.all } else { MOST_BITS }
    }

    /// The number of the bucket of `values`.
    pub(super) fn pack(self, values: impl Iterator<Item = u64>) -> u16 {
        let packed = values.fold(0, |packed: u128, value| packed << self.each | u128::from(value));
        if self.all <= MOST_BITS {
            return packed as u16;
        }
        self.fold.of([packed as u64, (packed >> 64) as u64].into_iter())
    }
}

/// Hashes lists of numbers to the number of a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fold {
    bits: usize,
    key: u64,
}

impl Fold {
    /// To `bits` bits, from 1 to [`MOST_BITS`].
    pub(super) const fn new(bits: usize, seed: u64, generation: u64) -> Self {
        Self { bits, key: Rng::new(seed, Stream::Densify, generation, u64::MAX).next_u64() }
    }

    /// Bits of the number of a bucket.
    pub(super) const fn bits(self) -> usize {
        self.bits
    }

    /// The number of the bucket of `values`.
    pub(super) fn of(self, values: impl Iterator<Item = u64>) -> u16 {
        let hash =
            values.fold(self.key, |hash, value| mix(hash ^ value).wrapping_mul(self.key | 1));
        (mix(hash) >> (u64::BITS as usize - self.bits)) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_is_reached_by_one_list_of_values() {
        for (n_hashes, each) in [(1, 1), (4, 3), (5, 3), (2, 8), (16, 1), (3, 5)] {
            let packing = Packing::new(n_hashes, each, 0, 0);
            assert_eq!(packing.bits(), n_hashes * each);
            let mut reached = vec![false; 1 << packing.bits()];
            for bucket in 0..1_u64 << packing.bits() {
                let value = |k| bucket >> (k * each) & ((1 << each) - 1);
                let code = packing.pack((0..n_hashes).map(value));
                assert!(!std::mem::replace(&mut reached[code as usize], true));
            }
        }
    }

    #[test]
    fn more_bits_than_a_bucket_has_are_spread_evenly() {
        for (n_hashes, each) in [(6, 3), (16, 8), (9, 2)] {
            let packing = Packing::new(n_hashes, each, 5, 0);
            assert_eq!(packing.bits(), 16);
            let mut rng = Rng::new(0, Stream::Probe, 0, each as u64);
            let (draws, mut counts) = (40_000_u32, vec![0_u32; 256]);
            for _ in 0..draws {
                let values = (0..n_hashes).map(|_| u64::from(rng.below(1 << each)));
                let values: Vec<u64> = values.collect();
                counts[packing.pack(values.into_iter()) as usize >> 8] += 1;
            }
            let expected = f64::from(draws) / 256.0;
            let off = |&count: &u32| (f64::from(count) - expected).powi(2) / expected;
            let chi: f64 = counts.iter().map(off).sum();
            // 255 degrees of freedom; five standard deviations. Folding 18 bits to 16 adds nothing
            // to see: the share of a bucket in 256 is that of about a thousand lists of values.
            assert!((chi - 255.0).abs() < 5.0 * (2.0 * 255.0_f64).sqrt() + 40.0, "{chi}");
        }
    }
}
