//! Losses over the active set: from logits to the gradient with respect to them.

use crate::config::Loss;
use crate::simd::Kernels;

impl Loss {
    /// Whether the loss of one neuron depends on the logits of the others.
    #[must_use]
    pub const fn is_softmax(self) -> bool {
        matches!(self, Self::Softmax | Self::SoftmaxPerLabel)
    }

    /// Turns the grades of the labels of one sample into their targets.
    pub fn to_targets(self, grades: &mut [f32]) {
        if self == Self::Softmax {
            // A few large grades overflow a sum of floats.
            let sum: f64 = grades.iter().copied().map(f64::from).sum();
            for grade in grades {
                *grade = if sum > 0.0 { (f64::from(*grade) / sum) as f32 } else { 0.0 };
            }
        }
    }

    /// The sum of the targets of a sample, by which a softmax counts; 0 where there is no label.
    #[must_use]
    pub fn mass(self, targets: &[f32]) -> f32 {
        match self {
            // Equal to the sum but for its rounding, unless all grades are zero.
            Self::Softmax => f32::from(u8::from(targets.iter().any(|&target| target > 0.0))),
            _ => targets.iter().sum(),
        }
    }

    /// Turns the logits of one sample into its deltas and returns its loss.
    ///
    /// The first logits are those of the labels, in the order of `targets`. For a softmax with
    /// probabilities `p` the loss is `-sum y log p` and the delta `p sum y - y`; the other losses
    /// are sums over the logits, see [`Loss`]. The loss is times `weight`, the deltas
    /// `weight * scale`. A row without labels has no loss and no deltas.
    pub fn backward(
        self,
        kernels: &Kernels,
        logits: &mut [f32],
        targets: &[f32],
        (weight, scale): (f32, f32),
    ) -> f64 {
        if targets.is_empty() {
            logits.fill(0.0);
            return 0.0;
        }
        let scale = weight * scale;
        if !self.is_softmax() {
            let (of_labels, others) = logits.split_at_mut(targets.len());
            let mut sum = 0.0;
            for (a, &target) in of_labels.iter_mut().zip(targets) {
                sum += f64::from(self.of_label(*a, target).0);
                *a = scale * self.of_label(*a, target).1;
            }
            for a in others {
                sum += f64::from(self.of_other(*a).0);
                *a = scale * self.of_other(*a).1;
            }
            return f64::from(weight) * sum;
        }
        let mass = self.mass(targets);
        let max = (kernels.max)(logits);
        let below = logits.iter().zip(targets).map(|(&a, &y)| f64::from(y) * f64::from(a - max));
        let of_labels: f64 = below.sum();
        let sum = (kernels.exp_sum)(max, logits);
        (kernels.scale)(scale * mass / sum, logits);
        for (delta, target) in logits.iter_mut().zip(targets) {
            *delta -= scale * target;
        }
        f64::from(weight) * (f64::from(mass) * f64::from(sum).ln() - of_labels)
    }

    /// Loss and derivative of a label with logit `a`, for a loss that is a sum over the neurons.
    #[must_use]
    pub fn of_label(self, a: f32, target: f32) -> (f32, f32) {
        match self {
            Self::Hinge | Self::SquaredHinge => {
                let (value, slope) = self.of_other(-a);
                (target * value, -target * slope)
            }
            Self::Squared => (0.5 * (a - target) * (a - target), a - target),
            _ => {
                let (value, slope) = self.of_other(a);
                (target.mul_add(-a, value), slope - target)
            }
        }
    }

