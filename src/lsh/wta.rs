//! Winner take all (Yagnik, Strelow, Ross and Lin, "The power of comparative reasoning", ICCV
//! 2011): which of a few random coordinates is the largest. Only the order of coordinates counts.

use crate::rng::{Rng, Stream};

use super::Vectors;
use super::family::Shape;
use super::packing::Packing;

/// The coordinates that every hash function compares.
#[derive(Clone, Debug)]
pub(super) struct Wta {
    shape: Shape,
    compared: usize,
    /// `compared` different coordinates for each function, in random order.
    coordinates: Vec<u32>,
    packing: Packing,
}

impl Wta {
    /// Draws the coordinates: the first `bin_size` of a random permutation of all for each
    /// function, or all where there are fewer.
    pub(super) fn new(bin_size: usize, shape: Shape, seed: u64, generation: u64) -> Self {
        let (functions, dimension) = (shape.n_tables * shape.n_hashes, shape.dimension());
        let compared = bin_size.min(dimension);
        let mut order: Vec<u32> = (0..dimension as u32).collect();
        let mut coordinates = Vec::with_capacity(functions * compared);
        for function in 0..functions as u64 {
            let mut rng = Rng::new(seed, Stream::Projection, generation, function);
            // The first places of a Fisher-Yates shuffle; any order will do to start from.
            for i in 0..compared {
                order.swap(i, i + rng.below((dimension - i) as u32) as usize);
            }
            coordinates.extend_from_slice(&order[..compared]);
        }
        let each = bin_size.ilog2() as usize;
        let packing = Packing::new(shape.n_hashes, each, seed, generation);
        Self { shape, compared, coordinates, packing }
    }

    /// Bits of a code.
    pub(super) const fn bits(&self) -> usize {
        self.packing.bits()
    }

    /// See [`super::HashFamily::codes`]. Ties go to the coordinate that comes first.
    pub(super) fn codes(
        &self,
        vectors: Vectors<'_>,
        extras: &[f32],
        scratch: &mut Vec<f32>,
        codes: &mut [u16],
    ) {
        let Shape { n_tables, n_hashes, width, n_extras, .. } = self.shape;
        for (i, codes) in codes.chunks_mut(n_tables).enumerate() {
            let extras = &extras[i * n_extras..][..n_extras];
            scratch.clear();
            scratch.resize(self.shape.dimension(), 0.0);
            for (coordinate, value) in vectors.get(i, width).present(width, extras) {
                scratch[coordinate] = value;
            }
            let tables = self.coordinates.chunks(n_hashes * self.compared);
            for (coordinates, code) in tables.zip(codes) {
                let functions = coordinates.chunks(self.compared);
                *code = self.packing.pack(functions.map(|compared| winner(scratch, compared)));
            }
        }
    }

    /// Floats that [`Wta::codes`] needs as scratch.
    pub(super) const fn scratch(&self) -> usize {
        self.shape.dimension()
    }
}

/// The place in `compared` of the coordinate with the largest value.
fn winner(values: &[f32], compared: &[u32]) -> u64 {
    let mut best = (f32::NEG_INFINITY, 0);
    for (place, &coordinate) in compared.iter().enumerate() {
        let value = values[coordinate as usize];
        best = if value > best.0 { (value, place as u64) } else { best };
    }
    best.1
}
