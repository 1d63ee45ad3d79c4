//! Integers of AVX2 and AVX-512.

use std::arch::x86_64::{
    __m128i, __m256, __m256i, __m512, __m512i, __mmask16, _CMP_UNORD_Q, _MM_FROUND_NO_EXC,
    _MM_FROUND_TO_ZERO, _mm_storeu_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_blendv_ps,
    _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cvtepi32_ps, _mm256_cvtps_ph,
    _mm256_fmadd_ps, _mm256_loadu_si256, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps,
    _mm256_mullo_epi32, _mm256_packus_epi32, _mm256_permute4x64_epi64, _mm256_set1_epi32,
    _mm256_srlv_epi32, _mm256_storeu_si256, _mm256_xor_si256, _mm512_add_epi32, _mm512_and_si512,
    _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_cvtepi32_epi16,
    _mm512_cvtepi32_ps, _mm512_cvtps_ph, _mm512_loadu_si512, _mm512_mask_mov_epi32,
    _mm512_mullo_epi32, _mm512_set1_epi32, _mm512_srlv_epi32, _mm512_xor_si512,
};

use super::super::halves::{EXPONENT, F16_BEYOND, F16_NORMAL, F16_PART, MAGNITUDE};
use super::super::words::Words;
use super::super::{Bf16, F16, Isa, LANES};
use super::{Avx2, Avx512};

/// A method that is one instruction on whole vectors.
macro_rules! instruction {
    ($name:ident($($arg:ident),+) = $intrinsic:expr) => {
        #[inline(always)]
        fn $name(self, $($arg: Self::W),+) -> Self::W {
            // SAFETY: the token.
            unsafe { $intrinsic($($arg),+) }
        }
    };
}

impl Words for Avx512 {
    type W = __m512i;

    instruction!(add_words(a, b) = _mm512_add_epi32);
    instruction!(mul_words(a, b) = _mm512_mullo_epi32);
    instruction!(xor_words(a, b) = _mm512_xor_si512);

    #[inline(always)]
    fn splat_words(self, x: u32) -> __m512i {
        // SAFETY: the token.
        unsafe { _mm512_set1_epi32(x.cast_signed()) }
    }

    #[inline(always)]
    fn load_words(self, x: &[u32; LANES]) -> __m512i {
        // SAFETY: the token; `x` is sixteen readable words.
        unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
    }

    #[inline(always)]
    fn shift_words(self, a: __m512i, bits: u32) -> __m512i {
        let bits = self.splat_words(bits);
        // SAFETY: the token.
        unsafe { _mm512_srlv_epi32(a, bits) }
    }

    #[inline(always)]
    fn store_bf16(self, x: &mut [Bf16; LANES], v: __m512, dice: __m512i) {
        // SAFETY: the token.
        let bits = unsafe { _mm512_castps_si512(v) };
        let up = self.shift_words(self.add_words(bits, self.shift_words(dice, 16)), 16);
        // SAFETY: the token.
        let nan: __mmask16 = unsafe { _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v) };
        let instead = self.splat_words(u32::from(Bf16::NAN));
        // SAFETY: the token.
        let words = unsafe { _mm512_mask_mov_epi32(up, nan, instead) };
        // SAFETY: the token.
        let halves = unsafe { _mm512_cvtepi32_epi16(words) };
        // SAFETY: the token; `x` is sixteen writable halves.
        unsafe { _mm256_storeu_si256(x.as_mut_ptr().cast(), halves) }
    }

    #[inline(always)]
    fn store_f16(self, x: &mut [F16; LANES], v: __m512, dice: __m512i) {
        // SAFETY: the token.
        let bits = unsafe { _mm512_castps_si512(v) };
        let (magnitude, exponent) = (self.splat_words(MAGNITUDE), self.splat_words(EXPONENT));
        // SAFETY: the token.
        let size = unsafe { _mm512_and_si512(bits, magnitude) };
        // SAFETY: the token.
        let power = unsafe { _mm512_and_si512(bits, exponent) };
        let sign = self.xor_words(bits, size);
        // SAFETY: the token.
        let size = unsafe { _mm512_castsi512_ps(size) };
        // SAFETY: the token.
        let power = unsafe { _mm512_castsi512_ps(power) };
        let power = self.max(self.splat(F16_NORMAL), power);
        let power = self.min(self.splat(F16_BEYOND), power);
        // SAFETY: the token.
        let part = unsafe { _mm512_cvtepi32_ps(self.shift_words(dice, 19)) };
        let up = self.mul_add(power, self.mul(part, self.splat(F16_PART)), size);
        // SAFETY: the token.
        let up = unsafe { _mm512_castps_si512(up) };
        // SAFETY: the token.
        let up = unsafe { _mm512_castsi512_ps(self.xor_words(up, sign)) };
        // SAFETY: the token.
        let halves = unsafe { _mm512_cvtps_ph::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>(up) };
        // SAFETY: the token; `x` is sixteen writable halves.
        unsafe { _mm256_storeu_si256(x.as_mut_ptr().cast(), halves) }
    }
}

impl Avx2 {
    #[inline(always)]
    fn splat_half(self, x: u32) -> __m256i {
        // SAFETY: the token.
        unsafe { _mm256_set1_epi32(x.cast_signed()) }
    }

    #[inline(always)]
    fn load_half_words(self, x: &[u32; LANES / 2]) -> __m256i {
        // SAFETY: the token; `x` is eight readable words.
        unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
    }

    #[inline(always)]
    fn shift_half(self, a: __m256i, bits: u32) -> __m256i {
        let bits = self.splat_half(bits);
        // SAFETY: the token.
        unsafe { _mm256_srlv_epi32(a, bits) }
    }

