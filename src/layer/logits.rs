//! Logits of many queries against all rows of a layer, tile by tile: never a whole matrix.

use crate::simd::{Kernels, LANES};

/// Rows of a layer that are multiplied at a time.
pub(super) const TILE: usize = 256;

/// Writes the logits of `n` queries against `count` rows: `TILE` floats a query, of which the
/// first `count` count. `weights` and `bias` begin at the first row of the tile.
pub(super) fn tile(
    kernels: &Kernels,
    (queries, n, stride): (&[f32], usize, usize),
    (weights, bias): (&[f32], Option<&[f32]>),
    count: usize,
    transposed: &mut Vec<f32>,
    out: &mut Vec<f32>,
) {
    transposed.resize(stride * TILE, 0.0);
    transpose(&weights[..count * stride], stride, transposed, TILE);
    out.clear();
    out.resize(n * TILE, 0.0);
    if let Some(bias) = bias {
        for out in out.chunks_mut(TILE) {
            out[..count].copy_from_slice(&bias[..count]);
        }
    }
    let dims = [n, count.next_multiple_of(LANES).min(TILE), stride];
    (kernels.gemm)(dims, queries, stride, transposed, TILE, out, TILE);
}

/// `to[j * to_stride + i] = from[i * from_stride + j]`, in squares that fit in the L1 cache.
pub(super) fn transpose(from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
    const SIDE: usize = 16;
    let rows = from.len() / from_stride;
    for first in (0..rows).step_by(SIDE) {
        let last = (first + SIDE).min(rows);
        for left in (0..from_stride).step_by(SIDE) {
            let right = (left + SIDE).min(from_stride);
            for j in left..right {
                let to = &mut to[j * to_stride + first..j * to_stride + last];
                for (i, to) in to.iter_mut().enumerate() {
                    *to = from[(first + i) * from_stride + j];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_moves_every_float() {
        for (rows, stride) in [(1, 1), (17, 33), (40, 16)] {
            let from: Vec<f32> = (0..rows * stride).map(|x| x as f32).collect();
            let mut to = vec![0.0; stride * 64];
            transpose(&from, stride, &mut to, 64);
            for i in 0..rows {
                for j in 0..stride {
                    assert_eq!(to[j * 64 + i], from[i * stride + j]);
                }
            }
        }
    }
}
