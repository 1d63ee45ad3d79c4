//! One shard of rows, owned by the task that changes it.

use crate::simd::{Bf16, Kernels};

/// One shard of [`Rows`](super::Rows), to be read and written.
#[derive(Debug)]
pub struct Shard<'a> {
    numbers: Numbers<'a>,
    stride: usize,
}

#[derive(Debug)]
enum Numbers<'a> {
    F32(&'a mut [f32]),
    Bf16(&'a mut [Bf16]),
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
    /// Numbers that are changed at a time where they are not changed in place: a stretch that
    /// stays in the L1 cache.
    pub(crate) const STRETCH: usize = 256;

    /// Whether what is stored has to be rounded.
    pub(crate) const fn rounds(&self) -> bool {
        matches!(self.numbers, Numbers::Bf16(_))
    }

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

    /// Hands the row at place `local` to `change`, in stretches that come with the place of their
    /// first entry, and stores what it leaves. What has to be rounded is rounded at random by
    /// `key`.
    #[inline]
    pub(crate) fn change(
        &mut self,
        kernels: &Kernels,
        (local, key): (usize, u64),
        mut change: impl FnMut(usize, &mut [f32]),
    ) {
        let place = local * self.stride..(local + 1) * self.stride;
        match &mut self.numbers {
            Numbers::F32(rows) => change(0, &mut rows[place]),
            Numbers::Bf16(rows) => {
                let mut room = [0.0; Self::STRETCH];
                for (i, halves) in rows[place].chunks_mut(Self::STRETCH).enumerate() {
                    let stretch = &mut room[..halves.len()];
                    (kernels.widen)(halves, stretch);
                    change(i * Self::STRETCH, stretch);
                    (kernels.round)((key, (i * Self::STRETCH) as u32), stretch, halves);
                }
            }
        }
    }

    /// Hands the entries at `columns` of the row at place `local` to `change`, in stretches that
    /// come with their columns, and stores what it leaves; rounded like in [`Shard::change`].
    pub(crate) fn change_columns(
        &mut self,
        (local, key): (usize, u64),
        columns: &[u32],
        mut change: impl FnMut(&[u32], &mut [f32]),
    ) {
        let place = local * self.stride..(local + 1) * self.stride;
        let mut room = [0.0; Self::STRETCH];
        for columns in columns.chunks(Self::STRETCH) {
            let stretch = &mut room[..columns.len()];
            let entries = stretch.iter_mut().zip(columns);
            match &mut self.numbers {
                Numbers::F32(rows) => {
                    let row = &mut rows[place.clone()];
                    entries.for_each(|(w, &j)| *w = row[j as usize]);
                    change(columns, stretch);
                    let entries = stretch.iter().zip(columns);
                    entries.for_each(|(w, &j)| row[j as usize] = *w);
                }
                Numbers::Bf16(rows) => {
                    let row = &mut rows[place.clone()];
                    entries.for_each(|(w, &j)| *w = row[j as usize].to_f32());
                    change(columns, stretch);
                    for (w, &j) in stretch.iter().zip(columns) {
                        row[j as usize] = Bf16::round(*w, crate::simd::dice(key, j));
                    }
                }
            }
        }
    }
}
