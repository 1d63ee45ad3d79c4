//! Logits of many queries against all rows of a layer, tile by tile: never a whole matrix.

use std::cmp::Ordering;

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

/// The best of what was offered, best first; equal scores in the order of their ids.
#[derive(Clone, Debug)]
pub struct TopK {
    k: usize,
    best: Vec<(f32, u32)>,
}

impl TopK {
    /// Keeps `k` of them, at least one.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, best: Vec::with_capacity(k + 1) }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.best.clear();
    }

    /// Best first.
    #[must_use]
    pub fn best(&self) -> &[(f32, u32)] {
        &self.best
    }

    /// No score below this is kept.
    #[must_use]
    pub fn threshold(&self) -> f32 {
        if self.best.len() < self.k { f32::NEG_INFINITY } else { self.best[self.k - 1].0 }
    }

    /// Offers a neuron.
    pub fn offer(&mut self, score: f32, id: u32) {
        let order = |other: &(f32, u32)| match other.0.total_cmp(&score) {
            Ordering::Equal => other.1 < id,
            order => order == Ordering::Greater,
        };
        let place = self.best.partition_point(order);
        if place < self.k {
            self.best.truncate(self.k - 1);
            self.best.insert(place, (score, id));
        }
    }

    /// Writes the ids and scores, padded with -1 and minus infinity.
    pub fn write(&self, ids: &mut [i32], scores: &mut [f32]) {
        ids.fill(-1);
        scores.fill(f32::NEG_INFINITY);
        for ((&(score, id), out_id), out) in self.best.iter().zip(ids).zip(scores) {
            (*out_id, *out) = (id as i32, score);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};

    #[test]
    fn the_best_are_those_of_a_full_sort() {
        let mut rng = Rng::new(0, Stream::Probe, 0, 0);
        for k in [1, 3, 50, 80] {
            // Few distinct scores, so that ties are common.
            let mut all: Vec<(f32, u32)> = (0..60).map(|id| (rng.below(9) as f32, id)).collect();
            rng.shuffle(&mut all);
            let mut top = TopK::new(k);
            for &(score, id) in &all {
                top.offer(score, id);
            }
            all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            all.truncate(k);
            assert_eq!(top.best(), all);
        }
    }

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
