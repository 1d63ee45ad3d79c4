//! NEON.
//!
//! The token is built only inside functions that carry the matching `target_feature`, and those
//! functions are reached only through a table that [`neon`] gave out after detection. That is the
//! proof which the safety comments call "the token".

mod words;

use std::arch::aarch64::{
    float32x4_t, vaddq_f32, vaddq_s32, vbicq_u32, vcltq_f32, vcvtq_s32_f32, vdivq_f32, vdupq_n_f32,
    vdupq_n_s32, vfmaq_f32, vld1_u16, vld1q_f32, vmaxq_f32, vminq_f32, vmovl_u16, vmulq_f32,
    vpaddq_f32, vreinterpretq_f32_s32, vreinterpretq_f32_u32, vreinterpretq_u32_f32, vrndnq_f32,
    vshlq_n_s32, vshlq_n_u32, vsqrtq_f32, vst1q_f32, vsubq_f32,
};
use std::arch::is_aarch64_feature_detected;

use super::{
    Bf16, F16, Isa, Kernels, LANES, adam, columns, gemm, hadamard, kernels, products, updates,
};

/// Proof of NEON. A vector is four quarters, so that the kernels see sixteen lanes.
#[derive(Clone, Copy)]
struct Neon(());

/// A method that does the same to each quarter.
macro_rules! quarterwise {
    ($name:ident($($arg:ident),+) = $quarter:ident) => {
        #[inline(always)]
        fn $name(self, $($arg: Self::V),+) -> Self::V {
            [
                self.$quarter($($arg[0]),+),
                self.$quarter($($arg[1]),+),
                self.$quarter($($arg[2]),+),
                self.$quarter($($arg[3]),+),
            ]
        }
    };
}

/// A method that is one instruction on a quarter.
macro_rules! instruction {
    ($name:ident($($arg:ident),+) = $intrinsic:ident($($operand:ident),+)) => {
        #[inline(always)]
        fn $name(self, $($arg: float32x4_t),+) -> float32x4_t {
            // SAFETY: the token.
            unsafe { $intrinsic($($operand),+) }
        }
    };
}

impl Neon {
    instruction!(add_quarter(a, b) = vaddq_f32(a, b));
    instruction!(sub_quarter(a, b) = vsubq_f32(a, b));
    instruction!(mul_quarter(a, b) = vmulq_f32(a, b));
    instruction!(div_quarter(a, b) = vdivq_f32(a, b));
    instruction!(mul_add_quarter(a, b, c) = vfmaq_f32(c, a, b));
    instruction!(sqrt_quarter(v) = vsqrtq_f32(v));
    instruction!(max_quarter(a, b) = vmaxq_f32(a, b));
    instruction!(min_quarter(a, b) = vminq_f32(a, b));
    instruction!(round_quarter(v) = vrndnq_f32(v));
    instruction!(add_pairs(a, b) = vpaddq_f32(a, b));

    #[inline(always)]
    fn load_quarter(self, x: &[f32; LANES / 4]) -> float32x4_t {
        // SAFETY: the token; `x` is four readable floats.
        unsafe { vld1q_f32(x.as_ptr()) }
    }

    #[inline(always)]
    fn load_quarter_bf16(self, x: &[Bf16; LANES / 4]) -> float32x4_t {
        // SAFETY: the token; `x` is four readable halves.
        let halves = unsafe { vld1_u16(x.as_ptr().cast()) };
        // SAFETY: the token.
        let words = unsafe { vmovl_u16(halves) };
        // SAFETY: the token.
        let words = unsafe { vshlq_n_u32::<16>(words) };
        // SAFETY: the token.
        unsafe { vreinterpretq_f32_u32(words) }
    }

    #[inline(always)]
    fn store_quarter(self, x: &mut [f32; LANES / 4], v: float32x4_t) {
        // SAFETY: the token; `x` is four writable floats.
        unsafe { vst1q_f32(x.as_mut_ptr(), v) }
    }

    /// `v * 2^n`, for integers from -126 to 127.
    #[inline(always)]
    fn scale_quarter(self, v: float32x4_t, n: float32x4_t) -> float32x4_t {
        // SAFETY: the token.
        let n = unsafe { vcvtq_s32_f32(n) };
        // SAFETY: the token.
        let exponent = unsafe { vshlq_n_s32::<23>(n) };
        // SAFETY: the token.
        let one = unsafe { vdupq_n_s32(1.0_f32.to_bits().cast_signed()) };
        // SAFETY: the token.
        let bits = unsafe { vaddq_s32(one, exponent) };
        // SAFETY: the token.
        let power = unsafe { vreinterpretq_f32_s32(bits) };
        self.mul_quarter(v, power)
    }

