//! One algorithm, many instruction sets.
//!
//! A kernel is written once, generic over `Isa`. An implementor is a zero-sized token whose
//! existence proves that the CPU has the instructions, so kernels are safe code and the only
//! unsafe modules are the thin ones that name vendor intrinsics. Every sum has an order fixed by
//! the lengths alone, so a table gives the same bits on every run and for every number of
//! threads; different tables differ by rounding.

use std::fmt;
use std::sync::OnceLock;

#[macro_use]
mod table;
#[cfg(target_arch = "aarch64")]
#[expect(unsafe_code, reason = "vendor intrinsics; every block names its proof")]
mod aarch64;
mod adam;
mod columns;
mod element;
mod gemm;
mod hadamard;
mod halves;
mod kernels;
mod portable;
mod products;
mod signatures;
#[cfg(test)]
mod tests;
mod updates;
mod words;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vendor intrinsics; every block names its proof")]
mod x86;

pub use adam::{Adam, AdamEntries, AdamRow, AdamRowStep, AdamStep, State};
pub use element::Stored;
pub(crate) use element::dice;
pub use hadamard::{Codes, Hadamard, Line};
pub use halves::{Bf16, F16};
pub use signatures::{
    AxpyColumns, AxpyRows, DotColumns, DotRows, Gemm, GemmRows, Momentum, MomentumStep, Products,
    RowKernels, SumRows,
};

use columns::Lanes;

/// Floats in one vector, on every instruction set.
pub const LANES: usize = 16;

/// The environment variable that overrides the choice of [`Kernels::detect`].
const ISA_VARIABLE: &str = "SLIDE_RS_ISA";

/// Proof that one instruction set is present, with the few operations the kernels need.
trait Isa: Copy {
    /// [`LANES`] floats.
    type V: Copy;
    /// How many vectors of [`LANES`] floats the register file holds.
    const REGISTERS: usize;
    /// All lanes set to `x`.
    fn splat(self, x: f32) -> Self::V;
    /// Reads one vector.
    fn load(self, x: &[f32; LANES]) -> Self::V;
    /// Writes one vector.
    fn store(self, x: &mut [f32; LANES], v: Self::V);
    /// Reads one vector of halves.
    fn load_bf16(self, x: &[Bf16; LANES]) -> Self::V;
    /// Reads one vector of halves.
    fn load_f16(self, x: &[F16; LANES]) -> Self::V;
    /// Reads the entries of `row` at the columns of `lanes`.
    #[inline(always)]
    fn gather(self, row: &[f32], lanes: Lanes<'_>) -> Self::V {
        self.load(&columns::one_by_one(row, lanes))
    }
    /// Asks for the line at `x` to be brought near, without waiting for it; on x86 into the second-level
    /// cache, which can wait for more lines at a time than the first. What is there does not matter.
    fn prefetch<T>(self, x: *const T);
    /// `a + b`
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, fused where the hardware fuses.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Square roots.
    fn sqrt(self, v: Self::V) -> Self::V;
    /// The greater of each two lanes; NaN where `b` is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The lesser of each two lanes; NaN where `b` is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The nearest integers, for lanes within 2^22 of zero.
    fn round(self, v: Self::V) -> Self::V;
    /// `v * 2^n`, for lanes of `n` that are integers from -126 to 127.
    fn scale_by_power(self, v: Self::V, n: Self::V) -> Self::V;
    /// `v`, with zero where `x` is below `limit`; NaN lanes of `x` are not below anything.
    fn zero_below(self, x: Self::V, limit: Self::V, v: Self::V) -> Self::V;
    /// Lane i of vector j becomes lane j of vector i.
    #[inline(always)]
    fn transpose(self, v: [Self::V; LANES]) -> [Self::V; LANES] {
        hadamard::one_by_one(self, v)
    }
    /// Sum of the lanes of each vector, each in the same order.
    fn sums(self, v: [Self::V; 4]) -> [f32; 4];

    /// Sum of the lanes, in the order of [`Isa::sums`].
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        self.sums([v; 4])[0]
    }
}

