//! Integers of NEON.

use std::arch::aarch64::{
    float32x4_t, uint16x4_t, uint32x4_t, vaddq_u32, vbslq_u32, vceqq_f32, vdupq_n_s32, vdupq_n_u32,
    veorq_u32, vld1q_u32, vmulq_u32, vreinterpretq_u32_f32, vshlq_u32, vshrn_n_u32, vst1_u16,
    vst1q_u32,
};

use super::super::words::Words;
use super::super::{Bf16, F16, Isa, LANES};
use super::Neon;

/// A method that is one instruction on each quarter.
macro_rules! instruction_on_quarters {
    ($name:ident = $intrinsic:ident) => {
        #[inline(always)]
        fn $name(self, mut a: Self::W, b: Self::W) -> Self::W {
            for i in 0..4 {
                // SAFETY: the token.
                a[i] = unsafe { $intrinsic(a[i], b[i]) };
            }
            a
        }
    };
}

impl Neon {
    #[inline(always)]
    fn splat_quarter(self, x: u32) -> uint32x4_t {
        // SAFETY: the token.
        unsafe { vdupq_n_u32(x) }
    }

    #[inline(always)]
    fn load_quarter_words(self, x: &[u32; LANES / 4]) -> uint32x4_t {
        // SAFETY: the token; `x` is four readable words.
        unsafe { vld1q_u32(x.as_ptr()) }
    }

    #[inline(always)]
    fn shift_quarter(self, a: uint32x4_t, bits: u32) -> uint32x4_t {
        // SAFETY: the token.
        let left = unsafe { vdupq_n_s32(-bits.cast_signed()) };
        // SAFETY: the token.
        unsafe { vshlq_u32(a, left) }
    }

    /// The halves that `v` is rounded to.
    #[inline(always)]
    fn round_quarter_to_bf16(self, v: float32x4_t, dice: uint32x4_t) -> uint16x4_t {
        // SAFETY: the token.
        let bits = unsafe { vreinterpretq_u32_f32(v) };
        let dice = self.shift_quarter(dice, 16);
        // SAFETY: the token.
        let up = unsafe { vaddq_u32(bits, dice) };
        // SAFETY: the token.
        let number = unsafe { vceqq_f32(v, v) };
        let instead = self.splat_quarter(u32::from(Bf16::NAN) << 16);
        // SAFETY: the token.
        let words = unsafe { vbslq_u32(number, up, instead) };
        // SAFETY: the token.
        unsafe { vshrn_n_u32::<16>(words) }
    }

    #[inline(always)]
    fn store_quarter_bf16(self, x: &mut [Bf16; LANES / 4], halves: uint16x4_t) {
        // SAFETY: the token; `x` is four writable halves.
        unsafe { vst1_u16(x.as_mut_ptr().cast(), halves) }
    }
}

impl Words for Neon {
    type W = [uint32x4_t; 4];

    instruction_on_quarters!(add_words = vaddq_u32);
    instruction_on_quarters!(mul_words = vmulq_u32);
    instruction_on_quarters!(xor_words = veorq_u32);

    #[inline(always)]
    fn splat_words(self, x: u32) -> Self::W {
        [self.splat_quarter(x); 4]
    }

    #[inline(always)]
    fn load_words(self, x: &[u32; LANES]) -> Self::W {
        let (quarters, _) = x.as_chunks();
        [
            self.load_quarter_words(&quarters[0]),
            self.load_quarter_words(&quarters[1]),
            self.load_quarter_words(&quarters[2]),
            self.load_quarter_words(&quarters[3]),
        ]
    }

    #[inline(always)]
    fn shift_words(self, mut a: Self::W, bits: u32) -> Self::W {
        for a in &mut a {
            *a = self.shift_quarter(*a, bits);
        }
        a
    }

    #[inline(always)]
    fn store_bf16(self, x: &mut [Bf16; LANES], v: Self::V, dice: Self::W) {
        let (quarters, _) = x.as_chunks_mut();
        for i in 0..4 {
            let halves = self.round_quarter_to_bf16(v[i], dice[i]);
            self.store_quarter_bf16(&mut quarters[i], halves);
        }
    }

    #[inline(always)]
    fn store_f16(self, x: &mut [F16; LANES], v: Self::V, dice: Self::W) {
        let (mut numbers, mut words) = ([0.0; LANES], [0; LANES]);
        self.store(&mut numbers, v);
        for (words, dice) in words.as_chunks_mut::<{ LANES / 4 }>().0.iter_mut().zip(dice) {
            // SAFETY: the token; `words` is four writable words.
            unsafe { vst1q_u32(words.as_mut_ptr(), dice) }
        }
        for i in 0..LANES {
            x[i] = F16::round(numbers[i], (words[i] >> 16) as u16);
        }
    }
}