    /// The halves that `v` is rounded to, as words.
    #[inline(always)]
    fn round_half(self, v: __m256, dice: __m256i) -> __m256i {
        // SAFETY: the token.
        let bits = unsafe { _mm256_castps_si256(v) };
        let dice = self.shift_half(dice, 16);
        // SAFETY: the token.
        let up = unsafe { _mm256_add_epi32(bits, dice) };
        // SAFETY: the token.
        let up = unsafe { _mm256_castsi256_ps(self.shift_half(up, 16)) };
        // SAFETY: the token.
        let nan = unsafe { _mm256_cmp_ps::<_CMP_UNORD_Q>(v, v) };
        // SAFETY: the token.
        let instead = unsafe { _mm256_castsi256_ps(self.splat_half(u32::from(Bf16::NAN))) };
        // SAFETY: the token.
        let words = unsafe { _mm256_blendv_ps(up, instead, nan) };
        // SAFETY: the token.
        unsafe { _mm256_castps_si256(words) }
    }

    /// The halves that `v` is rounded to.
    #[inline(always)]
    fn round_half_to_f16(self, v: __m256, dice: __m256i) -> __m128i {
        // SAFETY: the token.
        let bits = unsafe { _mm256_castps_si256(v) };
        let (magnitude, exponent) = (self.splat_half(MAGNITUDE), self.splat_half(EXPONENT));
        // SAFETY: the token.
        let size = unsafe { _mm256_and_si256(bits, magnitude) };
        // SAFETY: the token.
        let power = unsafe { _mm256_and_si256(bits, exponent) };
        // SAFETY: the token.
        let sign = unsafe { _mm256_xor_si256(bits, size) };
        // SAFETY: the token.
        let size = unsafe { _mm256_castsi256_ps(size) };
        // SAFETY: the token.
        let power = unsafe { _mm256_castsi256_ps(power) };
        let [least, most, part] = [F16_NORMAL, F16_BEYOND, F16_PART].map(|x| self.splat(x)[0]);
        // SAFETY: the token.
        let power = unsafe { _mm256_max_ps(least, power) };
        // SAFETY: the token.
        let power = unsafe { _mm256_min_ps(most, power) };
        // SAFETY: the token.
        let parts = unsafe { _mm256_cvtepi32_ps(self.shift_half(dice, 19)) };
        // SAFETY: the token.
        let parts = unsafe { _mm256_mul_ps(parts, part) };
        // SAFETY: the token.
        let up = unsafe { _mm256_fmadd_ps(power, parts, size) };
        // SAFETY: the token.
        let up = unsafe { _mm256_castps_si256(up) };
        // SAFETY: the token.
        let up = unsafe { _mm256_xor_si256(up, sign) };
        // SAFETY: the token.
        let up = unsafe { _mm256_castsi256_ps(up) };
        // SAFETY: the token.
        unsafe { _mm256_cvtps_ph::<_MM_FROUND_TO_ZERO>(up) }
    }
}

/// A method that is one instruction on each half.
macro_rules! instruction_on_halves {
    ($name:ident($a:ident, $b:ident) = $intrinsic:expr) => {
        #[inline(always)]
        fn $name(self, $a: Self::W, $b: Self::W) -> Self::W {
            // SAFETY: the token.
            let low = unsafe { $intrinsic($a[0], $b[0]) };
            // SAFETY: the token.
            let high = unsafe { $intrinsic($a[1], $b[1]) };
            [low, high]
        }
    };
}

impl Words for Avx2 {
    type W = [__m256i; 2];

    instruction_on_halves!(add_words(a, b) = _mm256_add_epi32);
    instruction_on_halves!(mul_words(a, b) = _mm256_mullo_epi32);
    instruction_on_halves!(xor_words(a, b) = _mm256_xor_si256);

    #[inline(always)]
    fn splat_words(self, x: u32) -> Self::W {
        [self.splat_half(x); 2]
    }

    #[inline(always)]
    fn load_words(self, x: &[u32; LANES]) -> Self::W {
        let (halves, _) = x.as_chunks();
        [self.load_half_words(&halves[0]), self.load_half_words(&halves[1])]
    }

    #[inline(always)]
    fn shift_words(self, a: Self::W, bits: u32) -> Self::W {
        [self.shift_half(a[0], bits), self.shift_half(a[1], bits)]
    }

    #[inline(always)]
    fn store_bf16(self, x: &mut [Bf16; LANES], v: Self::V, dice: Self::W) {
        let (low, high) = (self.round_half(v[0], dice[0]), self.round_half(v[1], dice[1]));
        // SAFETY: the token.
        let quarters = unsafe { _mm256_packus_epi32(low, high) };
        // Packing takes the lower quarters of both before the upper ones.
        // SAFETY: the token.
        let halves = unsafe { _mm256_permute4x64_epi64::<0b11_01_10_00>(quarters) };
        // SAFETY: the token; `x` is sixteen writable halves.
        unsafe { _mm256_storeu_si256(x.as_mut_ptr().cast(), halves) }
    }

    #[inline(always)]
    fn store_f16(self, x: &mut [F16; LANES], v: Self::V, dice: Self::W) {
        for (i, x) in x.as_chunks_mut::<{ LANES / 2 }>().0.iter_mut().enumerate() {
            let halves = self.round_half_to_f16(v[i], dice[i]);
            // SAFETY: the token; `x` is eight writable halves.
            unsafe { _mm_storeu_si128(x.as_mut_ptr().cast(), halves) }
        }
    }
}
