//! `SimHash`: signs of random projections (Charikar, "Similarity estimation techniques from
//! rounding algorithms", STOC 2002). Two vectors agree in a bit with probability 1 - angle / pi:
//! exactly for Gaussian projections, and for those of +1, -1 and 0 up to the error of the central
//! limit theorem, which falls with the number of coordinates (Li, Hastie and Church, "Very sparse
//! random projections", KDD 2006).

use rayon::prelude::*;

use crate::config::Projection;
use crate::rng::{Rng, Stream};
use crate::rows::Matrix;
use crate::simd::{Kernels, LANES};

use super::Vectors;
use super::family::Shape;

/// One matrix with a column for every bit.
///
/// All kinds of projection are stored as floats and used by the same products: on vector units a
/// multiply-add costs no more than the addition that +1 and -1 would need.
#[derive(Clone, Debug)]
pub(super) struct SimHash {
    shape: Shape,
    projection: Matrix,
}

impl SimHash {
    /// Draws the projections.
    pub(super) fn new(kind: Projection, shape: Shape, seed: u64, generation: u64) -> Self {
        let columns = shape.n_tables * shape.n_hashes;
        let mut projection = Matrix::zeros(shape.dimension(), columns);
        let stride = projection.stride();
        projection.as_mut_slice().par_chunks_mut(stride).enumerate().for_each(|(i, row)| {
            let mut rng = Rng::new(seed, Stream::Projection, generation, i as u64);
            match kind {
                // What transforms give is as good as normal, so this is the matrix that would be.
                Projection::Gaussian | Projection::Hadamard => rng.fill_normal(1.0, row),
                Projection::Rademacher => row.fill_with(|| rng.sign()),
                Projection::Sparse => {
                    row.fill_with(|| if rng.below(3) == 0 { rng.sign() } else { 0.0 });
                }
            }
        });
        Self { shape, projection }
    }

    /// Bits of a code.
    pub(super) const fn bits(&self) -> usize {
        self.shape.n_hashes
    }

    /// See [`super::HashFamily::codes`].
    pub(super) fn codes(
        &self,
        kernels: &Kernels,
        vectors: Vectors<'_>,
        extras: &[f32],
        scratch: &mut Vec<f32>,
        codes: &mut [u16],
    ) {
        let Shape { n_tables, n_hashes, width, n_extras, .. } = self.shape;
        let (n, bits) = (vectors.len(), self.projection.stride());
        scratch.clear();
        scratch.resize(n * bits, 0.0);
        // The additional coordinates come first, so that sparse and dense vectors add the rest in
        // the same order: a product with zero changes no bit of a sum.
        for (i, out) in scratch.chunks_mut(bits).enumerate() {
            for (e, &extra) in extras[i * n_extras..][..n_extras].iter().enumerate() {
                (kernels.axpy)(extra, self.projection.row(width + e), out);
            }
        }
        let projection = self.projection.as_slice();
        match vectors {
            Vectors::Dense { values, stride, .. } => {
                let dims = [n, bits, width];
                (kernels.gemm)(dims, values, stride, projection, bits, scratch, bits);
            }
            Vectors::Sparse { .. } => {
                for (i, out) in scratch.chunks_mut(bits).enumerate() {
                    let vector = vectors.get(i, width);
                    (kernels.f32.axpy_rows)(projection, vector.ids, vector.values, out);
                }
            }
        }
        for (projected, codes) in scratch.chunks(bits).zip(codes.chunks_mut(n_tables)) {
            for (bits, code) in projected.chunks(n_hashes).zip(codes) {
                *code = bits.iter().fold(0, |code, &x| code << 1 | u16::from(x >= 0.0));
            }
        }
    }

    /// Floats that [`SimHash::codes`] needs as scratch for `vectors` vectors.
    pub(super) const fn scratch(&self, vectors: usize) -> usize {
        vectors * (self.shape.n_tables * self.shape.n_hashes).next_multiple_of(LANES)
    }
}
