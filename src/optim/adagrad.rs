//! Adagrad (Duchi, Hazan and Singer, 2011) with one accumulator a row, as embedding tables use it.
//!
//! The accumulator is the sum over the steps of the mean square of the row's gradient. A zero
//! gradient changes neither it nor the row, so a row that is not touched misses nothing.

use crate::simd::Kernels;

/// Adds the gradient `g` of a row of `width` numbers to its accumulator; returns what to multiply
/// `-g` by.
pub(super) fn rate(
    kernels: &Kernels,
    (lr, eps): (f32, f32),
    (g, width): (&[f32], usize),
    sum: &mut f32,
) -> f32 {
    *sum += (kernels.dot)(g, g) / width as f32;
    lr / (sum.sqrt() + eps)
}
