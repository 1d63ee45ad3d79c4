//! "All neurons active" against a dense network in f64: loss, every gradient, ten steps.
//!
//! The reference computes with nothing but loops, from the formulas, in f64. Gradients of the
//! engine are read off a step of plain gradient descent with learning rate 1; those of the
//! reference are checked against central differences of its own loss.

mod common;

use common::reference::{Reference, relative_error};
use common::{Data, config, features, labels, with_threads};
use slide_rs::Network;
use slide_rs::config::{Activation, Loss, NetworkConfig, OptimizerConfig, SamplerConfig};

/// Every combination that the reference covers: activations, norms, losses, depth, both ways of
/// computing all neurons.
fn cases() -> Vec<(String, NetworkConfig)> {
    let mut cases = vec![];
    for activation in [Activation::Linear, Activation::Relu, Activation::Tanh] {
        for norm in [0.0, 3.0] {
            for loss in [Loss::Softmax, Loss::SoftmaxPerLabel] {
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
fn the_gradients_of_the_reference_are_central_differences_of_its_loss() {
    let data = Data::small();
    for (name, config) in cases().into_iter().filter(|(name, _)| name.ends_with("false")) {
        let network = Network::new(config).unwrap();
        let mut reference = Reference::of(&network);
        // The row without features stands at the biases, and at zero neither the direction of a
        // vector nor the slope of a rectifier is defined.
        for (i, bias) in reference.params.iter_mut().skip(1).step_by(2).flatten().enumerate() {
            *bias = 0.1 + 0.02 * i as f64;
        }
        let (_, gradients) = reference.loss_and_gradients(&data);
        for (p, gradient) in gradients.iter().enumerate() {
            for i in (0..gradient.len()).step_by(7) {
                let at = |h: f64| {
                    let mut moved = reference.clone();
                    moved.params[p][i] += h;
                    moved.loss_and_gradients(&data).0
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                // The gradient is of the mean over all 42 rows, the loss the mean over the 41 with
                // labels. Error of central differences: h^2 times the third derivative, which is
                // of order 1.
                let slope = slope * 41.0 / 42.0;
                assert!((gradient[i] - slope).abs() < 1e-7, "{name}: {} {slope}", gradient[i]);
            }
        }
    }
}

#[test]
fn loss_and_every_gradient_equal_the_reference() {
    let data = Data::small();
    for (name, mut config) in cases() {
        config.optimizer = OptimizerConfig::Sgd { lr: Some(1.0) };
        let mut network = Network::new(config).unwrap();
        let mut reference = Reference::of(&network);
        let (loss, gradients) = reference.loss_and_gradients(&data);
        let before = reference.params.clone();
        let report = network.train_batch(&features(&data), &labels(&data), &data.rows()).unwrap();
        // Sums of up to 40 products in f32, carried through three layers.
        assert!((report.loss - loss).abs() < 1e-5 * loss.abs().max(1.0), "{name}: {loss}");
        reference = Reference::of(&network);
        for ((before, after), gradient) in before.iter().zip(&reference.params).zip(&gradients) {
            let got: Vec<f64> = before.iter().zip(after).map(|(b, a)| b - a).collect();
            let error = relative_error(&got, gradient);
            // The same sums, where positive and negative terms cancel to a tenth or less.
            assert!(error < 1e-4, "{name}: relative error of a gradient {error}");
        }
    }
}

#[test]
fn ten_steps_of_adam_equal_the_reference() {
    let data = Data::small();
    for (name, config) in cases() {
        let mut network = Network::new(config.clone()).unwrap();
        let mut reference = Reference::of(&network);
        let before = reference.params.clone();
        for step in 1..=10 {
            let report =
                network.train_batch(&features(&data), &labels(&data), &data.rows()).unwrap();
            let loss = reference.adam_step(&data, f64::from(report.lr), step);
            assert!((report.loss - loss).abs() < 1e-4 * loss.abs().max(1.0), "{name} step {step}");
        }
        let after = Reference::of(&network);
        for ((before, got), wanted) in before.iter().zip(&after.params).zip(&reference.params) {
            let moved = |after: &[f64]| -> Vec<f64> {
                after.iter().zip(before).map(|(after, before)| after - before).collect()
            };
            // Adam divides by the root of the second moment, so an entry whose gradient is nothing
            // but rounding moves by up to a learning rate a step, either way: one such entry among
            // the 420 weights of the output layer is worth 1 / sqrt(420).
            let error = relative_error(&moved(got), &moved(wanted));
            assert!(error < 0.05, "{name}: relative error of the moves {error}");
        }
    }
}

#[test]
fn computing_all_by_products_equals_computing_all_by_active_sets() {
    let data = Data::small();
    let losses = |sampled| {
        let mut network = Network::new(config(&[6], Activation::Linear, 3.0, sampled)).unwrap();
        (0..10)
            .map(|_| {
                network.train_batch(&features(&data), &labels(&data), &data.rows()).unwrap().loss
            })
            .collect::<Vec<_>>()
    };
    for (full, sampled) in losses(false).into_iter().zip(losses(true)) {
        assert!((full - sampled).abs() < 1e-5, "{full} against {sampled}");
    }
}

#[test]
fn training_is_bitwise_the_same_at_any_number_of_threads() {
    let data = Data::random(300, 50, 400, 5);
    for sampler in ["lsh", "uniform", "full"] {
        let weights = |threads| {
            with_threads(threads, || {
                let mut config = common::plain(50, 20, 400);
                config.input.dropout = Some(0.2);
                config.hidden[0].dropout = 0.1;
                config.output.sampler = match sampler {
                    "lsh" => common::lsh(60),
                    "uniform" => SamplerConfig::Uniform { n_active: Some(60), log_q: true },
                    _ => SamplerConfig::Full {},
                };
                let mut network = Network::new(config).unwrap();
                let options = common::epoch(37);
                for _ in 0..2 {
                    let (x, y) = (features(&data), labels(&data));
                    network.train_epoch(&x, &y, options, |_| true).unwrap();
                }
                let (ids, _) =
                    network.predict(&features(&data), (3, slide_rs::Mode::Exact), || true).unwrap();
                let weights: Vec<Vec<u32>> = network
                    .params()
                    .iter()
                    .map(|(_, p)| p.weights().to_vec().into_iter().map(f32::to_bits).collect())
                    .collect();
                (weights, ids)
            })
        };
        let one = weights(1);
        for threads in [2, 3, 8] {
            assert!(weights(threads) == one, "{sampler} at {threads} threads");
        }
    }
}
