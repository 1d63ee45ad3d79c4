//! `SimHash` whose projections are rows of `H D3 H D2 H D1`: H is a Hadamard transform, which takes
//! n log n additions, and each D a diagonal of random signs (Andoni, Indyk, Laarhoven,
//! Razenshteyn and Schmidt, "Practical and optimal LSH for angular distance", NIPS 2015, section
//! 6, which finds that three rounds behave as a random rotation does).
//!
//! Vectors are padded with zeros to a power of two. There are as many blocks of transforms as
//! the bits need. They share the first rotation, `H D1`: it leaves all angles as they are, and spreads a
//! vector of few coordinates over all, so that each block has three rounds at the price of two.
//! Additional coordinates would double a width that is a power of two; each is added to every
//! output with a normal weight instead, which is what a Gaussian projection does.

use crate::rng::{Rng, Stream};
use crate::rows::Matrix;
use crate::simd::{self, Kernels, LANES, Line};

use super::Vectors;
use super::family::Shape;

/// The signs and weights.
#[derive(Clone, Debug)]
pub(super) struct Hadamard {
    shape: Shape,
    first: Vec<f32>,
    signs: Vec<f32>,
    weights: Vec<f32>,
}

/// Reusable memory of [`Hadamard::codes`].
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    /// What it was made for.
    shape: Option<Shape>,
    vectors: Matrix,
    extras: Matrix,
    work: Matrix,
    codes: Vec<[u16; LANES]>,
}

impl Hadamard {
    /// Draws the signs and the weights.
    pub(super) fn new(shape: Shape, seed: u64, generation: u64) -> Self {
        let n = length(shape.width);
        let outputs = shape.n_tables * shape.n_hashes;
        let stream = |item| Rng::new(seed, Stream::Projection, generation, item);
        let signs = |item, n| {
            let mut rng = stream(item);
            (0..n).map(|_| rng.sign()).collect()
        };
        let mut weights = vec![0.0; shape.n_extras * outputs];
        // A vector of length 1 is as long as the root of n after one transform and n after two, and
        // an output of the third is a sum of its coordinates with random signs: it deviates by n
        // where a normal projection does by 1.
        stream(2).fill_normal(n as f32, &mut weights);
        let blocks = outputs.div_ceil(n);
        Self { shape, first: signs(0, n), signs: signs(1, 2 * n * blocks), weights }
    }

    /// Bits of a code.
    pub(super) const fn bits(&self) -> usize {
        self.shape.n_hashes
    }

    /// Calls `take` with the number of the first and the codes of every sixteen vectors: of each
    /// table those of all, side by side.
    pub(super) fn codes(
        &self,
        kernels: &Kernels,
        vectors: Vectors<'_>,
        extras: &[f32],
        room: &mut Room,
        mut take: impl FnMut(usize, &[[u16; LANES]]),
    ) {
        for first in (0..vectors.len()).step_by(LANES) {
            let n = LANES.min(vectors.len() - first);
            let extras = &extras[first * self.shape.n_extras..];
            self.block(kernels, vectors, (first, n), extras, room);
            take(first, &room.codes);
        }
    }

    /// Leaves the codes of `n` vectors from the one called `first` on in `room`, side by side.
    fn block(
        &self,
        kernels: &Kernels,
        all: Vectors<'_>,
        (first, n): (usize, usize),
        extras: &[f32],
        room: &mut Room,
    ) {
        let Shape { width, n_extras, .. } = self.shape;
        self.make(room);
        let vectors = lines(&mut room.vectors);
        match all {
            Vectors::Dense { values, stride, .. } => {
                (kernels.interleave)(&values[first * stride..], [n, stride], &mut vectors[..width]);
            }
            Vectors::Sparse { .. } => {
                vectors.fill([0.0; LANES]);
                let coordinates = &mut vectors[..width];
                for (lane, i) in (first..first + n).enumerate() {
                    let vector = all.get(i, width);
                    for (&id, &value) in vector.ids.iter().zip(vector.values) {
                        coordinates[id as usize][lane] = value;
                    }
                }
            }
        }
        let beside = lines(&mut room.extras);
        (kernels.interleave)(extras, [n, n_extras], beside);
        let functions = simd::Hadamard {
            first: &self.first,
            signs: &self.signs,
            weights: &self.weights,
            n_hashes: self.shape.n_hashes,
        };
        (kernels.hadamard)(&functions, (vectors, beside), lines(&mut room.work), &mut room.codes);
    }

    /// Makes sure that `room` is as large as [`Hadamard::codes`] needs it. Coordinates beyond the
    /// width are never written and stay zero.
    fn make(&self, room: &mut Room) {
        let Shape { width, n_extras, n_tables, .. } = self.shape;
        if room.shape == Some(self.shape) {
            return;
        }
        let n = length(width);
        room.shape = Some(self.shape);
        room.vectors.reset(n, LANES);
        room.extras.reset(n_extras, LANES);
        room.work.reset(3 * n, LANES);
        room.codes.resize(n_tables, [0; LANES]);
    }

    /// Memory for [`Hadamard::codes`].
    pub(super) fn room(&self) -> Room {
        let mut room = Room::default();
        self.make(&mut room);
        room
    }
}

/// Coordinates of a transform of vectors with `width` coordinates. In fewer than 64 a vector of one
/// or two coordinates would not be spread widely enough for sums to be nearly normal.
pub(super) fn length(width: usize) -> usize {
    width.next_power_of_two().max(64)
}

fn lines(matrix: &mut Matrix) -> &mut [Line] {
    matrix.as_mut_slice().as_chunks_mut().0
}
