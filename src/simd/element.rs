//! The numbers that rows are stored as.

use bytemuck::{Pod, Zeroable};

use super::columns::Lanes;
use super::{Isa, LANES};

/// The upper half of an `f32`: all of its range, 8 bits of its precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct Bf16(u16);

/// In the place of every NaN, so that rounding cannot carry it out of the exponent.
const NAN: u16 = 0x7fc0;

impl Bf16 {
    /// The number with these bits.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Its bits.
    #[must_use]
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// The same number.
    #[must_use]
    #[inline(always)]
    pub const fn to_f32(self) -> f32 {
        f32::from_bits((self.0 as u32) << 16)
    }

    /// The nearest number, of two equally near ones the even one.
    #[must_use]
    #[inline(always)]
    pub const fn nearest(x: f32) -> Self {
        Self::round(x, 0x7fff + ((x.to_bits() >> 16) & 1) as u16)
    }

    /// One of the two neighbours: up if the part that is cut off exceeds `!dice`, so that with
    /// sixteen random bits the mean is `x`.
    #[must_use]
    #[inline(always)]
    pub const fn round(x: f32, dice: u16) -> Self {
        let up = x.to_bits().wrapping_add(dice as u32) >> 16;
        Self(if x.is_nan() { NAN } else { up as u16 })
    }
}

/// Sixteen bits for place `place` of the row that `key` was drawn for.
///
/// The mixing is the finaliser of `MurmurHash3` (Appleby, 2011): 32-bit products, of which every
/// instruction set has vectors.
#[must_use]
#[inline(always)]
pub(crate) const fn dice(key: u64, place: u32) -> u16 {
    let mut z = (key as u32).wrapping_add(place.wrapping_mul(0x9e37_79b9));
    z ^= z >> 16;
    z = z.wrapping_mul(0x85eb_ca6b) ^ (key >> 32) as u32;
    z ^= z >> 13;
    z = z.wrapping_mul(0xc2b2_ae35);
    (z >> 16) as u16
}

/// A number as it is stored; kernels compute with `f32`.
pub(super) trait Element: Copy + Default {
    /// Reads one vector.
    fn load<I: Isa>(isa: I, x: &[Self; LANES]) -> I::V;
    /// Reads the entries of `row` at the columns of `lanes`.
    fn gather<I: Isa>(isa: I, row: &[Self], lanes: Lanes<'_>) -> I::V;
    /// The same number.
    fn widen(self) -> f32;
}

impl Element for f32 {
    #[inline(always)]
    fn load<I: Isa>(isa: I, x: &[Self; LANES]) -> I::V {
        isa.load(x)
    }

    #[inline(always)]
    fn gather<I: Isa>(isa: I, row: &[Self], lanes: Lanes<'_>) -> I::V {
        isa.gather(row, lanes)
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Element for Bf16 {
    #[inline(always)]
    fn load<I: Isa>(isa: I, x: &[Self; LANES]) -> I::V {
        isa.load_bf16(x)
    }

    // No instruction set gathers halves.
    #[inline(always)]
    fn gather<I: Isa>(isa: I, row: &[Self], lanes: Lanes<'_>) -> I::V {
        isa.load(&super::columns::one_by_one(row, lanes))
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }
}
