//! Activations, and the scaling of a layer's outputs to a fixed norm.

use crate::config::Activation;
use crate::simd::Kernels;

/// Slope of the leaky `ReLU` below zero, as in `PyTorch`.
const LEAK: f32 = 0.01;

impl Activation {
    /// Replaces pre-activations by activations and writes the derivatives.
    pub fn apply(self, z: &mut [f32], slopes: &mut [f32]) {
        if self == Self::Linear {
            slopes.fill(1.0);
            return;
        }
        for (z, slope) in z.iter_mut().zip(slopes) {
            (*z, *slope) = self.at(*z);
        }
    }

    /// Activation and derivative at one pre-activation. NaN stays NaN.
    #[inline]
    fn at(self, z: f32) -> (f32, f32) {
        match self {
            Self::Linear => (z, 1.0),
            Self::Relu => (if z < 0.0 { 0.0 } else { z }, f32::from(u8::from(z > 0.0))),
            Self::Tanh => {
                let y = z.tanh();
                (y, 1.0 - y * y)
            }
            Self::Sigmoid => {
                let y = 1.0 / (1.0 + (-z).exp());
                (y, y * (1.0 - y))
            }
            Self::LeakyRelu => {
                let slope = if z > 0.0 { 1.0 } else { LEAK };
                (slope * z, slope)
            }
            Self::Gelu => {
                let below = 0.5 * (1.0 + erf(z * std::f32::consts::FRAC_1_SQRT_2));
                let density = (-0.5 * z * z).exp() * FRAC_1_SQRT_TAU;
                (z * below, z.mul_add(density, below))
            }
        }
    }
}

/// `1 / sqrt(2 pi)`
const FRAC_1_SQRT_TAU: f32 = 0.398_942_3;

/// The error function within 2e-7: the rational approximation 7.1.26 of Abramowitz and Stegun,
/// "Handbook of Mathematical Functions" (1964), whose own error is below 1.5e-7.
fn erf(x: f32) -> f32 {
    let t = 1.0 / x.abs().mul_add(0.327_591_1, 1.0);
    let series = [1.061_405_4, -1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6]
        .iter()
        .fold(0.0_f32, |sum, coefficient| sum.mul_add(t, *coefficient));
    (1.0 - series * t * (-x * x).exp()).copysign(x)
}

/// Euclidean length; in f64 where the squares leave the range of f32.
fn length(kernels: &Kernels, x: &[f32]) -> f32 {
    let square = (kernels.dot)(x, x);
    if (1e-20..1e30).contains(&square) {
        return square.sqrt();
    }
    x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt() as f32
}

/// Scales `out` to length `norm`, where that is not 0, and returns the factor.
pub(super) fn scale_to(kernels: &Kernels, norm: f32, out: &mut [f32]) -> f32 {
    if norm == 0.0 {
        return 1.0;
    }
    let length = length(kernels, out);
    let factor = if length > 0.0 { norm / length } else { 0.0 };
    (kernels.scale)(factor, out);
    factor
}

/// Turns the gradients of `outputs`, which were scaled by `factor` to length `norm`, into those of
/// what stood there before.
pub(super) fn scale_back(
    kernels: &Kernels,
    (norm, factor): (f32, f32),
    outputs: &[f32],
    deltas: &mut [f32],
) {
    if norm > 0.0 {
        // h = norm a / |a|, so da = (norm / |a|) (dh - h (h . dh) / norm^2).
        let along = (kernels.dot)(outputs, deltas) / norm / norm;
        (kernels.axpy)(-along, outputs, deltas);
        (kernels.scale)(factor, deltas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_the_derivatives() {
        for activation in Activation::ALL {
            for z in [-5.0_f32, -1.3, -0.2, 0.4, 2.0, 6.0] {
                let h = 0.01;
                let slope = (activation.at(z + h).0 - activation.at(z - h).0) / (2.0 * h);
                // The third derivative is below 3, so the difference is h^2 / 6 * 3 off, and
                // rounding of values below ten adds 1e-6 / h.
                let error = (activation.at(z).1 - slope).abs();
                assert!(error < 0.5 * h * h + 2e-4, "{activation:?} at {z}: {error}");
            }
        }
    }

    #[test]
    fn gelu_has_the_values_of_its_table() {
        // z Phi(z) with Phi from tables of the normal distribution.
        for (z, wanted) in [(0.0, 0.0), (1.0, 0.841_344_7), (-1.0, -0.158_655_3), (3.0, 2.995_95)] {
            assert!((Activation::Gelu.at(z).0 - wanted).abs() < 1e-6);
        }
    }

    #[test]
    fn what_is_not_a_number_shows() {
        for activation in Activation::ALL {
            assert!(activation.at(f32::NAN).0.is_nan(), "{activation:?}");
        }
    }

    #[test]
    fn scaling_keeps_the_direction_and_zero_stays_zero() {
        let kernels = Kernels::available().last().unwrap();
        let mut x = [3.0, 0.0, 4.0];
        assert_eq!(scale_to(&kernels, 10.0, &mut x), 2.0);
        assert_eq!(x, [6.0, 0.0, 8.0]);
        let mut zero = [0.0; 3];
        assert_eq!(scale_to(&kernels, 10.0, &mut zero), 0.0);
        let mut tiny = [3e-30, 4e-30];
        scale_to(&kernels, 1.0, &mut tiny);
        assert!((tiny[0] - 0.6).abs() < 1e-6);
    }
}
