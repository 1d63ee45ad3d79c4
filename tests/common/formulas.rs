//! Activations and losses in f64, from their formulas: value and derivative, and the side of the
//! kink on which they were taken.

use slide_rs::config::{Activation, Loss};

/// Value and derivative of an activation.
pub fn activation(kind: Activation, z: f64) -> (f64, f64) {
    match kind {
        Activation::Linear => (z, 1.0),
        Activation::Relu => (z.max(0.0), if z > 0.0 { 1.0 } else { 0.0 }),
        Activation::Tanh => (z.tanh(), 1.0 / z.cosh().powi(2)),
        Activation::Sigmoid => (1.0 / (1.0 + (-z).exp()), 0.25 / (z / 2.0).cosh().powi(2)),
        Activation::LeakyRelu => {
            if z > 0.0 {
                (z, 1.0)
            } else {
                (0.01 * z, 0.01)
            }
        }
        Activation::Gelu => {
            let below = 0.5 * (1.0 + erf(z / 2_f64.sqrt()));
            let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
            (z * below, below + z * density)
        }
    }
}

/// Whether `z` lies above the kink of an activation that has one.
pub fn side_of_activation(kind: Activation, z: f64) -> Option<bool> {
    matches!(kind, Activation::Relu | Activation::LeakyRelu).then_some(z > 0.0)
}

/// `2 / sqrt(pi) exp(-x^2) sum 2^n x^(2n+1) / (1 3 5 ... (2n+1))`; no term cancels another.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (x, 0.0, 1.0);
    while sum + term != sum {
        sum += term;
        odd += 2.0;
        term *= 2.0 * x * x / odd;
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

/// The loss of one sample and its derivative by each logit; `targets` are those of the same
/// neurons, `None` where one is no label.
pub fn loss(kind: Loss, logits: &[f64], targets: &[Option<f64>]) -> (f64, Vec<f64>) {
    let pairs = logits.iter().copied().zip(targets.iter().copied());
    let y = |target: Option<f64>| target.unwrap_or(0.0);
    let parts: Vec<(f64, f64)> = match kind {
        Loss::Softmax | Loss::SoftmaxPerLabel => {
            let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|a| (a - max).exp()).sum();
            let mass: f64 = targets.iter().copied().map(y).sum();
            let part = |(a, target): (f64, _)| {
                let log_p = a - max - sum.ln();
                (-y(target) * log_p, mass * log_p.exp() - y(target))
            };
            pairs.map(part).collect()
        }
        Loss::Sigmoid => {
            let part = |(a, target): (f64, _)| {
                (a.exp().ln_1p() - y(target) * a, 1.0 / (1.0 + (-a).exp()) - y(target))
            };
            pairs.map(part).collect()
        }
        Loss::Squared => {
            pairs.map(|(a, target)| ((a - y(target)).powi(2) / 2.0, a - y(target))).collect()
        }
        Loss::Hinge => {
            let part = |(a, target)| {
                let (weight, sign, missing) = margin(a, target);
                (weight * missing.max(0.0), if missing > 0.0 { -weight * sign } else { 0.0 })
            };
            pairs.map(part).collect()
        }
        Loss::SquaredHinge => {
            let part = |(a, target)| {
                let (weight, sign, missing) = margin(a, target);
                let missing = missing.max(0.0);
                (weight * missing * missing, -2.0 * weight * sign * missing)
            };
            pairs.map(part).collect()
        }
    };
    (parts.iter().map(|part| part.0).sum(), parts.iter().map(|part| part.1).collect())
}

/// Whether a logit falls short of its margin, for a loss that has one.
pub fn side_of_loss(kind: Loss, a: f64, target: Option<f64>) -> Option<bool> {
    matches!(kind, Loss::Hinge | Loss::SquaredHinge).then_some(margin(a, target).2 > 0.0)
}

/// Weight and sign of a neuron, and what is missing to its margin: `1 - s a`.
fn margin(a: f64, target: Option<f64>) -> (f64, f64, f64) {
    target.map_or((1.0, -1.0, 1.0 + a), |y| (y, 1.0, 1.0 - a))
}