    #[inline(always)]
    fn zero_below_quarter(self, x: float32x4_t, limit: float32x4_t, v: float32x4_t) -> float32x4_t {
        // SAFETY: the token.
        let below = unsafe { vcltq_f32(x, limit) };
        // SAFETY: the token.
        let bits = unsafe { vreinterpretq_u32_f32(v) };
        // SAFETY: the token.
        let kept = unsafe { vbicq_u32(bits, below) };
        // SAFETY: the token.
        unsafe { vreinterpretq_f32_u32(kept) }
    }

    /// Adds upper to lower halves of sixteen lanes, then of eight.
    #[inline(always)]
    fn fold(self, v: [float32x4_t; 4]) -> float32x4_t {
        self.add_quarter(self.add_quarter(v[0], v[2]), self.add_quarter(v[1], v[3]))
    }
}

impl Isa for Neon {
    type V = [float32x4_t; 4];

    const REGISTERS: usize = 8;

    quarterwise!(add(a, b) = add_quarter);
    quarterwise!(sub(a, b) = sub_quarter);
    quarterwise!(mul(a, b) = mul_quarter);
    quarterwise!(div(a, b) = div_quarter);
    quarterwise!(mul_add(a, b, c) = mul_add_quarter);
    quarterwise!(sqrt(v) = sqrt_quarter);
    quarterwise!(max(a, b) = max_quarter);
    quarterwise!(min(a, b) = min_quarter);
    quarterwise!(round(v) = round_quarter);
    quarterwise!(scale_by_power(v, n) = scale_quarter);
    quarterwise!(zero_below(x, limit, v) = zero_below_quarter);

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        // SAFETY: the token.
        [unsafe { vdupq_n_f32(x) }; 4]
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::V {
        let (quarters, _) = x.as_chunks();
        [
            self.load_quarter(&quarters[0]),
            self.load_quarter(&quarters[1]),
            self.load_quarter(&quarters[2]),
            self.load_quarter(&quarters[3]),
        ]
    }

    #[inline(always)]
    fn load_bf16(self, x: &[Bf16; LANES]) -> Self::V {
        let (quarters, _) = x.as_chunks();
        [
            self.load_quarter_bf16(&quarters[0]),
            self.load_quarter_bf16(&quarters[1]),
            self.load_quarter_bf16(&quarters[2]),
            self.load_quarter_bf16(&quarters[3]),
        ]
    }

    #[inline(always)]
    fn load_f16(self, x: &[F16; LANES]) -> Self::V {
        self.load(&x.map(F16::to_f32))
    }

    #[inline(always)]
    fn store(self, x: &mut [f32; LANES], v: Self::V) {
        let (quarters, _) = x.as_chunks_mut();
        self.store_quarter(&mut quarters[0], v[0]);
        self.store_quarter(&mut quarters[1], v[1]);
        self.store_quarter(&mut quarters[2], v[2]);
        self.store_quarter(&mut quarters[3], v[3]);
    }

    #[inline(always)]
    fn prefetch<T>(self, x: *const T) {
        // SAFETY: a prefetch changes nothing but the cache, and may name any address.
        unsafe {
            std::arch::asm!(
                "prfm pldl1keep, [{address}]",
                address = in(reg) x,
                options(nostack, readonly, preserves_flags),
            );
        }
    }

    #[inline(always)]
    fn sums(self, [a, b, c, d]: [Self::V; 4]) -> [f32; 4] {
        let ab = self.add_pairs(self.fold(a), self.fold(b));
        let cd = self.add_pairs(self.fold(c), self.fold(d));
        let mut sums = [0.0; 4];
        self.store_quarter(&mut sums, self.add_pairs(ab, cd));
        sums
    }
}

/// One entry of the table, run with NEON switched on.
macro_rules! with_neon {
    ($kernel:path, ($($arg:ident: $type:ty),*) $(-> $result:ty)?) => {{
        #[target_feature(enable = "neon")]
        fn run($($arg: $type),*) $(-> $result)? {
            $kernel(Neon(()), $($arg),*)
        }
        // SAFETY: the table is given out only after NEON was detected.
        |$($arg),*| unsafe { run($($arg),*) }
    }};
}

/// One entry of the NEON table.
macro_rules! entry {
    ($module:ident::$kernel:ident $($signature:tt)*) => {
        with_neon!($module::$kernel, $($signature)*)
    };
}

/// The NEON kernels, if this CPU has them.
pub(super) fn neon() -> Option<Kernels> {
    is_aarch64_feature_detected!("neon").then(|| table!("neon", entry))
}
