//! Losses over the active set: from logits to the gradient with respect to them.

use crate::config::Loss;
use crate::simd::Kernels;

impl Loss {
    /// The target of each of `labels` labels.
    #[must_use]
    pub fn target(self, labels: usize) -> f32 {
        match self {
            Self::Softmax => 1.0 / labels.max(1) as f32,
            _ => 1.0,
        }
    }

    /// Turns the logits of one sample into its deltas and returns its loss.
    ///
    /// The first `labels` logits are those of its labels. With targets `y` and `p` the softmax of
    /// the logits `a`, the loss is `-sum y log p` and the delta `p sum y - y`, times `scale`. A
    /// row without labels has no loss and no deltas.
    pub fn backward(self, kernels: &Kernels, logits: &mut [f32], labels: usize, scale: f32) -> f64 {
        if labels == 0 {
            logits.fill(0.0);
            return 0.0;
        }
        let target = self.target(labels);
        let weight = target * labels as f32;
        let max = (kernels.max)(logits);
        let of_labels: f64 = logits[..labels].iter().map(|&a| f64::from(a - max)).sum();
        let sum = (kernels.exp_sum)(max, logits);
        (kernels.scale)(scale * weight / sum, logits);
        for delta in &mut logits[..labels] {
            *delta -= scale * target;
        }
        f64::from(weight) * f64::from(sum).ln() - f64::from(target) * of_labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loss in f64, straight from its definition.
    fn oracle(loss: Loss, logits: &[f64], labels: usize) -> f64 {
        let target = f64::from(loss.target(labels));
        let sum: f64 = logits.iter().map(|a| a.exp()).sum();
        logits[..labels].iter().map(|a| -target * (a.exp() / sum).ln()).sum()
    }

    #[test]
    fn deltas_are_the_derivatives_of_the_loss() {
        let logits = [0.3_f32, -1.2, 2.5, 0.0, 1.1, -0.4, 0.9];
        for kernels in Kernels::available() {
            for loss in [Loss::Softmax, Loss::SoftmaxPerLabel] {
                for labels in 1..=3 {
                    let wide = logits.map(f64::from);
                    let mut deltas = logits;
                    let value = loss.backward(&kernels, &mut deltas, labels, 0.5);
                    // A few roundings of numbers below ten.
                    assert!((value - oracle(loss, &wide, labels)).abs() < 1e-5);
                    for i in 0..logits.len() {
                        let step = |h: f64| {
                            let mut moved = wide;
                            moved[i] += h;
                            oracle(loss, &moved, labels)
                        };
                        let slope = (step(1e-5) - step(-1e-5)) / 2e-5;
                        assert!((f64::from(deltas[i]) - 0.5 * slope).abs() < 1e-6);
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_without_labels_contributes_nothing() {
        let kernels = Kernels::available().last().unwrap();
        let mut logits = [1.0, 2.0];
        assert_eq!(Loss::Softmax.backward(&kernels, &mut logits, 0, 1.0), 0.0);
        assert_eq!(logits, [0.0, 0.0]);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let kernels = Kernels::available().last().unwrap();
        let mut logits = [1e4, -1e4, 1e4];
        let loss = Loss::Softmax.backward(&kernels, &mut logits, 1, 1.0);
        assert!((loss - 2_f64.ln()).abs() < 1e-6);
        assert!(logits.iter().all(|x| x.is_finite()));
    }
}
