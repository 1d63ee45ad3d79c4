//! Loss and every gradient of networks with any number of sampled layers.
//!
//! The engine takes one step of plain gradient descent at learning rate 1: the change of the
//! weights is minus the gradient. A network in f64 with the active sets that the engine chose
//! must have the same loss and gradients, and its gradients must be central differences of its
//! loss with those sets held fixed.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use crate::common::reference::{Active, Reference, Value, assert_step, last_active};
use crate::common::{self, Data, features, gradient_descent, move_biases, targets};
use slide_rs::Network;
use slide_rs::config::{Activation, HiddenConfig, Loss, NetworkConfig, SamplerConfig};
use slide_rs::rng::{Rng, Stream};

/// Hidden layers, dense and sampled; the output layer is one more sampled layer.
const STACKS: [&str; 8] = ["", "S", "SS", "D", "DS", "DSS", "SD", "SDS"];

const UNITS: usize = 12;
const LABELS: usize = 20;
/// Neurons that are computed in a sampled hidden layer, and in the output layer.
const ACTIVE: [usize; 2] = [5, 8];

fn data() -> Data {
    Data::graded(15, 14, LABELS)
}

/// Every activation, loss and stack, with and without norms and biases; samplers take turns.
fn cases() -> Vec<(String, NetworkConfig)> {
    let (data, mut cases) = (data(), vec![]);
    for activation in Activation::ALL {
        for loss in Loss::ALL {
            for stack in STACKS {
                for (norm, bias) in [(0.0, true), (1.5, true), (0.0, false), (1.5, false)] {
                    let sampler = |turn: usize, n| match (cases.len() + turn) % 5 {
                        0 => SamplerConfig::Uniform {
                            n_active: Some(n),
                            log_q: false,
                            shared_negatives: false,
                        },
                        1 => common::uniform(n),
                        2 => SamplerConfig::Full {},
                        _ => common::lsh_alone(n),
                    };
                    let layer = |(turn, kind)| {
                        if kind == 'D' {
                            return common::dense(6, activation, norm);
                        }
                        let sampler = sampler(turn, ACTIVE[0]);
                        common::sampled(UNITS + turn, sampler, activation, (norm, bias))
                    };
                    let hidden = stack.chars().enumerate().map(layer).collect();
                    let mut config = common::stack(&data, hidden, sampler(0, ACTIVE[1]));
                    config.seed = cases.len() as u64;
                    config.loss = loss;
                    config.output.bias = bias;
                    config.optimizer = gradient_descent();
                    let name = format!("{activation:?} {loss:?} {stack:?} norm {norm} bias {bias}");
                    cases.push((name, config));
                }
            }
        }
    }
    cases
}

/// The networks before and after one step of the engine, its active sets, and its loss.
fn step(config: NetworkConfig, data: &Data) -> (Reference, Reference, Vec<Active>, f64) {
    let mut network = Network::new(config).unwrap();
    move_biases(&mut network);
    let before = Reference::of(&network);
    let report = network.train_batch(&features(data), &targets(data), &data.rows()).unwrap();
    (before, Reference::of(&network), last_active(&network, data), report.loss)
}

#[test]
fn loss_and_every_gradient_equal_the_reference() {
    let data = data();
    for (name, config) in cases() {
        let (before, after, active, loss) = step(config, &data);
        assert_step(&name, &data, &active, (&before, &after), loss);
    }
}

#[test]
fn the_gradients_of_the_reference_are_central_differences_of_its_loss() {
    let data = data();
    for (name, config) in cases() {
        let (reference, _, active, _) = step(config, &data);
        let (Value { sides, .. }, gradients) = reference.batch(&data, &active);
        for (p, gradient) in gradients.iter().enumerate() {
            let difference = |attempt: u64| {
                let h = 1e-5 / 4_f64.powi(attempt as i32);
                let direction = direction(gradient.len(), p as u64, attempt);
                let at = |h: f64| {
                    let mut moved = reference.clone();
                    for (w, d) in moved.params[p].iter_mut().zip(&direction) {
                        *w += h * d;
                    }
                    let value = moved.value(&data, &active);
                    // The loss is smooth only between kinks: no step may cross one.
                    (value.sides == sides).then_some(value.objective)
                };
                let slope = (at(h)? - at(-h)?) / (2.0 * h);
                let along: f64 = direction.iter().zip(gradient).map(|(d, g)| d * g).sum();
                // A direction of length 1 moves a logit by a few units a step at most, so third
                // derivatives are below ten thousand; and a loss below fifty is rounded twice.
                Some(((along - slope).abs(), 1e4 * h * h / 6.0 + 50.0 * f64::EPSILON / h))
            };
            let found = (0..5).find_map(difference);
            let (error, bound) = found.unwrap_or_else(|| panic!("{name}: a kink at parameter {p}"));
            assert!(error < bound, "{name}: parameter {p}: {error} above {bound}");
        }
    }
}

/// A random direction of length 1 to which every entry adds alike.
fn direction(n: usize, p: u64, attempt: u64) -> Vec<f64> {
    let mut rng = Rng::new(attempt, Stream::Probe, 2, p);
    let size = 1.0 / (n as f64).sqrt();
    std::iter::repeat_with(|| if rng.below(2) == 0 { size } else { -size }).take(n).collect()
}

#[test]
fn sampled_layers_compute_few_distinct_neurons_and_labels_first() {
    let data = data();
    for (name, config) in cases().into_iter().step_by(7) {
        let (hidden, output) = (config.hidden.clone(), config.output.sampler.clone());
        let (_, _, active, _) = step(config, &data);
        for (row, active) in active.iter().enumerate() {
            for (layer, active) in hidden.iter().zip(active) {
                let few = match layer {
                    HiddenConfig::Sampled(l) if l.sampler != SamplerConfig::Full {} => ACTIVE[0],
                    _ => layer.units(),
                };
                assert_eq!(active.len(), few, "{name}: row {row}");
                assert!(active.is_sorted_by(|a, b| a < b), "{name}: row {row}");
            }
            let (first, last) = (data.y.0[row] as usize, data.y.0[row + 1] as usize);
            let mut labels: Vec<usize> =
                data.y.1[first..last].iter().map(|&y| y as usize).collect();
            labels.sort_unstable();
            labels.dedup();
            let of_output = active.last().unwrap();
            if output != (SamplerConfig::Full {}) {
                let wanted = if labels.is_empty() { 0 } else { ACTIVE[1] };
                assert_eq!(of_output.len(), wanted, "{name}: row {row}");
                assert_eq!(of_output[..labels.len()], labels, "{name}: row {row}");
            }
        }
    }
}
