//! Memory for many rows.
//!
//! Rows are read at random, and a layer is larger than what the address translation of a
//! processor covers in pages of 4 KiB; so large memory asks for huge pages. That is a wish: where
//! the system has none, or is no Unix, ordinary memory serves as well.

use bytemuck::{Zeroable, cast_slice, cast_slice_mut};
use memmap2::MmapMut;

use super::matrix::Line;

/// Memory of this size and more is mapped on its own: below, huge pages would be half empty.
const LARGE: usize = 8 << 20;

/// Lines of zeros, to begin with.
#[derive(Debug)]
pub(super) enum Lines {
    Small(Vec<Line>),
    Large(MmapMut),
}

impl Lines {
    /// `n` lines.
    pub(super) fn zeros(n: usize) -> Self {
        let bytes = n * size_of::<Line>();
        if bytes >= LARGE
            && let Ok(pages) = MmapMut::map_anon(bytes)
        {
            wish_for_huge(&pages);
            return Self::Large(pages);
        }
        Self::Small(vec![Line::zeroed(); n])
    }

    pub(super) fn as_slice(&self) -> &[Line] {
        match self {
            Self::Small(lines) => lines,
            Self::Large(pages) => cast_slice(pages),
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Line] {
        match self {
            Self::Small(lines) => lines,
            Self::Large(pages) => cast_slice_mut(pages),
        }
    }
}

/// Refusal costs speed only.
#[cfg(target_os = "linux")]
fn wish_for_huge(pages: &MmapMut) {
    let _ = pages.advise(memmap2::Advice::HugePage);
}

#[cfg(not(target_os = "linux"))]
const fn wish_for_huge(_: &MmapMut) {}

impl Clone for Lines {
    fn clone(&self) -> Self {
        let mut new = Self::zeros(self.as_slice().len());
        new.as_mut_slice().copy_from_slice(self.as_slice());
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_memory_is_zero_and_keeps_what_is_written() {
        for n in [1, LARGE / size_of::<Line>()] {
            let mut lines = Lines::zeros(n);
            assert_eq!(lines.as_slice().len(), n);
            assert!(lines.as_slice().iter().all(|line| line.0 == [0.0; 16]));
            lines.as_mut_slice()[n - 1].0[3] = 7.0;
            assert_eq!(lines.clone().as_slice()[n - 1].0[3], 7.0);
            assert_eq!(lines.as_slice().as_ptr() as usize % 64, 0);
        }
    }
}
