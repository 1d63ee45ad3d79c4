//! Equal-width rows of floats, aligned to cache lines and striped over shards.
//!
//! Row `id` lives in shard `id % SHARDS`, so that neighbours (and, where ids are sorted by
//! frequency, the popular rows) are spread over all shards. A shard is a contiguous piece of
//! memory: `shards_mut` hands every task its own, and no lock is needed. The number of shards is
//! a constant, never the number of threads: results must not depend on it.

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

use crate::rng::{Rng, Stream};
use crate::simd::{Kernels, LANES};

/// How many shards the rows of a layer are spread over.
pub const SHARDS: usize = 64;

/// Where the rows of a layer live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripes {
    rows: usize,
    per_shard: usize,
}

impl Stripes {
    /// Spreads `rows` rows.
    #[must_use]
    pub const fn new(rows: usize) -> Self {
        Self { rows, per_shard: rows.div_ceil(SHARDS) }
    }

    /// Number of rows.
    #[must_use]
    pub const fn rows(self) -> usize {
        self.rows
    }

    /// Places in one shard; the last places of some shards stay empty.
    #[must_use]
    pub const fn per_shard(self) -> usize {
        self.per_shard
    }

    /// Places in all shards.
    #[must_use]
    pub const fn slots(self) -> usize {
        self.per_shard * SHARDS
    }

    /// Place of row `id` in memory.
    #[must_use]
    #[inline]
    pub const fn slot(self, id: u32) -> u32 {
        let (shard, local) = Self::split(id);
        shard * self.per_shard as u32 + local
    }

    /// Shard of row `id`, and its place there.
    #[must_use]
    #[inline]
    pub const fn split(id: u32) -> (u32, u32) {
        (id % SHARDS as u32, id / SHARDS as u32)
    }

    /// Row at place `local` of `shard`, if there is one.
    #[must_use]
    #[inline]
    pub const fn id(self, shard: usize, local: usize) -> Option<u32> {
        let id = local * SHARDS + shard;
        if id < self.rows { Some(id as u32) } else { None }
    }

    /// Number of rows in `shard`; they fill its first places.
    #[must_use]
    pub const fn len(self, shard: usize) -> usize {
        (self.rows + SHARDS - 1 - shard) / SHARDS
    }
}

/// One cache line.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

/// A matrix whose rows start at cache lines.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    lines: Vec<Line>,
    stride: usize,
}

impl Matrix {
    /// `rows` rows of zeros, each with room for `width` floats.
    #[must_use]
    pub fn zeros(rows: usize, width: usize) -> Self {
        let stride = width.next_multiple_of(LANES);
        Self { lines: vec![Line([0.0; LANES]); rows * stride / LANES], stride }
    }

    /// One column without padding: row `i` is a single float.
    #[must_use]
    pub fn column(rows: usize) -> Self {
        Self { lines: vec![Line([0.0; LANES]); rows.div_ceil(LANES)], stride: 1 }
    }

    /// Floats from the start of one row to the start of the next.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// All floats, padding included.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        bytemuck::cast_slice(&self.lines)
    }

    /// All floats, padding included.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }

    /// Row `i` with its padding.
    #[must_use]
    pub fn row(&self, i: usize) -> &[f32] {
        &self.as_slice()[i * self.stride..][..self.stride]
    }

    /// Row `i` with its padding.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        let stride = self.stride;
        &mut self.as_mut_slice()[i * stride..][..stride]
    }

    /// Copies the first `n` rows of `block` to the rows from `first` on; strides must agree.
    pub fn copy_block(&mut self, first: usize, block: &Self, n: usize) {
        let floats = n * self.stride;
        self.as_mut_slice()[first * block.stride..][..floats]
            .copy_from_slice(&block.as_slice()[..floats]);
    }

    /// Becomes `rows` rows of zeros with room for `width` floats; memory is reused.
    pub fn reset(&mut self, rows: usize, width: usize) {
        self.stride = width.next_multiple_of(LANES);
        self.lines.clear();
        self.lines.resize(rows * self.stride / LANES, Line([0.0; LANES]));
    }
}

/// The rows of a layer: weights, or a moment of them. The padding after a row is always zero.
#[derive(Clone, Debug)]
pub struct Rows {
    stripes: Stripes,
    width: usize,
    matrix: Matrix,
}

impl Rows {
    /// `rows` rows of `width` zeros.
    #[must_use]
    pub fn zeros(rows: usize, width: usize) -> Self {
        let stripes = Stripes::new(rows);
        Self { stripes, width, matrix: Matrix::zeros(stripes.slots(), width) }
    }

    /// `rows` zeros, packed: the biases of a layer.
    #[must_use]
    pub fn column(rows: usize) -> Self {
        let stripes = Stripes::new(rows);
        Self { stripes, width: 1, matrix: Matrix::column(stripes.slots()) }
    }

    /// As many zeros in the same places.
    #[must_use]
    pub fn zeros_like(&self) -> Self {
        let rows = self.stripes.rows;
        if self.stride() == 1 { Self::column(rows) } else { Self::zeros(rows, self.width) }
    }

    /// Uniform numbers with standard deviation `std`; row `id` depends on `seed`, `layer` and `id`.
    /// (Normal ones would train as well, and take a second for a large input layer.)
    #[must_use]
    pub fn random(rows: usize, width: usize, std: f32, seed: u64, layer: u64) -> Self {
        let mut new = Self::zeros(rows, width);
        let (stride, stripes) = (new.stride(), new.stripes);
        new.shards_mut().into_par_iter().enumerate().for_each(|(shard, rows)| {
            for (local, row) in rows.chunks_mut(stride).enumerate() {
                if let Some(id) = stripes.id(shard, local) {
                    let mut rng = Rng::new(seed, Stream::Weights, layer, u64::from(id));
                    rng.fill_uniform(std * 3_f32.sqrt(), &mut row[..width]);
                }
            }
        });
        new
    }

