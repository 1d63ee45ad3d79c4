//! One shard of rows, owned by the task that changes it.

use crate::simd::{Bf16, Kernels};

use super::numbers::Numbers;

/// One shard of [`Rows`](super::Rows), to be read and written.
#[derive(Debug)]
pub struct Shard<'a> {
    numbers: Numbers<'a>,
    stride: usize,
}

impl Default for Shard<'_> {
    fn default() -> Self {
        Self::f32(&mut [], 0)
    }
}

/// The floats of `halves`, in `room`.
pub(super) fn widened<'a>(kernels: &Kernels, halves: &[Bf16], room: &'a mut Vec<f32>) -> &'a [f32] {
    room.resize(halves.len(), 0.0);
    (kernels.widen)(halves, room);
    room
}

impl<'a> Shard<'a> {
    pub(super) const fn f32(rows: &'a mut [f32], stride: usize) -> Self {
        Self { numbers: Numbers::F32(rows), stride }
    }

    pub(super) const fn bf16(rows: &'a mut [Bf16], stride: usize) -> Self {
        Self { numbers: Numbers::Bf16(rows), stride }
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
            Numbers::Bf16(_) => panic!("rows that are stored as f32"),
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
        }
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
            Numbers::F32(rows) => _ = rows.get(place).map(kernels.prefetch),
            // Two halves lie where one float would, so this asks for the same lines.
            Numbers::Bf16(rows) => {
                let floats = rows.get(place).and_then(|row| bytemuck::try_cast_slice(row).ok());
                _ = floats.map(kernels.prefetch);
            }
        }
    }

    /// Puts `values` at the start of the row at place `local`, rounded to the nearest.
    pub fn assign(&mut self, local: usize, values: impl Iterator<Item = f32>) {
        let place = local * self.stride..(local + 1) * self.stride;
        match &mut self.numbers {
            Numbers::F32(rows) => rows[place].iter_mut().zip(values).for_each(|(w, x)| *w = x),
            Numbers::Bf16(rows) => {
                let row = rows[place].iter_mut();
                row.zip(values).for_each(|(w, x)| *w = Bf16::nearest(x));
            }
        }
    }
}
