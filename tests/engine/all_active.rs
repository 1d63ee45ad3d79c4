//! "All neurons active" against a dense network in f64: loss, every gradient, ten steps.
//!
//! All neurons are computed in two ways, by active sets that hold them all and by blocked
//! products; both must be the dense network.

use crate::common::reference::{Reference, assert_step, distance};
use crate::common::{Data, config, features, gradient_descent, move_biases, targets};
use slide_rs::Network;
use slide_rs::config::{Activation, Loss, NetworkConfig};

/// Activations, norms, depths and losses, each in both ways of computing all neurons.
fn cases(losses: &[Loss]) -> Vec<(String, NetworkConfig)> {
    let mut cases = vec![];
    for activation in [Activation::Linear, Activation::Relu, Activation::Tanh] {
        for norm in [0.0, 3.0] {
            for &loss in losses {
                for depth in [1, 2] {
                    for sampled in [false, true] {
                        let mut config = config(&vec![6; depth], activation, norm, sampled);
                        config.loss = loss;
                        let name = format!(
                            "{activation:?} norm {norm} {loss:?} depth {depth} sampled {sampled}"
                        );
                        cases.push((name, config));
                    }
                }
            }
        }
    }
    cases
}

#[test]
fn loss_and_every_gradient_equal_the_reference() {
    let data = Data::graded(18, 30, 70);
    for (name, mut config) in cases(&Loss::ALL) {
        config.optimizer = gradient_descent();
        let mut network = Network::new(config).unwrap();
        move_biases(&mut network);
        let before = Reference::of(&network);
        let report = network.train_batch(&features(&data), &targets(&data), &data.rows()).unwrap();
        let (active, after) = (before.all_active(&data), Reference::of(&network));
        assert_step(&name, &data, &active, (&before, &after), report.loss);
    }
}

/// Adam on a reference with all neurons active.
struct Adam {
    network: Reference,
    moments: Vec<[Vec<f64>; 2]>,
}

impl Adam {
    fn new(network: Reference) -> Self {
        let zeros = |p: &Vec<f64>| [vec![0.0; p.len()], vec![0.0; p.len()]];
        Self { moments: network.params.iter().map(zeros).collect(), network }
    }

    /// Step `t`, counted from 1; the row of a feature that no sample has rests, as in the engine.
    fn step(&mut self, data: &Data, lr: f64, t: i32) -> f64 {
        let (value, gradients) = self.network.batch(data, &self.network.all_active(data));
        let (beta1, beta2, eps) = (f64::from(0.9_f32), f64::from(0.999_f32), f64::from(1e-8_f32));
        let mut touched = vec![false; data.n_features];
        for &id in &data.x.1 {
            touched[id as usize] = true;
        }
        let units = self.network.params[0].len() / data.n_features;
        for (p, gradient) in gradients.iter().enumerate() {
            for (i, &g) in gradient.iter().enumerate() {
                if p == 0 && !touched[i / units] {
                    continue;
                }
                let [m, v] = &mut self.moments[p];
                m[i] = beta1 * m[i] + (1.0 - beta1) * g;
                v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                let unbiased = (m[i] / (1.0 - beta1.powi(t)), v[i] / (1.0 - beta2.powi(t)));
                self.network.params[p][i] -= lr * unbiased.0 / (unbiased.1.sqrt() + eps);
            }
        }
        value.loss
    }
}

#[test]
fn ten_steps_of_adam_equal_the_reference() {
    let data = Data::small();
    for (name, config) in cases(&[Loss::Softmax, Loss::SoftmaxPerLabel]) {
        let mut network = Network::new(config).unwrap();
        // A row without features is scaled to the norm of the layer from biases alone; near zero
        // the least difference would change its direction.
        move_biases(&mut network);
        let mut reference = Adam::new(Reference::of(&network));
        let before = reference.network.params.clone();
        for step in 1..=10 {
            let report =
                network.train_batch(&features(&data), &targets(&data), &data.rows()).unwrap();
            let loss = reference.step(&data, f64::from(report.lr), step);
            assert!((report.loss - loss).abs() < 1e-4 * loss.abs().max(1.0), "{name} step {step}");
        }
        let after = Reference::of(&network);
        for ((before, got), wanted) in
            before.iter().zip(&after.params).zip(&reference.network.params)
        {
            // Adam divides by the root of the second moment, so an entry whose gradient is nothing
            // but rounding moves by up to a learning rate a step, either way: one such entry among
            // the 420 weights of the output layer is worth 1 / sqrt(420).
            let error = distance(got, wanted) / distance(wanted, before);
            assert!(error < 0.05, "{name}: relative error of the moves {error}");
        }
    }
}

#[test]
fn computing_all_by_products_equals_computing_all_by_active_sets() {
    let data = Data::graded(18, 30, 70);
    for loss in Loss::ALL {
        let losses = |sampled| {
            let mut config = config(&[6], Activation::Linear, 3.0, sampled);
            config.loss = loss;
            let mut network = Network::new(config).unwrap();
            let step = |_| {
                network.train_batch(&features(&data), &targets(&data), &data.rows()).unwrap().loss
            };
            (0..10).map(step).collect::<Vec<_>>()
        };
        for (full, sampled) in losses(false).into_iter().zip(losses(true)) {
            // Roundings of the same sums in another order, through ten steps of Adam.
            let error = (full - sampled).abs();
            assert!(error < 1e-5 * full.max(1.0), "{loss:?}: {full} against {sampled}");
        }
    }
}
