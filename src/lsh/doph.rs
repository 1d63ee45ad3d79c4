//! Densified one-permutation `MinHash` of the largest coordinates (Shrivastava and Li,
//! "Densifying one permutation hashing via rotation for fast near neighbor search", ICML 2014).
//!
//! A vector becomes the set of its `top` largest coordinates that are present (not zero). Each is
//! hashed once for a permutation, the range of the hash is cut into bins, and the winner of a bin
//! is its value: two sets agree there with probability |A and B| / |A or B| (Jaccard).
//!
//! One permutation of 30 coordinates holds 30 values, far fewer than there are functions in all
//! tables: most bins would be copies of one another. So there are as many permutations as it takes
//! to have half as many bins in each as the set has members, and one bin in seven stays empty.
//! (Among 22,085 random rows the best one, at a cosine of 0.55, was found among 3 % in 84 % of 300
//! queries, with 96 tables of two functions; in 80 % with one permutation, at more candidates.)

use crate::rng::{Rng, Stream};

use super::Vectors;
use super::bins::{Donors, EMPTY};
use super::family::Shape;
use super::packing::Fold;

/// What sets are hashed by.
#[derive(Clone, Debug)]
pub(super) struct Doph {
    shape: Shape,
    top: usize,
    /// Bins of a permutation.
    bins: usize,
    fold: Fold,
    seed: u64,
    generation: u64,
    donors: Donors,
}

impl Doph {
    /// Codes of `code_bits` bits from the `top` largest coordinates.
    pub(super) const fn new(
        (top, code_bits): (usize, usize),
        shape: Shape,
        seed: u64,
        generation: u64,
    ) -> Self {
        let functions = shape.n_tables * shape.n_hashes;
        let half = top.div_ceil(2);
        let bins = if half < functions { half } else { functions };
        let donors = Donors::new(seed, generation);
        let fold = Fold::new(code_bits, seed, generation);
        Self { shape, top, bins, fold, seed, generation, donors }
    }

    /// Bits of a code.
    pub(super) const fn bits(&self) -> usize {
        self.fold.bits()
    }

    /// See [`super::HashFamily::codes`].
    pub(super) fn codes(
        &self,
        vectors: Vectors<'_>,
        extras: &[f32],
        (keys, bins): (&mut Vec<u64>, &mut Vec<u64>),
        codes: &mut [u16],
    ) {
        let Shape { n_tables, n_hashes, .. } = self.shape;
        for (i, codes) in codes.chunks_mut(n_tables).enumerate() {
            self.values(vectors, i, extras, (keys, bins));
            for (code, values) in codes.iter_mut().zip(keys.chunks(n_hashes)) {
                *code = self.fold.of(values.iter().copied());
            }
        }
    }

    /// Writes the values of all functions for vector `i` to `keys`; all zero where the set is
    /// empty.
    pub(super) fn values(
        &self,
        vectors: Vectors<'_>,
        i: usize,
        extras: &[f32],
        (keys, bins): (&mut Vec<u64>, &mut Vec<u64>),
    ) {
        let Shape { width, n_extras, .. } = self.shape;
        let extras = &extras[i * n_extras..][..n_extras];
        keys.clear();
        let present = vectors.get(i, width).present(width, extras);
        // The larger value first, then the smaller coordinate.
        keys.extend(present.map(|(id, value)| descending(value) << u32::BITS | id as u64));
        if keys.len() > self.top {
            keys.select_nth_unstable(self.top - 1);
            keys.truncate(self.top);
        }
        bins.clear();
        bins.resize(self.functions(), EMPTY);
        for key in keys.iter() {
            let id = key & u64::from(u32::MAX);
            let mut rng = Rng::new(self.seed, Stream::Projection, self.generation, id);
            for bins in bins.chunks_mut(self.bins) {
                let hash = rng.next_u64();
                // The last permutation may have fewer bins than its hashes reach.
                let bin = ((hash >> 32) * self.bins as u64) >> 32;
                if let Some(bin) = bins.get_mut(bin as usize) {
                    // The greatest wins rather than the smallest, so that zero is less than all.
                    *bin = (*bin).max(hash | 1);
                }
            }
        }
        if keys.is_empty() {
            keys.resize(self.functions(), EMPTY);
            return;
        }
        keys.clear();
        keys.extend((0..self.functions()).map(|function| self.donors.key(bins, function)));
    }

    const fn functions(&self) -> usize {
        self.shape.n_tables * self.shape.n_hashes
    }

    /// Keys and bins that [`Doph::codes`] needs as scratch.
    pub(super) fn scratch(&self) -> (usize, usize) {
        (self.shape.dimension().max(self.functions()), self.functions())
    }
}

/// A number below 2^32 that is smaller where `value` is greater.
const fn descending(value: f32) -> u64 {
    let bits = value.to_bits();
    (if bits >> 31 == 1 { bits } else { !(bits | 1 << 31) }) as u64
}
