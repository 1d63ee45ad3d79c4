//! One shard of rows, owned by the task that changes it.

use crate::config::Dtype;
use crate::simd::{Kernels, Stored};

use super::numbers::Numbers;

/// One shard of [`Rows`](super::Rows), to be read and written.
#[derive(Debug, Default)]
pub struct Shard<'a> {
    numbers: Numbers<'a>,
    stride: usize,
}

/// The floats of `halves`, in `room`.
pub(super) fn widened<'a, E: Stored>(
    kernels: &Kernels,
    halves: &[E],
    room: &'a mut Vec<f32>,
) -> &'a [f32] {
    room.resize(halves.len(), 0.0);
    (E::of(kernels).widen)(halves, room);
    room
}

impl<'a> Shard<'a> {
    pub(super) fn new(rows: impl Into<Numbers<'a>>, stride: usize) -> Self {
        Self { numbers: rows.into(), stride }
    }

    /// All rows.
    ///
    /// # Panics
    ///
    /// If they are not stored as `f32`; see [`Shard::tile`]. Biases always are.
    #[must_use]
    pub const fn as_slice(&self) -> &[f32] {
        match &self.numbers {
            Numbers::F32(rows) => rows,
            Numbers::Bf16(_) | Numbers::F16(_) => panic!("rows that are stored as f32"),
        }
    }

    /// `count` rows from place `first` on, as floats; `room` is used where they are not stored so.
    #[must_use]
    pub fn tile<'b>(
        &'b self,
        kernels: &Kernels,
        (first, count): (usize, usize),
        room: &'b mut Vec<f32>,
    ) -> &'b [f32] {
        let (start, count) = (first * self.stride, count * self.stride);
        match &self.numbers {
            Numbers::F32(rows) => &rows[start..][..count],
            Numbers::Bf16(rows) => widened(kernels, &rows[start..][..count], room),
            Numbers::F16(rows) => widened(kernels, &rows[start..][..count], room),
        }
    }

    /// What the numbers are stored as.
    pub(crate) const fn dtype(&self) -> Dtype {
        self.numbers.dtype()
    }

    /// Bytes of a row with its padding.
    pub(crate) const fn row_bytes(&self) -> usize {
        if self.numbers.len() == 0 { 0 } else { self.stride * self.dtype().bytes() }
    }

    /// Numbers from one row to the next.
    pub(crate) const fn stride(&self) -> usize {
        self.stride
    }

    /// All numbers, as they are stored; none where that is not `E`.
    pub(crate) fn stored_mut<E: Stored>(&mut self) -> &mut [E] {
        self.numbers.stored_mut()
    }

    /// All numbers, to be changed.
    pub(crate) fn all_mut(&mut self) -> Numbers<'_> {
        self.numbers.part(0, usize::MAX)
    }

    /// The row at place `local`, to be changed; no numbers if there is none.
    pub(crate) fn row_mut(&mut self, local: usize) -> Numbers<'_> {
        self.numbers.part(local * self.stride, self.stride)
    }

    /// Asks for the row at place `local`.
    pub fn prefetch(&self, kernels: &Kernels, local: usize) {
        let place = local * self.stride..(local + 1) * self.stride;
        match &self.numbers {
            Numbers::F32(rows) => fetch(kernels, rows.get(place)),
            Numbers::Bf16(rows) => fetch(kernels, rows.get(place)),
            Numbers::F16(rows) => fetch(kernels, rows.get(place)),
        }
    }

    /// Puts `values` at the start of the row at place `local`, rounded to the nearest.
    pub fn assign(&mut self, local: usize, values: impl Iterator<Item = f32>) {
        let place = local * self.stride..(local + 1) * self.stride;
        match &mut self.numbers {
            Numbers::F32(rows) => assign(&mut rows[place], values),
            Numbers::Bf16(rows) => assign(&mut rows[place], values),
            Numbers::F16(rows) => assign(&mut rows[place], values),
        }
    }
}

/// Asks for a row. Two halves lie where one float would, so what is asked for are the same lines.
#[inline]
pub(crate) fn fetch<E: Stored>(kernels: &Kernels, row: Option<&[E]>) {
    _ = row.and_then(|row| bytemuck::try_cast_slice(row).ok()).map(kernels.prefetch);
}

fn assign<E: Stored>(row: &mut [E], values: impl Iterator<Item = f32>) {
    row.iter_mut().zip(values).for_each(|(w, x)| *w = E::nearest(x));
}
