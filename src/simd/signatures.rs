//! What kernels are called with.

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

/// The signature of [`super::Kernels::dot_rows`].
pub type DotRows<E = f32> = fn(weights: &[E], rows: &[u32], x: &[f32], out: &mut [f32]);

/// The signature of [`super::Kernels::axpy_rows`].
pub type AxpyRows<E = f32> = fn(weights: &[E], rows: &[u32], coefs: &[f32], y: &mut [f32]);

/// The signature of [`super::Kernels::sum_rows`].
pub type SumRows = fn(weights: &[f32], rows: &[u32], coefs: &[f32], y: &mut [f32]) -> f32;

/// The signature of [`super::Kernels::dot_columns`].
pub type DotColumns<E = f32> =
    fn(weights: (&[E], usize), rows: &[u32], columns: &[u32], values: &[f32], out: &mut [f32]);

/// The signature of [`super::Kernels::axpy_columns`].
pub type AxpyColumns<E = f32> =
    fn(weights: (&[E], usize), rows: &[u32], coefs: &[f32], columns: &[u32], out: &mut [f32]);

/// The signature of [`super::Kernels::products`].
pub type Products<E = f32> =
    fn(weights: &[E], x: &[f32], stride: usize, ahead: &[E], out: &mut [f32]);

/// The signature of [`super::Kernels::momentum`].
pub type Momentum = fn(step: &MomentumStep, w: &mut [f32], m: &mut [f32], g: &[f32]);

/// The signature of [`super::Kernels::gemm`].
pub type Gemm =
    fn(dims: [usize; 3], a: &[f32], lda: usize, b: &[f32], ldb: usize, c: &mut [f32], ldc: usize);

/// The signature of [`super::Kernels::gemm_rows`].
pub type GemmRows<E = f32> = fn(
    dims: [usize; 2],
    a: (&[f32], usize),
    b: (&[E], usize),
    rows: &[u32],
    c: (&mut [f32], usize),
);