    /// Loss and derivative of another neuron with logit `a`, for a loss that is a sum over the
    /// neurons.
    #[must_use]
    pub fn of_other(self, a: f32) -> (f32, f32) {
        match self {
            Self::Squared => (0.5 * a * a, a),
            Self::Hinge => ((1.0 + a).max(0.0), f32::from(u8::from(a > -1.0))),
            Self::SquaredHinge => {
                let above = (1.0 + a).max(0.0);
                (above * above, 2.0 * above)
            }
            _ => {
                // log(1 + exp(a)) without overflow.
                let small = (-a.abs()).exp();
                let slope = if a > 0.0 { 1.0 } else { small } / (1.0 + small);
                (a.max(0.0) + small.ln_1p(), slope)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loss in f64, straight from its definition.
    fn oracle(loss: Loss, logits: &[f64], targets: &[f64]) -> f64 {
        let others = &logits[targets.len()..];
        let pairs = logits.iter().zip(targets);
        let margin = |a: f64| (1.0 - a).max(0.0);
        match loss {
            Loss::Softmax | Loss::SoftmaxPerLabel => {
                let sum: f64 = logits.iter().map(|a| a.exp()).sum();
                pairs.map(|(a, y)| -y * (a.exp() / sum).ln()).sum()
            }
            Loss::Sigmoid => {
                let all: f64 = logits.iter().map(|a| (1.0 + a.exp()).ln()).sum();
                all - pairs.map(|(a, y)| a * y).sum::<f64>()
            }
            Loss::Squared => {
                let of_labels: f64 = pairs.map(|(a, y)| (a - y).powi(2) / 2.0).sum();
                of_labels + others.iter().map(|a| a * a / 2.0).sum::<f64>()
            }
            Loss::Hinge => {
                let of_labels: f64 = pairs.map(|(&a, y)| y * margin(a)).sum();
                of_labels + others.iter().map(|&a| margin(-a)).sum::<f64>()
            }
            Loss::SquaredHinge => {
                let of_labels: f64 = pairs.map(|(&a, y)| y * margin(a).powi(2)).sum();
                of_labels + others.iter().map(|&a| margin(-a).powi(2)).sum::<f64>()
            }
        }
    }

    #[test]
    fn deltas_are_the_derivatives_of_the_loss() {
        let logits = [0.3_f32, -1.2, 2.5, 0.0, 1.1, -0.4, 0.9];
        for kernels in Kernels::available() {
            for loss in Loss::ALL {
                for grades in [&[1.0][..], &[1.0, 1.0], &[0.25, 3.0, 1.0], &[0.0, 1.0]] {
                    let mut targets = grades.to_vec();
                    loss.to_targets(&mut targets);
                    let exact: Vec<f64> = targets.iter().map(|&y| f64::from(y)).collect();
                    let wide = logits.map(f64::from);
                    let mut deltas = logits;
                    let value = loss.backward(&kernels, &mut deltas, &targets, (2.0, 0.25));
                    // A few roundings of numbers below fifty.
                    let error = (value - 2.0 * oracle(loss, &wide, &exact)).abs();
                    assert!(error < 3e-5, "{loss:?}: {error}");
                    for i in 0..logits.len() {
                        let step = |h: f64| {
                            let mut moved = wide;
                            moved[i] += h;
                            oracle(loss, &moved, &exact)
                        };
                        let slope = (step(1e-5) - step(-1e-5)) / 2e-5;
                        let error = (f64::from(deltas[i]) - 0.5 * slope).abs();
                        assert!(error < 2e-6, "{loss:?}, logit {i}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_without_labels_contributes_nothing() {
        let kernels = Kernels::available().last().unwrap();
        for loss in Loss::ALL {
            let mut logits = [1.0, 2.0];
            assert_eq!(loss.backward(&kernels, &mut logits, &[], (1.0, 1.0)), 0.0);
            assert_eq!(logits, [0.0, 0.0]);
        }
    }

    #[test]
    fn targets_of_a_softmax_are_shares_however_large_or_small_the_grades() {
        for unit in [2_f32.powi(125), 1.0, f32::from_bits(4)] {
            let mut targets = [unit, 3.0 * unit, -0.0, 4.0 * unit];
            Loss::Softmax.to_targets(&mut targets);
            assert_eq!(targets, [0.125, 0.375, 0.0, 0.5]);
        }
    }

    #[test]
    fn a_row_whose_grades_are_zero_contributes_nothing_to_a_softmax() {
        let kernels = Kernels::available().last().unwrap();
        for loss in [Loss::Softmax, Loss::SoftmaxPerLabel] {
            let (mut logits, mut targets) = ([1.0, 2.0], [0.0]);
            loss.to_targets(&mut targets);
            assert_eq!(loss.backward(&kernels, &mut logits, &targets, (1.0, 1.0)), 0.0);
            assert_eq!(logits, [0.0, 0.0]);
        }
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let kernels = Kernels::available().last().unwrap();
        for loss in [Loss::Softmax, Loss::Sigmoid] {
            let mut logits = [1e4, -1e4, 1e4];
            let value = loss.backward(&kernels, &mut logits, &[1.0], (1.0, 1.0));
            let wanted = if loss == Loss::Softmax { 2_f64.ln() } else { 1e4 };
            assert!((value - wanted).abs() < 1e-6);
            assert!(logits.iter().all(|x| x.is_finite()));
        }
    }
}
