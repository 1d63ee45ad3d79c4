//! Numbers as they are stored, to be changed.

use crate::simd::{Bf16, Kernels, dice};

/// Numbers as they are stored: a shard of rows, a row, or a part of one.
#[derive(Debug)]
pub enum Numbers<'a> {
    /// 32-bit floats.
    F32(&'a mut [f32]),
    /// Their upper halves.
    Bf16(&'a mut [Bf16]),
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
        matches!(self, Self::Bf16(_))
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::F32(x) => x.len(),
            Self::Bf16(x) => x.len(),
        }
    }

    /// The numbers from place `first` on, and at most `most` of them.
    pub(crate) fn part(&mut self, first: usize, most: usize) -> Numbers<'_> {
        match self {
            Self::F32(x) => Numbers::F32(cut(x, first, most)),
            Self::Bf16(x) => Numbers::Bf16(cut(x, first, most)),
        }
    }

    /// The numbers, if they are stored as `f32`.
    pub(crate) fn into_floats(self) -> &'a mut [f32] {
        match self {
            Self::F32(x) => x,
            Self::Bf16(_) => &mut [],
        }
    }

    /// The numbers, if they are stored as `bf16`.
    pub(crate) fn into_halves(self) -> &'a mut [Bf16] {
        match self {
            Self::F32(_) => &mut [],
            Self::Bf16(x) => x,
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
            Self::Bf16(row) => {
                let mut room = [0.0; Self::STRETCH];
                for (i, halves) in row.chunks_mut(Self::STRETCH).enumerate() {
                    let stretch = &mut room[..halves.len()];
                    (kernels.widen)(halves, stretch);
                    change(i * Self::STRETCH, stretch);
                    (kernels.round)((key, (i * Self::STRETCH) as u32), stretch, halves);
                }
            }
        }
    }

    /// `out[k]`: the entry at `columns[k]`; nothing where there are no numbers.
    pub(crate) fn gather(&self, columns: &[u32], out: &mut [f32]) {
        let out = out.iter_mut().zip(columns);
        match self {
            Self::F32([]) => {}
            Self::F32(row) => out.for_each(|(x, &j)| *x = row[j as usize]),
            Self::Bf16(row) => out.for_each(|(x, &j)| *x = row[j as usize].to_f32()),
        }
    }

    /// The entry at `columns[k]` becomes `values[k]`, rounded by die `die` of the three that `key`
    /// throws for its place; nothing where there are no numbers.
    pub(crate) fn scatter(&mut self, (key, die): (u64, usize), columns: &[u32], values: &[f32]) {
        let values = values.iter().zip(columns);
        match self {
            Self::F32([]) => {}
            Self::F32(row) => values.for_each(|(x, &j)| row[j as usize] = *x),
            Self::Bf16(row) => {
                values.for_each(|(x, &j)| row[j as usize] = Bf16::round(*x, dice(key, j)[die]));
            }
        }
    }
}

fn cut<E>(x: &mut [E], first: usize, most: usize) -> &mut [E] {
    let last = x.len().min(first.saturating_add(most));
    x.get_mut(first..last).unwrap_or_default()
}
