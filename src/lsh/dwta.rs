//! Densified winner take all (Chen and Shrivastava, "Densified winner take all (WTA) hashing for
//! sparse datasets", UAI 2018).
//!
//! Winner take all compares zeros where a vector is sparse. Here permutations of all coordinates
//! are cut into bins, each coordinate that is present (not zero) falls into one bin of every
//! permutation, and a bin that stays empty takes the code of another.

use crate::rng::{Rng, Stream};

use super::Vectors;
use super::bins::{Donors, EMPTY};
use super::family::Shape;
use super::packing::Packing;

/// Where every coordinate falls.
#[derive(Clone, Debug)]
pub(super) struct Dwta {
    shape: Shape,
    /// Log of the places of a bin.
    log_size: u32,
    permutations: usize,
    /// For each coordinate, its place in all permutations laid end to end, one of each.
    places: Vec<u32>,
    donors: Donors,
    packing: Packing,
}

impl Dwta {
    /// Draws as many permutations as the bins of all functions need.
    pub(super) fn new(bin_size: usize, shape: Shape, seed: u64, generation: u64) -> Self {
        let (functions, dimension) = (shape.n_tables * shape.n_hashes, shape.dimension());
        let permutations = (functions * bin_size).div_ceil(dimension);
        let mut places = vec![0; dimension * permutations];
        let mut order: Vec<u32> = (0..dimension as u32).collect();
        for permutation in 0..permutations {
            Rng::new(seed, Stream::Projection, generation, permutation as u64).shuffle(&mut order);
            for (place, &coordinate) in order.iter().enumerate() {
                let place = (permutation * dimension + place) as u32;
                places[coordinate as usize * permutations + permutation] = place;
            }
        }
        let log_size = bin_size.ilog2();
        let donors = Donors::new(seed, generation);
        let packing = Packing::new(shape.n_hashes, log_size as usize, seed, generation);
        Self { shape, log_size, permutations, places, donors, packing }
    }

    /// Bits of a code.
    pub(super) const fn bits(&self) -> usize {
        self.packing.bits()
    }

    /// See [`super::HashFamily::codes`]. Ties go to the first place; a vector of zeros has all
    /// codes zero.
    pub(super) fn codes(
        &self,
        vectors: Vectors<'_>,
        extras: &[f32],
        bins: &mut Vec<u64>,
        codes: &mut [u16],
    ) {
        let Shape { n_tables, n_hashes, width, n_extras, .. } = self.shape;
        let last = (1 << self.log_size) - 1;
        for (i, codes) in codes.chunks_mut(n_tables).enumerate() {
            let extras = &extras[i * n_extras..][..n_extras];
            bins.clear();
            bins.resize(self.scratch(), EMPTY);
            for (coordinate, value) in vectors.get(i, width).present(width, extras) {
                let key = ordered(value) << u8::BITS;
                for &place in &self.places[coordinate * self.permutations..][..self.permutations] {
                    // The last permutation may hold more bins than are needed.
                    if let Some(bin) = bins.get_mut((place >> self.log_size) as usize) {
                        *bin = (*bin).max(key | (last - (u64::from(place) & last)));
                    }
                }
            }
            if bins.iter().all(|&bin| bin == EMPTY) {
                codes.fill(0);
                continue;
            }
            for (table, code) in codes.iter_mut().enumerate() {
                let functions = table * n_hashes..(table + 1) * n_hashes;
                let keys = functions.map(|function| self.donors.key(bins, function));
                *code = self.packing.pack(keys.map(|key| last - (key & last)));
            }
        }
    }

    /// Keys that [`Dwta::codes`] needs as scratch.
    pub(super) const fn scratch(&self) -> usize {
        self.shape.n_tables * self.shape.n_hashes
    }
}

/// A number that is greater where `value` is, and never zero.
const fn ordered(value: f32) -> u64 {
    let bits = value.to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    ordered as u64 + 1
}
