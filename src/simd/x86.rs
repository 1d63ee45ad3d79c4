//! AVX2 and AVX-512.
//!
//! The tokens are built only inside functions that carry the matching `target_feature`, and those
//! functions are reached only through a table that [`avx2`] or [`avx512`] gave out after
//! detection. That is the proof which the safety comments call "the token".

mod words;

use std::arch::x86_64::{
    __m256, __m512, __mmask16, _CMP_LT_OQ, _CMP_NLT_UQ, _MM_FROUND_NO_EXC,
    _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T1, _mm_loadu_si128, _mm_prefetch, _mm256_add_epi32,
    _mm256_add_ps, _mm256_andnot_ps, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cvtepu16_epi32,
    _mm256_cvtph_ps, _mm256_cvtps_epi32, _mm256_div_ps, _mm256_fmadd_ps, _mm256_hadd_ps,
    _mm256_loadu_ps, _mm256_loadu_si256, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps,
    _mm256_round_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_slli_epi32, _mm256_sqrt_ps,
    _mm256_storeu_ps, _mm256_sub_ps, _mm512_add_ps, _mm512_castsi512_ps, _mm512_cmp_ps_mask,
    _mm512_cvtepu16_epi32, _mm512_cvtph_ps, _mm512_div_ps, _mm512_fmadd_ps, _mm512_i32gather_ps,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_maskz_mov_ps, _mm512_max_ps, _mm512_min_ps,
    _mm512_mul_ps, _mm512_permute_ps, _mm512_roundscale_ps, _mm512_scalef_ps, _mm512_set1_ps,
    _mm512_shuffle_f32x4, _mm512_shuffle_ps, _mm512_slli_epi32, _mm512_sqrt_ps, _mm512_storeu_ps,
    _mm512_sub_ps, _mm512_unpackhi_ps, _mm512_unpacklo_ps,
};

use super::columns::Lanes;
use super::{
    Bf16, F16, Isa, Kernels, LANES, adam, columns, gemm, hadamard, kernels, products, updates,
};

/// To the nearest integer, halves to the even one.
const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

/// Proof of AVX-512F, of its words of 16 bits (BW) and of its shorter vectors (VL), which the compiler
/// needs to keep masks where halves are stored.
#[derive(Clone, Copy)]
struct Avx512(());

/// A method that is one instruction on whole vectors.
macro_rules! instruction {
    ($name:ident($($arg:ident),+) = $intrinsic:expr) => {
        #[inline(always)]
        fn $name(self, $($arg: __m512),+) -> __m512 {
            // SAFETY: the token.
            unsafe { $intrinsic($($arg),+) }
        }
    };
}

impl Avx512 {
    /// Picks two quarters of `a`, then two of `b`, and adds two such picks.
    #[inline(always)]
    fn add_quarters<const FIRST: i32, const SECOND: i32>(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token.
        let first = unsafe { _mm512_shuffle_f32x4::<FIRST>(a, b) };
        // SAFETY: the token.
        let second = unsafe { _mm512_shuffle_f32x4::<SECOND>(a, b) };
        self.add(first, second)
    }

    // What two vectors make together, quarter by quarter or of their quarters.
    instruction!(first_pairs(a, b) = _mm512_unpacklo_ps);
    instruction!(second_pairs(a, b) = _mm512_unpackhi_ps);
    instruction!(first_halves(a, b) = _mm512_shuffle_ps::<0b01_00_01_00>);
    instruction!(second_halves(a, b) = _mm512_shuffle_ps::<0b11_10_11_10>);
    instruction!(even_quarters(a, b) = _mm512_shuffle_f32x4::<0b10_00_10_00>);
    instruction!(odd_quarters(a, b) = _mm512_shuffle_f32x4::<0b11_01_11_01>);

    /// Adds the vector to itself reordered inside each quarter.
    #[inline(always)]
    fn add_permuted<const ORDER: i32>(self, v: __m512) -> __m512 {
        // SAFETY: the token.
        let permuted = unsafe { _mm512_permute_ps::<ORDER>(v) };
        self.add(v, permuted)
    }
}

impl Isa for Avx512 {
    type V = __m512;

    const REGISTERS: usize = 32;