/// The kernels of one instruction set, chosen once for a network.
///
/// # Panics
///
/// Every kernel panics if slices that must match in length do not, or if a row or a stride leads
/// out of its slice.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    /// Name shown to the user and in test failures.
    pub name: &'static str,
    /// Those for rows of floats.
    pub f32: RowKernels<f32>,
    /// Those for rows of the upper halves of floats.
    pub bf16: RowKernels<Bf16>,
    /// Those for rows of IEEE halves.
    pub f16: RowKernels<F16>,
    /// `y = sum over k of coefs[k] * weights[rows[k]]` for a few rows that are in the cache, with the
    /// bits of [`RowKernels::axpy_rows`] on zeros; returns `y . y` with the bits of [`Kernels::dot`].
    pub sum_rows: SumRows,
    /// `x . y`
    pub dot: fn(x: &[f32], y: &[f32]) -> f32,
    /// `y += a * x`
    pub axpy: fn(a: f32, x: &[f32], y: &mut [f32]),
    /// `x *= a`
    pub scale: fn(a: f32, x: &mut [f32]),
    /// Asks for `x` to be brought near, for use soon.
    pub prefetch: fn(x: &[f32]),
    /// `m = momentum m + g`, then `w -= lr m`, or with Nesterov `w -= lr (g + momentum m)`.
    pub momentum: Momentum,
    /// Entries beyond `limit` and `-limit` become these; NaN stays NaN.
    pub clip: fn(limit: f32, x: &mut [f32]),
    /// The greatest of `x`, or negative infinity if it is empty. NaN may or may not show.
    pub max: fn(x: &[f32]) -> f32,
    /// `x = exp(x - shift)`, then the sum of `x`.
    ///
    /// Within 3 units in the last place for a difference from -87.3 to 88; below that range the
    /// result is zero, above it stays near `exp(88)`. NaN stays NaN.
    pub exp_sum: fn(shift: f32, x: &mut [f32]) -> f32,
    /// `C += A B` for row-major `C` (m x n), `A` (m x k) and `B` (k x n), with `dims = [m, n, k]`;
    /// `lda`, `ldb` and `ldc` are the distances between the starts of rows.
    ///
    /// Every entry of `C` takes its products in ascending order of k, rounded alike, wherever it
    /// stands. So it has the same bits however the rows and columns are split over calls.
    pub gemm: Gemm,
    /// Puts up to [`LANES`] vectors side by side: lane i of `out[j]` is coordinate j of vector i,
    /// and 0 where there is none. `shape` is how many they are, and the distance between the
    /// starts of two; each is as long as `out`.
    pub interleave: fn(values: &[f32], shape: [usize; 2], out: &mut [Line]),
    /// Codes of [`LANES`] vectors side by side, which come with their additional coordinates: lane
    /// i of `codes[t]` is code t of vector i. A vector is as long as a transform; `room` is three
    /// times that. The codes are the same on every instruction set.
    pub hadamard: Codes,
    /// `C += A^T B`: the same with `A` (k x m) on its side.
    pub gemm_across: Gemm,
}

impl Kernels {
    /// Every table this CPU can run, fastest first; the portable one is always last.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let native = [x86::avx512(), x86::avx2()].into_iter().flatten();
        #[cfg(target_arch = "aarch64")]
        let native = aarch64::neon().into_iter();
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let native = std::iter::empty();
        native.chain([portable::KERNELS])
    }

    /// The fastest table, or the one that the environment variable `SLIDE_RS_ISA` names: `avx512`,
    /// `avx2`, `neon` or `portable`. The variable is read once in the life of the process.
    ///
    /// # Errors
    ///
    /// If the variable names a table that this CPU cannot run.
    pub fn detect() -> Result<Self, UnknownIsa> {
        static CHOICE: OnceLock<Result<Kernels, UnknownIsa>> = OnceLock::new();
        let wanted = || std::env::var_os(ISA_VARIABLE).map(|name| name.to_string_lossy().into());
        CHOICE.get_or_init(|| Self::choose(wanted())).clone()
    }

    /// The table called `wanted`, or the fastest if none is named.
    fn choose(wanted: Option<String>) -> Result<Self, UnknownIsa> {
        let found = Self::available()
            .find(|kernels| wanted.as_deref().is_none_or(|wanted| wanted == kernels.name));
        found.ok_or_else(|| UnknownIsa { wanted: wanted.unwrap_or_default() })
    }
}

/// `SLIDE_RS_ISA` names no instruction set that this CPU has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownIsa {
    /// The name it gave.
    pub wanted: String,
}

impl fmt::Display for UnknownIsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ISA_VARIABLE} is {:?}, but this machine has only:", self.wanted)?;
        Kernels::available().try_for_each(|kernels| write!(f, " {}", kernels.name))
    }
}

impl std::error::Error for UnknownIsa {}
