//! How a step changes a network: racing or not, and whether looking at it matters.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use crate::common::{self, Data, bits, features, targets, with_threads};
use slide_rs::config::{
    Activation, AdamMode, Dtype, LshConfig, NetworkConfig, OptimizerConfig, SamplerConfig,
    SecondMoment, Strategy, UpdateMode,
};
use slide_rs::{Mode, Network};

fn data() -> Data {
    Data::graded(100, 50, 150)
}

/// One hidden layer of each kind before an output layer with tables.
fn stacks(data: &Data) -> [NetworkConfig; 2] {
    let lsh = || common::lsh_alone(30);
    let sampled = common::sampled(120, lsh(), Activation::Tanh, (4.0, true));
    let dense = common::dense(20, Activation::Tanh, 4.0);
    [vec![sampled], vec![dense]].map(|hidden| common::stack(data, hidden, lsh()))
}

/// The weights after some steps, with `look` after each.
fn train(config: NetworkConfig, data: &Data, look: impl Fn(&mut Network)) -> Network {
    let mut network = Network::new(config).unwrap();
    for rows in data.rows().chunks(17) {
        network.train_batch(&features(data), &targets(data), rows).unwrap();
        look(&mut network);
    }
    network
}

fn floats(network: &Network) -> Vec<f64> {
    network.params().iter().flat_map(|(_, p)| p.weights().to_vec()).map(f64::from).collect()
}

#[test]
fn one_thread_that_races_with_nobody_changes_what_sharded_steps_change() {
    // Every row has labels: a racing step does not see entries whose gradient is exactly zero.
    let data = Data::random(100, 50, 150, 3);
    for config in stacks(&data) {
        for momentum in [0.0, 0.9] {
            let run = |update, lr| {
                let sgd = OptimizerConfig::Sgd { lr: Some(lr), momentum, nesterov: false };
                let config = NetworkConfig { update, optimizer: sgd, ..config.clone() };
                with_threads(1, || floats(&train(config, &data, |_| {})))
            };
            let [start, sharded, racing] = [
                run(UpdateMode::Sharded, 1e-30),
                run(UpdateMode::Sharded, 0.1),
                run(UpdateMode::Hogwild, 0.1),
            ];
            let norm = |x: Vec<f64>| x.iter().map(|x| x * x).sum::<f64>().sqrt();
            let apart = norm(racing.iter().zip(&sharded).map(|(a, b)| a - b).collect());
            let way = norm(start.iter().zip(&sharded).map(|(a, b)| a - b).collect());
            // Sums are rounded in another order: a few units in the last place of each step.
            assert!(apart < 1e-4 * way, "{apart} of {way}, momentum {momentum}");
        }
    }
}

#[test]
fn looking_at_a_network_does_not_change_its_training() {
    let data = data();
    let adam = |weight_decay, mode| OptimizerConfig::Adam {
        lr: Some(0.02),
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay,
        mode,
        second_moment: Some(SecondMoment::Entry),
        moments: Some(Dtype::F32),
    };
    for optimizer in [
        adam(0.0, AdamMode::Lazy),
        adam(0.0, AdamMode::CatchUp),
        adam(1.0, AdamMode::Lazy),
        adam(0.0, AdamMode::Dense),
    ] {
        for config in stacks(&data) {
            let config = NetworkConfig { optimizer: optimizer.clone(), ..config };
            let look = |network: &mut Network| {
                network.predict(&features(&data), (3, Mode::Exact), || true).unwrap();
                network.recall_at_k(&features(&data), (2, None), || true).unwrap();
                network.scores(&features(&data), || true).unwrap();
            };
            let unseen = train(config.clone(), &data, |_| {});
            assert_eq!(bits(&train(config, &data, look)), bits(&unseen), "{optimizer:?}");
        }
    }
}

#[test]
fn ranks_of_other_tables_leave_the_network_as_it_was() {
    let data = data();
    for config in stacks(&data) {
        let mut network = train(config, &data, |_| {});
        // The tables that stand in for those of the network must be given back.
        let found = |network: &mut Network| {
            network.predict(&features(&data), (3, Mode::Lsh), || true).unwrap()
        };
        let before = (bits(&network), found(&mut network));
        let tables = LshConfig::open().tables;
        let ranks = network.ranks(&tables, (&features(&data), None), || true).unwrap();
        assert_eq!(ranks.len(), data.rows().len());
        assert!(ranks.contains(&1));
        assert_eq!((bits(&network), found(&mut network)), before);
    }
}

#[test]
fn settings_that_do_not_go_with_those_left_open_are_refused_at_once() {
    let data = data();
    let [config, _] = stacks(&data);
    let strategy = Strategy::Threshold { min_count: 200 };
    let sampler = SamplerConfig::Lsh(LshConfig { strategy, ..LshConfig::open() });
    let output = slide_rs::config::OutputConfig { sampler, ..config.output.clone() };
    let refused = Network::new(NetworkConfig { output, ..config }).unwrap_err().to_string();
    assert!(refused.starts_with("sampler.min_count is 200"), "{refused}");
}

#[test]
fn a_factor_of_a_half_is_the_rate_halved_and_no_factor_is_refused() {
    let data = Data::random(100, 50, 150, 3);
    let [config, _] = stacks(&data);
    let run = |lr, factor| {
        let sgd = OptimizerConfig::Sgd { lr: Some(lr), momentum: 0.9, nesterov: false };
        let mut network = Network::new(NetworkConfig { optimizer: sgd, ..config.clone() }).unwrap();
        network.set_rate_factor(factor).unwrap();
        for rows in data.rows().chunks(17) {
            network.train_batch(&features(&data), &targets(&data), rows).unwrap();
        }
        network
    };
    // Halving a float is exact.
    assert_eq!(bits(&run(0.1, 0.5)), bits(&run(0.05, 1.0)));
    for wrong in [-0.5, f32::NAN, f32::INFINITY] {
        assert!(run(0.1, 1.0).set_rate_factor(wrong).is_err());
    }
}