    instruction!(add(a, b) = _mm512_add_ps);
    instruction!(sub(a, b) = _mm512_sub_ps);
    instruction!(mul(a, b) = _mm512_mul_ps);
    instruction!(div(a, b) = _mm512_div_ps);
    instruction!(mul_add(a, b, c) = _mm512_fmadd_ps);
    instruction!(sqrt(v) = _mm512_sqrt_ps);
    instruction!(max(a, b) = _mm512_max_ps);
    instruction!(min(a, b) = _mm512_min_ps);
    instruction!(round(v) = _mm512_roundscale_ps::<NEAREST>);
    instruction!(scale_by_power(v, n) = _mm512_scalef_ps);

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: the token.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> __m512 {
        // SAFETY: the token; `x` is sixteen readable floats.
        unsafe { _mm512_loadu_ps(x.as_ptr()) }
    }

    #[inline(always)]
    fn load_bf16(self, x: &[Bf16; LANES]) -> __m512 {
        // SAFETY: the token; `x` is sixteen readable halves.
        let halves = unsafe { _mm256_loadu_si256(x.as_ptr().cast()) };
        // SAFETY: the token.
        let words = unsafe { _mm512_cvtepu16_epi32(halves) };
        // SAFETY: the token.
        let words = unsafe { _mm512_slli_epi32::<16>(words) };
        // SAFETY: the token.
        unsafe { _mm512_castsi512_ps(words) }
    }

    #[inline(always)]
    fn load_f16(self, x: &[F16; LANES]) -> __m512 {
        // SAFETY: the token; `x` is sixteen readable halves.
        let halves = unsafe { _mm256_loadu_si256(x.as_ptr().cast()) };
        // SAFETY: the token.
        unsafe { _mm512_cvtph_ps(halves) }
    }

