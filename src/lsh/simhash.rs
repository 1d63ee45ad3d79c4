//! `SimHash`: signs of random projections (Charikar, "Similarity estimation techniques from
//! rounding algorithms", STOC 2002). Two vectors agree in a bit with probability 1 - angle / pi.

use rayon::prelude::*;

use crate::rng::{Rng, Stream};
use crate::rows::Matrix;
use crate::simd::{Kernels, LANES};

/// `n_tables` codes of `n_hashes` bits each, from one dense Gaussian matrix.
///
/// Vectors carry one coordinate more than their width: the bias of a row, 1 for a query. So the
/// inner product that is hashed is the logit itself.
#[derive(Clone, Debug)]
pub struct SimHash {
    n_tables: usize,
    n_hashes: usize,
    width: usize,
    projection: Matrix,
}

impl SimHash {
    /// Draws the projections for vectors of `width` floats.
    #[must_use]
    pub fn new(n_tables: usize, n_hashes: usize, width: usize, seed: u64) -> Self {
        let mut projection = Matrix::zeros(width + 1, n_tables * n_hashes);
        let stride = projection.stride();
        projection.as_mut_slice().par_chunks_mut(stride).enumerate().for_each(|(i, row)| {
            Rng::new(seed, Stream::Projection, 0, i as u64).fill_normal(1.0, row);
        });
        Self { n_tables, n_hashes, width, projection }
    }

    /// L, the number of codes of a vector.
    #[must_use]
    pub const fn n_tables(&self) -> usize {
        self.n_tables
    }

    /// K, the bits of a code.
    #[must_use]
    pub const fn n_hashes(&self) -> usize {
        self.n_hashes
    }

    /// Probability that two vectors agree in one bit, from the cosine of their angle.
    #[must_use]
    pub fn collision(&self, cosine: f64) -> Option<f64> {
        Some(1.0 - cosine.clamp(-1.0, 1.0).acos() / std::f64::consts::PI)
    }

    /// Hashes vectors that start every `stride` floats of `vectors`; `extra` holds the additional
    /// coordinate of each. Writes `n_tables` codes a vector; `scratch` is reused.
    pub fn codes(
        &self,
        kernels: &Kernels,
        (vectors, stride): (&[f32], usize),
        extra: &[f32],
        scratch: &mut Vec<f32>,
        codes: &mut [u16],
    ) {
        let bits = self.projection.stride();
        scratch.clear();
        scratch.resize(extra.len() * bits, 0.0);
        for (out, &x) in scratch.chunks_mut(bits).zip(extra) {
            (kernels.axpy)(x, self.projection.row(self.width), out);
        }
        let dims = [extra.len(), bits, self.width];
        let projection = self.projection.as_slice();
        (kernels.gemm)(dims, vectors, stride, projection, bits, scratch, bits);
        for (projected, codes) in scratch.chunks(bits).zip(codes.chunks_mut(self.n_tables)) {
            for (bits, code) in projected.chunks(self.n_hashes).zip(codes) {
                *code = bits.iter().fold(0, |code, &x| code << 1 | u16::from(x >= 0.0));
            }
        }
    }

    /// Floats that [`SimHash::codes`] needs as scratch for `vectors` vectors.
    #[must_use]
    pub const fn scratch(&self, vectors: usize) -> usize {
        vectors * (self.n_tables * self.n_hashes).next_multiple_of(LANES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_agree_as_often_as_the_angle_says() {
        let width = 24;
        let hash = SimHash::new(500, 8, width, 3);
        let kernels = Kernels::available().next().unwrap();
        for pair in 0..8 {
            let mut both = Matrix::zeros(2, width);
            let mut rng = Rng::new(9, Stream::Probe, 0, pair);
            rng.fill_normal(1.0, &mut both.row_mut(0)[..width]);
            let near: Vec<f32> = both.row(0).to_vec();
            rng.fill_normal(pair as f32 * 0.3 + 0.1, &mut both.row_mut(1)[..width]);
            (kernels.axpy)(1.0, &near, both.row_mut(1));
            let extra = [0.5, 1.0];
            let mut codes = vec![0; 2 * 500];
            let vectors = (both.as_slice(), both.stride());
            hash.codes(&kernels, vectors, &extra, &mut vec![], &mut codes);
            let wide =
                |i: usize, j: usize| f64::from(*both.row(i)[..width].get(j).unwrap_or(&extra[i]));
            let dot = |a, b| (0..=width).map(|j| wide(a, j) * wide(b, j)).sum::<f64>();
            let angle = (dot(0, 1) / (dot(0, 0) * dot(1, 1)).sqrt()).acos();
            let p = 1.0 - angle / std::f64::consts::PI;
            let differing: u32 = (0..500).map(|t| (codes[t] ^ codes[500 + t]).count_ones()).sum();
            let agree = 1.0 - f64::from(differing) / 4000.0;
            let error = (p * (1.0 - p) / 4000.0).sqrt();
            assert!((agree - p).abs() < 4.0 * error, "{agree} against {p}");
        }
    }

    #[test]
    fn a_code_does_not_depend_on_the_vectors_beside_it() {
        let (width, n) = (40, 37);
        let hash = SimHash::new(9, 5, width, 1);
        for kernels in Kernels::available() {
            let mut vectors = Matrix::zeros(n, width);
            Rng::new(0, Stream::Probe, 0, 0).fill_normal(1.0, vectors.as_mut_slice());
            let stride = vectors.stride();
            let mut together = vec![0; n * 9];
            let all = (vectors.as_slice(), stride);
            hash.codes(&kernels, all, &vec![1.0; n], &mut vec![], &mut together);
            for i in 0..n {
                let mut alone = [0; 9];
                hash.codes(&kernels, (vectors.row(i), stride), &[1.0], &mut vec![], &mut alone);
                assert_eq!(alone, together[i * 9..][..9]);
            }
        }
    }
}
