//! Sixteen lanes in an array: runs anywhere, and is what the others are compared with.

use super::words::Words;
use super::{
    Bf16, F16, Isa, Kernels, LANES, adam, columns, gemm, hadamard, kernels, products, updates,
};

#[derive(Clone, Copy)]
struct Portable;

/// One method that treats the lanes one by one.
macro_rules! lanewise {
    ($name:ident($first:ident $(, $other:ident)*) = $value:expr) => {
        #[inline(always)]
        fn $name(self, mut $first: Self::V $(, $other: Self::V)*) -> Self::V {
            for i in 0..LANES {
                let lane = {
                    let ($first $(, $other)*) = ($first[i] $(, $other[i])*);
                    $value
                };
                $first[i] = lane;
            }
            $first
        }
    };
}

/// Added to a small float, leaves no room for a fraction, and its lowest bits count the units.
const ROUNDER: f32 = 12_582_912.0; // 1.5 * 2^23

impl Isa for Portable {
    type V = [f32; LANES];

    // Four SSE2 or NEON registers make a vector; this is the smaller of the two register files.
    const REGISTERS: usize = 4;

    lanewise!(add(a, b) = a + b);
    lanewise!(sub(a, b) = a - b);
    lanewise!(mul(a, b) = a * b);
    lanewise!(div(a, b) = a / b);
    lanewise!(mul_add(a, b, c) = a * b + c);
    lanewise!(max(a, b) = if a > b { a } else { b });
    lanewise!(min(a, b) = if a < b { a } else { b });
    lanewise!(zero_below(x, limit, v) = if x < limit { 0.0 } else { v });

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [x; LANES]
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::V {
        *x
    }

    #[inline(always)]
    fn store(self, x: &mut [f32; LANES], v: Self::V) {
        *x = v;
    }

    #[inline(always)]
    fn load_bf16(self, x: &[Bf16; LANES]) -> Self::V {
        x.map(Bf16::to_f32)
    }

    #[inline(always)]
    fn load_f16(self, x: &[F16; LANES]) -> Self::V {
        x.map(F16::to_f32)
    }

    #[inline(always)]
    fn prefetch<T>(self, _: *const T) {}

    #[inline(always)]
    fn sqrt(self, mut v: Self::V) -> Self::V {
        for lane in &mut v {
            *lane = lane.sqrt();
        }
        v
    }

    #[inline(always)]
    fn round(self, mut v: Self::V) -> Self::V {
        for lane in &mut v {
            *lane = (*lane + ROUNDER) - ROUNDER;
        }
        v
    }

    #[inline(always)]
    fn scale_by_power(self, mut v: Self::V, n: Self::V) -> Self::V {
        for i in 0..LANES {
            let exponent = (n[i] + ROUNDER).to_bits() << 23;
            v[i] *= f32::from_bits(1.0_f32.to_bits().wrapping_add(exponent));
        }
        v
    }

    #[inline(always)]
    fn sums(self, v: [Self::V; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        for (sum, mut v) in sums.iter_mut().zip(v) {
            let mut half = LANES / 2;
            while half > 0 {
                for i in 0..half {
                    v[i] += v[i + half];
                }
                half /= 2;
            }
            *sum = v[0];
        }
        sums
    }
}

/// A method that treats the integers one by one.
macro_rules! wordwise {
    ($name:ident($first:ident, $other:ident) = $value:expr) => {
        #[inline(always)]
        fn $name(self, mut $first: Self::W, $other: Self::W) -> Self::W {
            for i in 0..LANES {
                let ($first, $other) = (&mut $first[i], $other[i]);
                *$first = $value;
            }
            $first
        }
    };
}

impl Words for Portable {
    type W = [u32; LANES];

    wordwise!(add_words(a, b) = a.wrapping_add(b));
    wordwise!(mul_words(a, b) = a.wrapping_mul(b));
    wordwise!(xor_words(a, b) = *a ^ b);

    #[inline(always)]
    fn splat_words(self, x: u32) -> Self::W {
        [x; LANES]
    }

    #[inline(always)]
    fn load_words(self, x: &[u32; LANES]) -> Self::W {
        *x
    }

    #[inline(always)]
    fn shift_words(self, mut a: Self::W, bits: u32) -> Self::W {
        for a in &mut a {
            *a >>= bits;
        }
        a
    }

    #[inline(always)]
    fn store_bf16(self, x: &mut [Bf16; LANES], v: Self::V, dice: Self::W) {
        for i in 0..LANES {
            x[i] = Bf16::round(v[i], (dice[i] >> 16) as u16);
        }
    }

    #[inline(always)]
    fn store_f16(self, x: &mut [F16; LANES], v: Self::V, dice: Self::W) {
        for i in 0..LANES {
            x[i] = F16::round(v[i], (dice[i] >> 16) as u16);
        }
    }
}

/// One entry of the table.
macro_rules! portable {
    ($module:ident::$kernel:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?) => {
        |$($arg),*| $module::$kernel(Portable, $($arg),*)
    };
}

pub(super) const KERNELS: Kernels = table!("portable", portable);
