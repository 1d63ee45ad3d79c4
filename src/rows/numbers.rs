//! Numbers as they are stored, to be changed.

use crate::config::Dtype;
use crate::simd::{Bf16, F16, Kernels, Stored, dice};

/// Numbers as they are stored: a shard of rows, a row, or a part of one.
#[derive(Debug)]
pub enum Numbers<'a> {
    /// 32-bit floats.
    F32(&'a mut [f32]),
    /// Their upper halves.
    Bf16(&'a mut [Bf16]),
    /// IEEE halves.
    F16(&'a mut [F16]),
}

/// Evaluates `$work`, where `$x` are the numbers.
macro_rules! with {
    ($numbers:expr, $x:ident => $work:expr) => {
        match $numbers {
            Self::F32($x) => $work,
            Self::Bf16($x) => $work,
            Self::F16($x) => $work,
        }
    };
}

impl<'a> From<&'a mut [f32]> for Numbers<'a> {
    fn from(numbers: &'a mut [f32]) -> Self {
        Self::F32(numbers)
    }
}

impl<'a> From<&'a mut [Bf16]> for Numbers<'a> {
    fn from(numbers: &'a mut [Bf16]) -> Self {
        Self::Bf16(numbers)
    }
}

impl<'a> From<&'a mut [F16]> for Numbers<'a> {
    fn from(numbers: &'a mut [F16]) -> Self {
        Self::F16(numbers)
    }
}

impl Default for Numbers<'_> {
    fn default() -> Self {
        Self::F32(&mut [])
    }
}

impl<'a> Numbers<'a> {
    /// Numbers that are changed at a time where they are not changed in place: a stretch that
    /// stays in the L1 cache.
    pub(crate) const STRETCH: usize = 256;

    /// Whether what is stored has to be rounded.
    pub(crate) const fn rounds(&self) -> bool {
        !matches!(self, Self::F32(_))
    }

    /// What they are stored as.
    pub(crate) const fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::Bf16(_) => Dtype::Bf16,
            Self::F16(_) => Dtype::F16,
        }
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        with!(self, x => x.len())
    }

    /// The numbers from place `first` on, and at most `most` of them.
    pub(crate) fn part(&mut self, first: usize, most: usize) -> Numbers<'_> {
        with!(self, x => cut(x, first, most).into())
    }

    /// The numbers as they are stored; none where that is not `E`.
    pub(crate) fn stored_mut<E: Stored>(&mut self) -> &mut [E] {
        if self.dtype() != E::DTYPE {
            return &mut [];
        }
        with!(self, x => bytemuck::cast_slice_mut(x))
    }

    /// The numbers, if they are stored as `f32`.
    pub(crate) fn into_floats(self) -> &'a mut [f32] {
        match self {
            Self::F32(x) => x,
            Self::Bf16(_) | Self::F16(_) => &mut [],
        }
    }

    /// The numbers, if they are stored as `bf16`.
    pub(crate) fn into_halves(self) -> &'a mut [Bf16] {
        match self {
            Self::Bf16(x) => x,
            Self::F32(_) | Self::F16(_) => &mut [],
        }
    }

    /// Hands a row to `change`, in stretches that come with the place of their first entry, and
    /// stores what it leaves. What has to be rounded is rounded at random by `key`.
    #[inline]
    pub(crate) fn change(
        self,
        kernels: &Kernels,
        key: u64,
        mut change: impl FnMut(usize, &mut [f32]),
    ) {
        match self {
            Self::F32(row) => change(0, row),
            Self::Bf16(row) => change_halves(kernels, key, row, change),
            Self::F16(row) => change_halves(kernels, key, row, change),
        }
    }

    /// `out[k]`: the entry at `columns[k]`; nothing where there are no numbers.
    pub(crate) fn gather(&self, columns: &[u32], out: &mut [f32]) {
        if self.len() == 0 {
            return;
        }
        let out = out.iter_mut().zip(columns);
        with!(self, row => out.for_each(|(x, &j)| *x = row[j as usize].float()));
    }

    /// The entry at `columns[k]` becomes `values[k]`, rounded by die `die` of the three that `key`
    /// throws for its place; nothing where there are no numbers.
    pub(crate) fn scatter(&mut self, (key, die): (u64, usize), columns: &[u32], values: &[f32]) {
        if self.len() == 0 {
            return;
        }
        let values = values.iter().zip(columns);
        match self {
            Self::F32(row) => values.for_each(|(x, &j)| row[j as usize] = *x),
            Self::Bf16(row) => scatter_halves(row, (key, die), values),
            Self::F16(row) => scatter_halves(row, (key, die), values),
        }
    }
}

fn change_halves<E: Stored>(
    kernels: &Kernels,
    key: u64,
    row: &mut [E],
    mut change: impl FnMut(usize, &mut [f32]),
) {
    let mut room = [0.0; Numbers::STRETCH];
    for (i, halves) in row.chunks_mut(Numbers::STRETCH).enumerate() {
        let stretch = &mut room[..halves.len()];
        (E::of(kernels).widen)(halves, stretch);
        change(i * Numbers::STRETCH, stretch);
        (E::of(kernels).round)((key, (i * Numbers::STRETCH) as u32), stretch, halves);
    }
}

fn scatter_halves<'v, E: Stored>(
    row: &mut [E],
    (key, die): (u64, usize),
    values: impl Iterator<Item = (&'v f32, &'v u32)>,
) {
    values.for_each(|(x, &j)| row[j as usize] = E::rounded(*x, dice(key, j)[die]));
}

fn cut<E>(x: &mut [E], first: usize, most: usize) -> &mut [E] {
    let last = x.len().min(first.saturating_add(most));
    x.get_mut(first..last).unwrap_or_default()
}
