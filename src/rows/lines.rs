//! Memory for many rows, or for the tables that find them.
//!
//! Both are read at random, and a layer is larger than what the address translation of a
//! processor covers in pages of 4 KiB; so large memory asks for huge pages. That is a wish: where
//! the system has none, or is no Unix, ordinary memory serves as well.
//!
//! The optimiser walks through weights and moments side by side. Mapped memory begins with a page, so
//! equal rows of two arrays would stand at one place of their pages, which can make an update take
//! twice as long. So each array begins elsewhere in its map.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use memmap2::MmapMut;
use rayon::prelude::*;

use super::matrix::Line;

/// Memory of this size and more is mapped on its own: below, huge pages would be half empty.
const LARGE: usize = 8 << 20;

/// Bytes of a huge page, and of an ordinary one, on common systems.
const HUGE: usize = 2 << 20;
const SMALL: usize = 4 << 10;

/// Lines from the start of one map to that of the next: five pages, and a quarter of one and a line.
const STAGGER: usize = 337;

/// After so many maps the first start comes again: room for all arrays of a few layers.
const STARTS: usize = 16;

/// How many maps there were. Where memory lies is of no consequence for what is computed.
static MAPS: AtomicUsize = AtomicUsize::new(0);

/// Lines of zeros, to begin with, or those that somebody else owns.
#[derive(Debug)]
pub(crate) enum Lines<'m> {
    Small(Vec<Line>),
    /// Pages, and how many of their first lines are left out.
    Large(MmapMut, usize),
    Lent(&'m mut [Line]),
}

impl<'m> Lines<'m> {
    /// `n` lines.
    pub(super) fn zeros(n: usize) -> Self {
        let bytes = n * size_of::<Line>();
        if bytes >= LARGE {
            let start = start(MAPS.fetch_add(1, Ordering::Relaxed));
            if let Ok(mut pages) = MmapMut::map_anon(bytes + start * size_of::<Line>()) {
                wish_for_huge(&pages);
                touch(&mut pages);
                return Self::Large(pages, start);
            }
        }
        Self::Small(vec![Line::zeroed(); n])
    }

    /// The lines that `numbers` are; none if they do not begin at one, or do not end at one.
    pub(super) fn lent<T: Pod>(numbers: &'m mut [T]) -> Option<Self> {
        bytemuck::try_cast_slice_mut(numbers).ok().map(Self::Lent)
    }

    /// No lines.
    pub(super) const fn none() -> Self {
        Self::Small(Vec::new())
    }

    /// Room for `n` numbers of 32 bits, and a few more to the end of the last line.
    pub(crate) fn of_words(n: usize) -> Self {
        Self::zeros((n * size_of::<u32>()).div_ceil(size_of::<Line>()))
    }

    /// Everything as numbers of 32 bits.
    pub(crate) fn as_words(&self) -> &[u32] {
        cast_slice(self.as_slice())
    }

    /// Everything as numbers of 32 bits.
    pub(crate) fn as_mut_words(&mut self) -> &mut [u32] {
        cast_slice_mut(self.as_mut_slice())
    }

    pub(super) fn as_slice(&self) -> &[Line] {
        match self {
            Self::Small(lines) => lines,
            Self::Large(pages, start) => &cast_slice(pages)[*start..],
            Self::Lent(lines) => lines,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Line] {
        match self {
            Self::Small(lines) => lines,
            Self::Large(pages, start) => &mut cast_slice_mut(pages)[*start..],
            Self::Lent(lines) => lines,
        }
    }
}

/// How many lines of the map with this number are left out.
const fn start(map: usize) -> usize {
    map % STARTS * STAGGER
}

/// Asks for every page now, on all threads: a step that is the first to touch a page would wait
/// until the system has cleared it.
fn touch(pages: &mut [u8]) {
    pages.par_chunks_mut(HUGE).for_each(|huge| {
        huge.iter_mut().step_by(SMALL).for_each(|byte| *byte = 0);
    });
}

/// Refusal costs speed only.
#[cfg(target_os = "linux")]
fn wish_for_huge(pages: &MmapMut) {
    let _ = pages.advise(memmap2::Advice::HugePage);
}

#[cfg(not(target_os = "linux"))]
const fn wish_for_huge(_: &MmapMut) {}

impl Clone for Lines<'_> {
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

    #[test]
    fn maps_that_are_made_in_turn_begin_at_different_lines_of_a_page() {
        let place = |map| start(map) * size_of::<Line>() % SMALL;
        let mut places: Vec<usize> = (7..7 + STARTS).map(place).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), STARTS);
    }
}
