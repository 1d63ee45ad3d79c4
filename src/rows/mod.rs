//! Equal-width rows of floats, aligned to cache lines and striped over shards.
//!
//! Row `id` lives in shard `id % SHARDS`, so that neighbours (and, where ids are sorted by
//! frequency, the popular rows) are spread over all shards. A shard is a contiguous piece of
//! memory: `shards_mut` hands every task its own, and no lock is needed. The number of shards is
//! a constant, never the number of threads: results must not depend on it.
//!
//! Rows are stored as `f32`, or as `bf16` or `f16` in half the memory. Whoever reads them through
//! [`Rows::dot_rows`] and its neighbours, [`Rows::tile`] or [`Rows::read`] need not know which.

/// Evaluates `$work` where `$type` is what `$dtype` names.
macro_rules! as_stored {
    ($dtype:expr, $type:ident => $work:expr) => {
        match $dtype {
            $crate::config::Dtype::F32 => {
                type $type = f32;
                $work
            }
            $crate::config::Dtype::Bf16 => {
                type $type = $crate::simd::Bf16;
                $work
            }
            $crate::config::Dtype::F16 => {
                type $type = $crate::simd::F16;
                $work
            }
        }
    };
}

pub(crate) use as_stored;

mod chosen;
mod lent;
mod lines;
mod matrix;
mod numbers;
mod pick;
mod shard;
mod stripes;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use crate::config::Dtype;
use crate::rng::{Rng, Stream};
use crate::simd::{Bf16, F16, Kernels, LANES, Stored};

pub(crate) use lines::Lines;
use matrix::Line;

pub use matrix::Matrix;
pub use numbers::Numbers;
pub use shard::Shard;
pub(crate) use shard::fetch;
pub use stripes::{SHARDS, Stripes};

/// The rows of a layer: weights, or a moment of them. The padding after a row is always zero.
#[derive(Clone, Debug)]
pub struct Rows<'m> {
    stripes: Stripes,
    width: usize,
    stride: usize,
    dtype: Dtype,
    lines: Lines<'m>,
}