    /// Puts back what [`Rows::to_vec`] gave.
    pub fn assign(&mut self, mut values: impl Iterator<Item = f32>) {
        let width = self.width;
        for id in 0..self.stripes.rows as u32 {
            for (w, value) in self.row_mut(id)[..width].iter_mut().zip(&mut values) {
                *w = value;
            }
        }
    }

    /// Where each row lives.
    #[must_use]
    pub const fn stripes(&self) -> Stripes {
        self.stripes
    }

    /// Floats of a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Floats from the start of one row to the start of the next.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.matrix.stride()
    }

    /// All slots, one after another, padding included.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        self.matrix.as_slice()
    }

    /// Row `id` with its padding.
    #[must_use]
    pub fn row(&self, id: u32) -> &[f32] {
        self.matrix.row(self.stripes.slot(id) as usize)
    }

    /// Row `id` with its padding.
    pub fn row_mut(&mut self, id: u32) -> &mut [f32] {
        self.matrix.row_mut(self.stripes.slot(id) as usize)
    }

    /// `out[k]`: the inner product of `x`, as long as the stride, with the row in `slots[k]`.
    pub fn dot_rows(&self, kernels: &Kernels, slots: &[u32], x: &[f32], out: &mut [f32]) {
        (kernels.dot_rows)(self.as_slice(), slots, x, out);
    }

    /// Adds `coefs[k]` times the row in `slots[k]`, for all k, to `y`, as long as the stride.
    pub fn axpy_rows(&self, kernels: &Kernels, slots: &[u32], coefs: &[f32], y: &mut [f32]) {
        (kernels.axpy_rows)(self.as_slice(), slots, coefs, y);
    }

    /// `out[k]`: the inner product of the row in `slots[k]` with the sparse vector that has
    /// `values` at `columns`.
    pub fn dot_columns(&self, slots: &[u32], (columns, values): (&[u32], &[f32]), out: &mut [f32]) {
        for (out, &slot) in out.iter_mut().zip(slots) {
            let row = self.matrix.row(slot as usize);
            *out = columns.iter().zip(values).map(|(&j, x)| row[j as usize] * x).sum();
        }
    }

    /// Adds to `out[j]` the entry at `columns[j]` of `coefs[k]` times the row in `slots[k]`, for
    /// all k.
    pub fn axpy_columns(&self, (slots, coefs): (&[u32], &[f32]), columns: &[u32], out: &mut [f32]) {
        for (&slot, coef) in slots.iter().zip(coefs) {
            let row = self.matrix.row(slot as usize);
            for (out, &j) in out.iter_mut().zip(columns) {
                *out += coef * row[j as usize];
            }
        }
    }

    /// `count` rows of a shard from place `first` on, as floats; `room` is used where they are not
    /// stored so.
    #[must_use]
    pub fn tile<'a>(
        &'a self,
        (shard, first, count): (usize, usize, usize),
        room: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        room.clear();
        &self.shards()[shard][first * self.stride()..][..count * self.stride()]
    }

    /// The slots of every shard.
    #[must_use]
    pub fn shards(&self) -> [&[f32]; SHARDS] {
        let floats = self.shard_floats();
        let all = self.as_slice();
        std::array::from_fn(|shard| &all[shard * floats..][..floats])
    }

    /// The slots of every shard, to be written by one task each.
    #[must_use]
    pub fn shards_mut(&mut self) -> [&mut [f32]; SHARDS] {
        let floats = self.shard_floats();
        let mut rest = self.matrix.as_mut_slice();
        std::array::from_fn(|_| rest.split_off_mut(..floats).unwrap_or_default())
    }

    fn shard_floats(&self) -> usize {
        self.stripes.per_shard * self.stride()
    }

    /// The rows in the order of their ids, without padding.
    #[must_use]
    pub fn to_vec(&self) -> Vec<f32> {
        let ids = 0..self.stripes.rows as u32;
        ids.flat_map(|id| &self.row(id)[..self.width]).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_one_slot_of_its_own() {
        for rows in [1, 2, 63, 64, 65, 1000] {
            let stripes = Stripes::new(rows);
            let mut slots: Vec<_> = (0..rows as u32).map(|id| stripes.slot(id)).collect();
            slots.sort_unstable();
            slots.dedup();
            assert_eq!(slots.len(), rows);
            assert!(slots.iter().all(|&slot| (slot as usize) < stripes.slots()));
            for id in 0..rows as u32 {
                let (shard, local) = Stripes::split(id);
                assert_eq!(stripes.id(shard as usize, local as usize), Some(id));
            }
            assert_eq!((0..SHARDS).map(|shard| stripes.len(shard)).sum::<usize>(), rows);
        }
    }

    #[test]
    fn values_come_back_in_the_order_of_their_ids() {
        let values: Vec<f32> = (0..130 * 5).map(|x| x as f32).collect();
        let mut rows = Rows::zeros(130, 5);
        rows.assign(values.iter().copied());
        assert_eq!(rows.to_vec(), values);
        assert_eq!(&rows.row(7)[..5], &values[35..40]);
        assert!(rows.row(7)[5..].iter().all(|&x| x == 0.0));
    }

    #[test]
    fn rows_start_at_cache_lines() {
        let rows = Rows::zeros(3, 5);
        assert_eq!(rows.row(1).as_ptr() as usize % 64, 0);
    }
}
