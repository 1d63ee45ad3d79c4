//! The numbers that rows are stored as.

use bytemuck::Pod;

use super::columns::Lanes;
use super::words::Words;
use super::{Bf16, F16, Isa, Kernels, LANES, RowKernels};
use crate::config::Dtype;

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

/// A type that halves are: how it is read and written, and what it is called.
macro_rules! element_of_16_bits {
    ($half:ident, $load:ident, $store:ident) => {
        impl Element for $half {
            #[inline(always)]
            fn load<I: Isa>(isa: I, x: &[Self; LANES]) -> I::V {
                isa.$load(x)
            }

            #[inline(always)]
            fn store<I: Words>(isa: I, x: &mut [Self; LANES], v: I::V, dice: I::W) {
                isa.$store(x, v, dice);
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
    };
}

element_of_16_bits!(Bf16, load_bf16, store_bf16);
element_of_16_bits!(F16, load_f16, store_f16);

/// A type that rows are stored as.
pub trait Stored: Pod + Default {
    /// What it is called.
    const DTYPE: Dtype;
    /// The kernels for rows of it.
    fn of(kernels: &Kernels) -> &RowKernels<Self>;
    /// The nearest number.
    fn nearest(x: f32) -> Self;
    /// One of the two neighbours, by sixteen random bits, where it has to be rounded.
    fn rounded(x: f32, dice: u16) -> Self;
    /// The same number.
    fn float(self) -> f32;
}

macro_rules! stored {
    ($type:ident, $dtype:ident, $field:ident, $nearest:expr, $rounded:expr) => {
        impl Stored for $type {
            const DTYPE: Dtype = Dtype::$dtype;

            fn of(kernels: &Kernels) -> &RowKernels<Self> {
                &kernels.$field
            }

            #[inline(always)]
            fn nearest(x: f32) -> Self {
                $nearest(x)
            }

            #[inline(always)]
            fn rounded(x: f32, dice: u16) -> Self {
                $rounded(x, dice)
            }

            #[inline(always)]
            fn float(self) -> f32 {
                self.widen()
            }
        }
    };
}

stored!(f32, F32, f32, std::convert::identity, |x, _| x);
stored!(Bf16, Bf16, bf16, Self::nearest, Self::round);
stored!(F16, F16, f16, Self::nearest, Self::round);