impl Rows<'_> {
    /// `rows` rows of `width` zeros.
    #[must_use]
    pub fn zeros(rows: usize, width: usize) -> Self {
        Self::new(rows, width, Dtype::F32)
    }

    /// `rows` rows of `width` zeros, stored as `dtype`.
    #[must_use]
    pub fn new(rows: usize, width: usize, dtype: Dtype) -> Self {
        Self::with_stride(rows, (width, width.next_multiple_of(LANES)), dtype)
    }

    /// `rows` zeros, packed: the biases of a layer, or one number for each of its rows.
    #[must_use]
    pub fn column(rows: usize) -> Self {
        Self::with_stride(rows, (1, 1), Dtype::F32)
    }

    fn with_stride(rows: usize, (width, stride): (usize, usize), dtype: Dtype) -> Self {
        let stripes = Stripes::new(rows);
        let per_line = size_of::<Line>() / dtype.bytes();
        let lines = Lines::zeros((stripes.slots() * stride).div_ceil(per_line));
        Self { stripes, width, stride, dtype, lines }
    }

    /// As many zeros in the same places, stored as `dtype`.
    #[must_use]
    pub fn zeros_like(&self, dtype: Dtype) -> Rows<'static> {
        Rows::with_stride(self.stripes.rows(), (self.width, self.stride), dtype)
    }

    /// Uniform numbers with standard deviation `std`; row `id` depends on `seed`, `layer` and `id`.
    /// (Normal ones would train as well, and take a second for a large input layer.)
    #[must_use]
    pub fn random(rows: usize, width: usize, std: f32, seed: u64, layer: u64) -> Self {
        Self::random_as(Dtype::F32, (rows, width), std, (seed, layer))
    }

    /// [`Rows::random`], rounded to the nearest numbers of `dtype`.
    #[must_use]
    pub fn random_as(
        dtype: Dtype,
        (rows, width): (usize, usize),
        std: f32,
        (seed, layer): (u64, u64),
    ) -> Self {
        let mut new = Self::new(rows, width, dtype);
        let stripes = new.stripes;
        new.parts_mut().into_par_iter().enumerate().for_each(|(shard, mut rows)| {
            let mut row = vec![0.0; width];
            for local in 0..stripes.len(shard) {
                if let Some(id) = stripes.id(shard, local) {
                    let mut rng = Rng::new(seed, Stream::Weights, layer, u64::from(id));
                    rng.fill_uniform(std * 3_f32.sqrt(), &mut row);
                    rows.assign(local, row.iter().copied());
                }
            }
        });
        new
    }

    /// Puts back what [`Rows::to_vec`] gave, rounded to the nearest numbers of the type.
    pub fn assign(&mut self, values: impl Iterator<Item = f32>) {
        self.assign_rows(0..self.stripes.rows() as u32, values);
    }

    /// Where each row lives.
    #[must_use]
    pub const fn stripes(&self) -> Stripes {
        self.stripes
    }

    /// Numbers of a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Numbers from the start of one row to the start of the next.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// How the numbers are stored.
    #[must_use]
    pub const fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// All slots, one after another, padding included.
    ///
    /// # Panics
    ///
    /// If the rows are not stored as `f32`. Biases and what is kept of them always are.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        assert_eq!(self.dtype, Dtype::F32, "a slice of floats");
        bytemuck::cast_slice(self.lines.as_slice())
    }

    fn as_mut_slice(&mut self) -> &mut [f32] {
        assert_eq!(self.dtype, Dtype::F32, "a slice of floats");
        bytemuck::cast_slice_mut(self.lines.as_mut_slice())
    }

    /// All slots as they are stored, padding included.
    fn stored<E: Stored>(&self) -> &[E] {
        assert_eq!(self.dtype, E::DTYPE, "numbers of the type that is stored");
        bytemuck::cast_slice(self.lines.as_slice())
    }

    /// Row `id` with its padding.
    ///
    /// # Panics
    ///
    /// If the rows are not stored as `f32`; see [`Rows::read`].
    #[must_use]
    pub fn row(&self, id: u32) -> &[f32] {
        &self.as_slice()[self.stripes.slot(id) as usize * self.stride..][..self.stride]
    }

    /// Row `id` with its padding.
    ///
    /// # Panics
    ///
    /// If the rows are not stored as `f32`.
    pub fn row_mut(&mut self, id: u32) -> &mut [f32] {
        let (start, stride) = (self.stripes.slot(id) as usize * self.stride, self.stride);
        &mut self.as_mut_slice()[start..][..stride]
    }

    /// Copies row `id` with its padding to `out`, as long as the stride.
    pub fn read(&self, kernels: &Kernels, id: u32, out: &mut [f32]) {
        let start = self.stripes.slot(id) as usize * self.stride;
        as_stored!(self.dtype, E => {
            (E::of(kernels).widen)(&self.stored::<E>()[start..][..self.stride], out);
        });
    }

    /// `out[k]`: the inner product of `x`, as long as the stride, with the row in `slots[k]`.
    pub fn dot_rows(&self, kernels: &Kernels, slots: &[u32], x: &[f32], out: &mut [f32]) {
        as_stored!(self.dtype, E => (E::of(kernels).dot_rows)(self.stored(), slots, x, out));
    }

    /// Adds `coefs[k]` times the row in `slots[k]`, for all k, to `y`, as long as the stride.
    pub fn axpy_rows(&self, kernels: &Kernels, slots: &[u32], coefs: &[f32], y: &mut [f32]) {
        as_stored!(self.dtype, E => (E::of(kernels).axpy_rows)(self.stored(), slots, coefs, y));
    }

    /// `out[k]`: the inner product of the row in `slots[k]` with the sparse vector that has
    /// `values` at `columns`.
    pub fn dot_columns(
        &self,
        kernels: &Kernels,
        slots: &[u32],
        (columns, values): (&[u32], &[f32]),
        out: &mut [f32],
    ) {
        as_stored!(self.dtype, E => {
            (E::of(kernels).dot_columns)((self.stored(), self.stride), slots, columns, values, out);
        });
    }

    /// Adds to `out[j]` the entry at `columns[j]` of `coefs[k]` times the row in `slots[k]`, for
    /// all k.
    pub fn axpy_columns(
        &self,
        kernels: &Kernels,
        (slots, coefs): (&[u32], &[f32]),
        columns: &[u32],
        out: &mut [f32],
    ) {
        as_stored!(self.dtype, E => {
            (E::of(kernels).axpy_columns)((self.stored(), self.stride), slots, coefs, columns, out);
        });
    }

    /// The inner products of `count` rows from slot `first` on with all rows of `x`, each as long
    /// as the stride: those of the first row of `x`, then of the second. Meanwhile part `part` of
    /// `parts` of the next `count` rows is fetched; see [`RowKernels::products`](crate::simd::RowKernels::products).
    pub fn products(
        &self,
        kernels: &Kernels,
        (first, count): (usize, usize),
        x: &[f32],
        (part, parts): (usize, usize),
        out: &mut [f32],
    ) {
        let stride = self.stride;
        let rows = first * stride..(first + count) * stride;
        let last = self.stripes.slots() * stride;
        let from = |part: usize| (rows.end + part * rows.len() / parts).min(last);
        let ahead = from(part)..from(part + 1);
        as_stored!(self.dtype, E => {
            let all = self.stored::<E>();
            (E::of(kernels).products)(&all[rows], x, stride, &all[ahead], out);
        });
    }

    /// `count` rows of a shard from place `first` on, as floats; `room` is used where they are not
    /// stored so.
    #[must_use]
    pub fn tile<'a>(
        &'a self,
        kernels: &Kernels,
        (shard, first, count): (usize, usize, usize),
        room: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let start = (shard * self.stripes.per_shard() + first) * self.stride;
        let count = count * self.stride;
        match self.dtype {
            Dtype::F32 => &self.as_slice()[start..][..count],
            Dtype::Bf16 => shard::widened::<Bf16>(kernels, &self.stored()[start..][..count], room),
            Dtype::F16 => shard::widened::<F16>(kernels, &self.stored()[start..][..count], room),
        }
    }

    /// The slots of every shard.
    ///
    /// # Panics
    ///
    /// If the rows are not stored as `f32`; see [`Rows::tile`].
    #[must_use]
    pub fn shards(&self) -> [&[f32]; SHARDS] {
        let floats = self.shard_floats();
        let all = self.as_slice();
        std::array::from_fn(|shard| &all[shard * floats..][..floats])
    }

    /// The slots of every shard, to be written by one task each.
    ///
    /// # Panics
    ///
    /// If the rows are not stored as `f32`; see [`Rows::parts_mut`].
    #[must_use]
    pub fn shards_mut(&mut self) -> [&mut [f32]; SHARDS] {
        let floats = self.shard_floats();
        let mut rest = self.as_mut_slice();
        std::array::from_fn(|_| rest.split_off_mut(..floats).unwrap_or_default())
    }

    /// Every shard, to be written by one task each.
    #[must_use]
    pub fn parts_mut(&mut self) -> [Shard<'_>; SHARDS] {
        let (numbers, stride) = (self.shard_floats(), self.stride);
        as_stored!(self.dtype, E => {
            let mut rest: &mut [E] = bytemuck::cast_slice_mut(self.lines.as_mut_slice());
            std::array::from_fn(|_| {
                Shard::new(rest.split_off_mut(..numbers).unwrap_or_default(), stride)
            })
        })
    }

    fn shard_floats(&self) -> usize {
        self.stripes.per_shard() * self.stride
    }

    /// The rows in the order of their ids, without padding.
    #[must_use]
    pub fn to_vec(&self) -> Vec<f32> {
        as_stored!(self.dtype, E => self.in_order(self.stored::<E>()).map(|x| x.float()).collect())
    }

    /// The same as they are stored.
    ///
    /// # Panics
    ///
    /// If the rows are not stored as `E`.
    #[must_use]
    pub fn to_stored<E: Stored>(&self) -> Vec<E> {
        self.in_order(self.stored()).copied().collect()
    }

    fn in_order<'a, E>(&self, all: &'a [E]) -> impl Iterator<Item = &'a E> {
        let (stripes, width, stride) = (self.stripes, self.width, self.stride);
        let ids = 0..stripes.rows() as u32;
        ids.flat_map(move |id| &all[stripes.slot(id) as usize * stride..][..width])
    }

    /// Whether every number is finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.all(f32::is_finite)
    }

    /// Whether `holds` of every number, padding included.
    pub fn all(&self, holds: impl Fn(f32) -> bool) -> bool {
        as_stored!(self.dtype, E => self.stored::<E>().iter().all(|x| holds(x.float())))
    }
}
