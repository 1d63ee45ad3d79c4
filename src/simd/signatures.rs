//! What kernels are called with.

use super::{Adam, Bf16};

/// The kernels of one instruction set for rows that are stored as `E`. All of them give the bits that
/// they give for the same rows of floats, but for the rounding of what is stored.
#[derive(Clone, Copy, Debug)]
pub struct RowKernels<E> {
    /// `out[k] = weights[rows[k]] . x`, where every row is as long as `x`. The value of one entry
    /// does not depend on the other rows asked for.
    pub dot_rows: DotRows<E>,
    /// `y += sum over k of coefs[k] * weights[rows[k]]`, where every row is as long as `y`.
    pub axpy_rows: AxpyRows<E>,
    /// `out[k]`: the sum over j of `values[j]` times the entry at `columns[j]` of the row
    /// `rows[k]`, where `weights` comes with the length of its rows. The value of one entry does
    /// not depend on the other rows asked for.
    pub dot_columns: DotColumns<E>,
    /// Adds to `out[j]` the sum over k of `coefs[k]` times the entry at `columns[j]` of the row
    /// `rows[k]`, where `weights` comes with the length of its rows.
    pub axpy_columns: AxpyColumns<E>,
    /// Inner products of all rows of `weights` with all rows of `x`, where rows are `stride` long,
    /// whole vectors: those of the first row of `x`, then of the second. Each has the bits that
    /// [`RowKernels::dot_rows`] gives. Meanwhile `ahead` is fetched, for use soon, but where `x` is a
    /// single row: then the weights are a stream, which the hardware fetches by itself.
    pub products: Products<E>,
    /// `C += A B` with `dims = [m, n]`, where row k of `B` is row `rows[k]` of `b`; each matrix
    /// comes with the distance between the starts of its rows.
    pub gemm_rows: GemmRows<E>,
    /// Adam.
    pub adam: Adam<E, f32>,
    /// Adam with moments in halves.
    pub adam_light: Adam<E, Bf16>,
    /// `out = x`
    pub widen: fn(x: &[E], out: &mut [f32]),
    /// `out` is `x`, rounded at random where it has to be, so that the mean is `x`. The pair is a key
    /// of the row, and the place in it of the first entry; the bits are the same on every
    /// instruction set.
    pub round: fn(dice: (u64, u32), x: &[f32], out: &mut [E]),
}

/// The constants of one step of gradient descent with momentum; see [`super::Kernels::momentum`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MomentumStep {
    /// Learning rate.
    pub lr: f32,
    /// Share of the sum of gradients that is kept.
    pub momentum: f32,
    /// Whether the sum is taken one step ahead.
    pub nesterov: bool,
}

/// The signature of [`RowKernels::dot_rows`].
pub type DotRows<E = f32> = fn(weights: &[E], rows: &[u32], x: &[f32], out: &mut [f32]);

/// The signature of [`RowKernels::axpy_rows`].
pub type AxpyRows<E = f32> = fn(weights: &[E], rows: &[u32], coefs: &[f32], y: &mut [f32]);

/// The signature of [`super::Kernels::sum_rows`].
pub type SumRows = fn(weights: &[f32], rows: &[u32], coefs: &[f32], y: &mut [f32]) -> f32;

/// The signature of [`RowKernels::dot_columns`].
pub type DotColumns<E = f32> =
    fn(weights: (&[E], usize), rows: &[u32], columns: &[u32], values: &[f32], out: &mut [f32]);

/// The signature of [`RowKernels::axpy_columns`].
pub type AxpyColumns<E = f32> =
    fn(weights: (&[E], usize), rows: &[u32], coefs: &[f32], columns: &[u32], out: &mut [f32]);

/// The signature of [`RowKernels::products`].
pub type Products<E = f32> =
    fn(weights: &[E], x: &[f32], stride: usize, ahead: &[E], out: &mut [f32]);

/// The signature of [`super::Kernels::momentum`].
pub type Momentum = fn(step: &MomentumStep, w: &mut [f32], m: &mut [f32], g: &[f32]);

/// The signature of [`super::Kernels::gemm`].
pub type Gemm =
    fn(dims: [usize; 3], a: &[f32], lda: usize, b: &[f32], ldb: usize, c: &mut [f32], ldc: usize);

/// The signature of [`RowKernels::gemm_rows`].
pub type GemmRows<E = f32> = fn(
    dims: [usize; 2],
    a: (&[f32], usize),
    b: (&[E], usize),
    rows: &[u32],
    c: (&mut [f32], usize),
);
