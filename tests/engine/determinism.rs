//! The same bits at any number of threads, and after a model was saved and loaded.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use crate::common::{self, Data, bits, features, targets, with_threads};
use slide_rs::config::{Activation, HiddenConfig, NetworkConfig, SamplerConfig};
use slide_rs::{Mode, Network};

fn data() -> Data {
    Data::graded(100, 50, 150)
}

/// Networks with dense and sampled hidden layers, with every way of sampling.
fn stacks() -> Vec<(&'static str, NetworkConfig)> {
    let data = data();
    let dense = || common::dense(20, Activation::Tanh, 4.0);
    let sampled = |units, sampler| common::sampled(units, sampler, Activation::Relu, (4.0, true));
    let (lsh, uniform) = (|| common::lsh_alone(30), || common::uniform(40));
    let mut dropping = dense();
    if let HiddenConfig::Dense(layer) = &mut dropping {
        layer.dropout = 0.1;
    }
    let all: Vec<(_, Vec<_>, _)> = vec![
        ("dense, lsh", vec![dropping], common::lsh(60)),
        ("dense, uniform", vec![dense()], uniform()),
        ("dense, shared", vec![dense()], common::shared_uniform(40)),
        ("sampled, shared", vec![sampled(120, common::shared_uniform(40))], lsh()),
        ("dense, full", vec![dense()], SamplerConfig::Full {}),
        ("sampled", vec![sampled(120, lsh())], lsh()),
        ("sampled twice", vec![sampled(120, uniform()), sampled(90, lsh())], lsh()),
        ("dense between", vec![sampled(120, lsh()), dense(), sampled(90, lsh())], uniform()),
        ("dense last", vec![sampled(120, uniform()), dense()], SamplerConfig::Full {}),
    ];
    let with_dropout = |(name, hidden, sampler)| {
        let mut config = common::stack(&data, hidden, sampler);
        config.input.dropout = Some(0.2);
        (name, config)
    };
    let mut stacks: Vec<_> = all.into_iter().map(with_dropout).collect();
    let light = [("light, lsh", stacks[0].1.clone()), ("light, sampled", stacks[5].1.clone())];
    stacks.extend(light.map(|(name, config)| (name, common::lightest(config))));
    stacks
}

/// The best three labels of every row, in every mode that the network knows.
fn predictions(network: &mut Network, data: &Data) -> Vec<(Vec<i32>, Vec<u32>)> {
    let modes = [Mode::Exact, Mode::Lsh];
    let known = if network.output().sampler().index().is_some() { 2 } else { 1 };
    let of_mode = |&mode: &Mode| {
        let (ids, scores) = network.predict(&features(data), (3, mode), || true).unwrap();
        (ids, scores.into_iter().map(f32::to_bits).collect())
    };
    modes[..known].iter().map(of_mode).collect()
}

#[test]
fn training_and_prediction_are_bitwise_the_same_at_any_number_of_threads() {
    let data = data();
    for (name, config) in stacks() {
        let run = |threads| {
            let config = config.clone();
            with_threads(threads, || {
                let mut network = Network::new(config).unwrap();
                let options = common::epoch(37);
                let report =
                    network.train_epoch(&features(&data), &targets(&data), options, |_| true);
                let loss = report.unwrap().loss.to_bits();
                (loss, bits(&network), predictions(&mut network, &data))
            })
        };
        let one = run(1);
        for threads in [2, 4] {
            assert!(run(threads) == one, "{name} at {threads} threads");
        }
    }
}

#[test]
fn a_loaded_network_goes_on_with_the_same_bits() {
    let data = data();
    let path = std::env::temp_dir().join(format!("slide_rs-{}.safetensors", std::process::id()));
    for (name, config) in stacks() {
        let three = |network: &mut Network| {
            for _ in 0..3 {
                network.train_batch(&features(&data), &targets(&data), &data.rows()).unwrap();
            }
        };
        let mut network = Network::new(config).unwrap();
        // Rows are inserted again after every third step, as they are in a loaded network: only
        // then do both have the tables of the same weights.
        three(&mut network);
        slide_rs::io::model::save(&mut network, &path, true).unwrap();
        let mut loaded = slide_rs::io::model::load(&path).unwrap();
        let (wanted, got) = (predictions(&mut network, &data), predictions(&mut loaded, &data));
        assert!(got == wanted, "{name}: predictions");
        three(&mut network);
        three(&mut loaded);
        assert!(bits(&loaded) == bits(&network), "{name}: weights");
        assert_eq!(loaded.counters(), network.counters(), "{name}");
    }
    std::fs::remove_file(&path).unwrap();
}