    #[inline(always)]
    fn gather(self, row: &[f32], lanes: Lanes<'_>) -> __m512 {
        let columns = lanes.of(row);
        // SAFETY: the token; `columns` is sixteen readable words.
        let columns = unsafe { _mm512_loadu_si512(columns.as_ptr().cast()) };
        // SAFETY: the token; `Lanes::of` gave only columns of `row`, which are positive as `i32`.
        unsafe { _mm512_i32gather_ps::<4>(columns, row.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, x: &mut [f32; LANES], v: __m512) {
        // SAFETY: the token; `x` is sixteen writable floats.
        unsafe { _mm512_storeu_ps(x.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn prefetch<T>(self, x: *const T) {
        // SAFETY: SSE is part of x86-64, and a prefetch may name any address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(x.cast()) }
    }

    #[inline(always)]
    fn zero_below(self, x: __m512, limit: __m512, v: __m512) -> __m512 {
        // SAFETY: the token.
        let kept: __mmask16 = unsafe { _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(x, limit) };
        // SAFETY: the token.
        unsafe { _mm512_maskz_mov_ps(kept, v) }
    }

    #[inline(always)]
    fn transpose(self, mut lines: [__m512; LANES]) -> [__m512; LANES] {
        // First squares of four by four inside the quarters, then the quarters.
        for rows in lines.as_chunks_mut::<4>().0 {
            let (a, b) = (self.first_pairs(rows[0], rows[1]), self.second_pairs(rows[0], rows[1]));
            let (c, d) = (self.first_pairs(rows[2], rows[3]), self.second_pairs(rows[2], rows[3]));
            rows[0] = self.first_halves(a, c);
            rows[1] = self.second_halves(a, c);
            rows[2] = self.first_halves(b, d);
            rows[3] = self.second_halves(b, d);
        }
        for i in 0..4 {
            let [first, second, third, fourth] =
                [lines[i], lines[i + 4], lines[i + 8], lines[i + 12]];
            let near = (self.even_quarters(first, second), self.odd_quarters(first, second));
            let far = (self.even_quarters(third, fourth), self.odd_quarters(third, fourth));
            lines[i] = self.even_quarters(near.0, far.0);
            lines[i + 4] = self.even_quarters(near.1, far.1);
            lines[i + 8] = self.odd_quarters(near.0, far.0);
            lines[i + 12] = self.odd_quarters(near.1, far.1);
        }
        lines
    }

    #[inline(always)]
    fn sums(self, [a, b, c, d]: [__m512; 4]) -> [f32; 4] {
        // Halves are added first, then quarters, so that each quarter belongs to one vector.
        let ab = self.add_quarters::<0b01_00_01_00, 0b11_10_11_10>(a, b);
        let cd = self.add_quarters::<0b01_00_01_00, 0b11_10_11_10>(c, d);
        let abcd = self.add_quarters::<0b10_00_10_00, 0b11_01_11_01>(ab, cd);
        let pairs = self.add_permuted::<0b01_00_11_10>(abcd);
        let mut lanes = [0.0; LANES];
        self.store(&mut lanes, self.add_permuted::<0b10_11_00_01>(pairs));
        [lanes[0], lanes[4], lanes[8], lanes[12]]
    }
}

/// Proof of AVX2, FMA and F16C. A vector is two halves, so that the kernels see sixteen lanes.
#[derive(Clone, Copy)]
struct Avx2(());

/// A method that is one instruction on each half.
macro_rules! instruction_on_halves {
    ($name:ident($($arg:ident),+) = $intrinsic:expr) => {
        #[inline(always)]
        fn $name(self, $($arg: Self::V),+) -> Self::V {
            // SAFETY: the token.
            let low = unsafe { $intrinsic($($arg[0]),+) };
            // SAFETY: the token.
            let high = unsafe { $intrinsic($($arg[1]),+) };
            [low, high]
        }
    };
}

impl Avx2 {
    #[inline(always)]
    fn load_half(self, x: &[f32; LANES / 2]) -> __m256 {
        // SAFETY: the token; `x` is eight readable floats.
        unsafe { _mm256_loadu_ps(x.as_ptr()) }
    }

    #[inline(always)]
    fn load_half_bf16(self, x: &[Bf16; LANES / 2]) -> __m256 {
        // SAFETY: the token; `x` is eight readable halves.
        let halves = unsafe { _mm_loadu_si128(x.as_ptr().cast()) };
        // SAFETY: the token.
        let words = unsafe { _mm256_cvtepu16_epi32(halves) };
        // SAFETY: the token.
        let words = unsafe { _mm256_slli_epi32::<16>(words) };
        // SAFETY: the token.
        unsafe { _mm256_castsi256_ps(words) }
    }

    #[inline(always)]
    fn load_half_f16(self, x: &[F16; LANES / 2]) -> __m256 {
        // SAFETY: the token; `x` is eight readable halves.
        let halves = unsafe { _mm_loadu_si128(x.as_ptr().cast()) };
        // SAFETY: the token.
        unsafe { _mm256_cvtph_ps(halves) }
    }

    #[inline(always)]
    fn store_half(self, x: &mut [f32; LANES / 2], v: __m256) {
        // SAFETY: the token; `x` is eight writable floats.
        unsafe { _mm256_storeu_ps(x.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn add_half(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token.
        unsafe { _mm256_add_ps(a, b) }
    }

    /// Sums of neighbours, those of `a` and of `b` in turns of two.
    #[inline(always)]
    fn add_pairs(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token.
        unsafe { _mm256_hadd_ps(a, b) }
    }

    /// `2^n`, for integers from -126 to 127.
    #[inline(always)]
    fn power_half(self, n: __m256) -> __m256 {
        // SAFETY: the token.
        let n = unsafe { _mm256_cvtps_epi32(n) };
        // SAFETY: the token.
        let exponent = unsafe { _mm256_slli_epi32::<23>(n) };
        // SAFETY: the token.
        let one = unsafe { _mm256_set1_epi32(1.0_f32.to_bits().cast_signed()) };
        // SAFETY: the token.
        let bits = unsafe { _mm256_add_epi32(one, exponent) };
        // SAFETY: the token.
        unsafe { _mm256_castsi256_ps(bits) }
    }

    #[inline(always)]
    fn zero_below_half(self, x: __m256, limit: __m256, v: __m256) -> __m256 {
        // SAFETY: the token.
        let below = unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(x, limit) };
        // SAFETY: the token.
        unsafe { _mm256_andnot_ps(below, v) }
    }
}

impl Isa for Avx2 {
    type V = [__m256; 2];

    const REGISTERS: usize = 8;

    instruction_on_halves!(add(a, b) = _mm256_add_ps);
    instruction_on_halves!(sub(a, b) = _mm256_sub_ps);
    instruction_on_halves!(mul(a, b) = _mm256_mul_ps);
    instruction_on_halves!(div(a, b) = _mm256_div_ps);
    instruction_on_halves!(mul_add(a, b, c) = _mm256_fmadd_ps);
    instruction_on_halves!(sqrt(v) = _mm256_sqrt_ps);
    instruction_on_halves!(max(a, b) = _mm256_max_ps);
    instruction_on_halves!(min(a, b) = _mm256_min_ps);
    instruction_on_halves!(round(v) = _mm256_round_ps::<NEAREST>);

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: the token.
        [unsafe { _mm256_set1_ps(x) }; 2]
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::V {
        let (halves, _) = x.as_chunks();
        [self.load_half(&halves[0]), self.load_half(&halves[1])]
    }

    #[inline(always)]
    fn load_bf16(self, x: &[Bf16; LANES]) -> Self::V {
        let (halves, _) = x.as_chunks();
        [self.load_half_bf16(&halves[0]), self.load_half_bf16(&halves[1])]
    }

    #[inline(always)]
    fn load_f16(self, x: &[F16; LANES]) -> Self::V {
        let (halves, _) = x.as_chunks();
        [self.load_half_f16(&halves[0]), self.load_half_f16(&halves[1])]
    }

    #[inline(always)]
    fn store(self, x: &mut [f32; LANES], v: Self::V) {
        let (halves, _) = x.as_chunks_mut();
        self.store_half(&mut halves[0], v[0]);
        self.store_half(&mut halves[1], v[1]);
    }

    #[inline(always)]
    fn prefetch<T>(self, x: *const T) {
        // SAFETY: SSE is part of x86-64, and a prefetch may name any address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(x.cast()) }
    }

    #[inline(always)]
    fn scale_by_power(self, v: Self::V, n: Self::V) -> Self::V {
        self.mul(v, [self.power_half(n[0]), self.power_half(n[1])])
    }

    #[inline(always)]
    fn zero_below(self, x: Self::V, limit: Self::V, v: Self::V) -> Self::V {
        [self.zero_below_half(x[0], limit[0], v[0]), self.zero_below_half(x[1], limit[1], v[1])]
    }

    #[inline(always)]
    fn sums(self, [a, b, c, d]: [Self::V; 4]) -> [f32; 4] {
        let ab = self.add_pairs(self.add_half(a[0], a[1]), self.add_half(b[0], b[1]));
        let cd = self.add_pairs(self.add_half(c[0], c[1]), self.add_half(d[0], d[1]));
        let mut lanes = [0.0; LANES / 2];
        self.store_half(&mut lanes, self.add_pairs(ab, cd));
        let [a, b, c, d, a_high, b_high, c_high, d_high] = lanes;
        [a + a_high, b + b_high, c + c_high, d + d_high]
    }
}

/// One entry of a table, run with `$features` switched on.
macro_rules! with_features {
    (
        $features:literal,
        $token:expr,
        $kernel:path,
        ($($arg:ident: $type:ty),*) $(-> $result:ty)?
    ) => {{
        #[target_feature(enable = $features)]
        fn run($($arg: $type),*) $(-> $result)? {
            $kernel($token, $($arg),*)
        }
        // SAFETY: the table is given out only after its features were detected.
        |$($arg),*| unsafe { run($($arg),*) }
    }};
}

/// One entry of the AVX-512 table.
macro_rules! avx512 {
    ($module:ident::$kernel:ident $($signature:tt)*) => {
        with_features!("avx512f,avx512bw,avx512vl", Avx512(()), $module::$kernel, $($signature)*)
    };
}

/// One entry of the AVX2 table.
macro_rules! avx2 {
    ($module:ident::$kernel:ident $($signature:tt)*) => {
        with_features!("avx2,fma,f16c", Avx2(()), $module::$kernel, $($signature)*)
    };
}

/// The AVX-512 kernels, if this CPU has them.
pub(super) fn avx512() -> Option<Kernels> {
    let present = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl");
    present.then(|| table!("avx512", avx512))
}

/// The AVX2 kernels, if this CPU has them.
pub(super) fn avx2() -> Option<Kernels> {
    let present = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    present.then(|| table!("avx2", avx2))
}
