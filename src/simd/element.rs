//! The numbers that rows are stored as.

use bytemuck::{Pod, Zeroable};

use super::columns::Lanes;
use super::words::Words;
use super::{Isa, LANES};

/// The upper half of an `f32`: all of its range, 8 bits of its precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct Bf16(u16);

/// In the place of every NaN, so that rounding cannot carry it out of the exponent.
pub(super) const NAN: u16 = 0x7fc0;

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

/// What places are multiplied by: 2^32 over the golden ratio, so that neighbours lie far apart.
pub(super) const GOLDEN: u32 = 0x9e37_79b9;
/// The factors of the finaliser of `MurmurHash3` (Appleby, 2011).
pub(super) const FIRST_MIX: u32 = 0x85eb_ca6b;
pub(super) const SECOND_MIX: u32 = 0xc2b2_ae35;
/// From one die to the next: a multiplier for 2^32 with a good lattice in few dimensions
/// (L'Ecuyer, "Tables of linear congruential generators of different sizes and good lattice
/// structure", 1999), so that three dice in a row are as good as independent.
pub(super) const NEXT_DIE: u32 = 2_891_336_453;

/// Sixteen bits each for three numbers at place `place` of the row that `key` was drawn for.
///
/// 32-bit products, of which every instruction set has vectors: kernels throw the same dice for
/// many places at once.
#[must_use]
#[inline(always)]
pub(crate) const fn dice(key: u64, place: u32) -> [u16; 3] {
    let mut z = (key as u32).wrapping_add(place.wrapping_mul(GOLDEN));
    z ^= z >> 16;
    z = z.wrapping_mul(FIRST_MIX) ^ (key >> 32) as u32;
    z ^= z >> 13;
    let first = z.wrapping_mul(SECOND_MIX);
    let second = first.wrapping_mul(NEXT_DIE);
    let third = second.wrapping_mul(NEXT_DIE);
    [(first >> 16) as u16, (second >> 16) as u16, (third >> 16) as u16]
}

/// A number as it is stored; kernels compute with `f32`.
pub(super) trait Element: Copy + Default {
    /// Reads one vector.
    fn load<I: Isa>(isa: I, x: &[Self; LANES]) -> I::V;
    /// Writes one vector, rounded by the upper halves of the `dice` where it has to be.
    fn store<I: Words>(isa: I, x: &mut [Self; LANES], v: I::V, dice: I::W);
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
    fn store<I: Words>(isa: I, x: &mut [Self; LANES], v: I::V, _: I::W) {
        isa.store(x, v);
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

    #[inline(always)]
    fn store<I: Words>(isa: I, x: &mut [Self; LANES], v: I::V, dice: I::W) {
        isa.store_bf16(x, v, dice);
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
