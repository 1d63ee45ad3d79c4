//! A network that is loaded from a checkpoint, anywhere in an epoch, goes on with the same bits, and
//! so does the one that the checkpoint was taken of.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::path::PathBuf;

use crate::common::{self, Data, bits, features, targets};
use slide_rs::config::{
    Activation, AdamMode, HiddenConfig, NetworkConfig, OptimizerConfig, SamplerConfig,
};
use slide_rs::io::model;
use slide_rs::{Cursor, EpochReport, Error, Network};

fn data() -> Data {
    Data::graded(100, 50, 150)
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("slide_rs-{name}-{}.safetensors", std::process::id()))
}

/// Dropout in the features and in the hidden layer, two layers with tables.
fn stack(change: impl FnOnce(&mut NetworkConfig)) -> NetworkConfig {
    let mut hidden = common::dense(20, Activation::Tanh, 4.0);
    if let HiddenConfig::Dense(layer) = &mut hidden {
        layer.dropout = 0.1;
    }
    let sampled = common::sampled(120, common::lsh_alone(30), Activation::Relu, (4.0, true));
    let mut config = common::stack(&data(), vec![hidden, sampled], common::lsh(60));
    config.input.dropout = Some(0.2);
    change(&mut config);
    config
}

fn adam_with(decay: f32, how: AdamMode) -> impl Fn(&mut NetworkConfig) {
    move |config| {
        if let OptimizerConfig::Adam { weight_decay, mode, .. } = &mut config.optimizer {
            (*weight_decay, *mode) = (decay, how);
        }
    }
}

fn with_tables(change: impl Fn(&mut slide_rs::config::LshConfig)) -> impl Fn(&mut NetworkConfig) {
    move |config| {
        if let SamplerConfig::Lsh(lsh) = &mut config.output.sampler {
            change(lsh);
        }
    }
}

/// Whatever makes rows wait: for decay, for their moments, for their buckets.
fn stacks() -> Vec<(&'static str, NetworkConfig)> {
    let momentum = OptimizerConfig::Sgd { lr: Some(0.1), momentum: 0.9, nesterov: true };
    let adagrad = OptimizerConfig::Adagrad { lr: Some(0.1), eps: 1e-8 };
    vec![
        ("adam", stack(|_| {})),
        ("weight decay", stack(adam_with(0.1, AdamMode::Lazy))),
        ("catch up", stack(adam_with(0.0, AdamMode::CatchUp))),
        ("both", stack(adam_with(0.1, AdamMode::CatchUp))),
        ("dense", stack(adam_with(0.1, AdamMode::Dense))),
        ("momentum", stack(|config| config.optimizer = momentum)),
        ("adagrad", stack(|config| config.optimizer = adagrad)),
        ("halves", common::lightest(stack(adam_with(0.1, AdamMode::CatchUp)))),
        ("redraw", stack(with_tables(|lsh| lsh.rebuild.redraw = Some(2)))),
        ("drift", stack(with_tables(|lsh| lsh.rebuild.drift = Some(0.02)))),
        ("centred", stack(with_tables(|lsh| (lsh.tables.center, lsh.tables.mips) = (true, true)))),
        ("all", stack(|config| config.output.sampler = SamplerConfig::Full {})),
    ]
}

/// Two epochs in pieces of `most` steps, `between` after each of them.
fn train(
    network: &mut Network,
    most: usize,
    mut between: impl FnMut(&mut Network),
) -> Vec<(Cursor, EpochReport)> {
    let data = data();
    let epoch = |_| {
        let mut cursor = Cursor::default();
        loop {
            let piece = (&mut cursor, most);
            let (x, y, options) = (&features(&data), &targets(&data), common::epoch(10));
            let report = network.train_piece(x, y, options, piece, |_| true).unwrap();
            between(network);
            if cursor.samples as usize == data.rows().len() {
                return (cursor, report);
            }
        }
    };
    (0..2).map(epoch).collect()
}

type Outcome = (Vec<Vec<u32>>, Vec<(Cursor, u64, Vec<u64>)>);

/// What training came to: the bits of the parameters, and what is reported but for times.
fn outcome(network: &Network, reports: Vec<(Cursor, EpochReport)>) -> Outcome {
    let of_epoch = |(cursor, report): (Cursor, EpochReport)| {
        let hidden = report.hidden_active.iter().map(|share| share.to_bits()).collect();
        (cursor, report.active_fraction.to_bits(), hidden)
    };
    (bits(network), reports.into_iter().map(of_epoch).collect())
}

#[test]
fn an_epoch_in_pieces_is_the_whole_epoch() {
    for (name, config) in stacks() {
        let run = |most| {
            let mut network = Network::new(config.clone()).unwrap();
            let reports = train(&mut network, most, |_| {});
            outcome(&network, reports)
        };
        let whole = run(usize::MAX);
        for most in [1, 4, 11] {
            assert!(run(most) == whole, "{name} in pieces of {most} steps");
        }
    }
}

#[test]
fn checkpoints_change_nothing_and_a_loaded_one_goes_on_with_the_same_bits() {
    let path = path("pieces");
    for (name, config) in stacks() {
        let mut network = Network::new(config.clone()).unwrap();
        let reports = train(&mut network, usize::MAX, |_| {});
        let wanted = outcome(&network, reports);
        let mut watched = Network::new(config.clone()).unwrap();
        let reports = train(&mut watched, 1, |network| {
            model::checkpoint(network, &path, "").unwrap();
        });
        assert!(outcome(&watched, reports) == wanted, "{name}: watched in every step");
        let mut replaced = Network::new(config.clone()).unwrap();
        let reports = train(&mut replaced, 4, |network| {
            model::checkpoint(network, &path, "").unwrap();
            *network = model::load(&path).unwrap();
        });
        assert!(outcome(&replaced, reports) == wanted, "{name}: loaded every 4 steps");
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn what_was_said_of_the_training_comes_back() {
    let (path, saved) = (path("said"), path("unsaid"));
    let mut network = Network::new(stack(|_| {})).unwrap();
    model::checkpoint(&network, &path, "{\"epoch\": 3}").unwrap();
    let (_, training) = model::load_checkpoint(&path).unwrap();
    assert_eq!(training.as_deref(), Some("{\"epoch\": 3}"));
    model::save(&mut network, &saved, true).unwrap();
    assert_eq!(model::load_checkpoint(&saved).unwrap().1, None);
    for path in [path, saved] {
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_cursor_of_another_epoch_is_refused() {
    let data = data();
    let mut network = Network::new(stack(|_| {})).unwrap();
    let mut go_on = |samples, size| {
        let mut cursor = Cursor { samples, ..Cursor::default() };
        let (x, y, options) = (&features(&data), &targets(&data), common::epoch(size));
        network.train_piece(x, y, options, (&mut cursor, 1), |_| true)
    };
    // No epoch has begun.
    assert!(matches!(go_on(10, 10), Err(Error::Shape { name: "cursor", .. })));
    go_on(0, 10).unwrap();
    for (samples, size) in [(10, 7), (1000, 10)] {
        assert!(matches!(go_on(samples, size), Err(Error::Shape { name: "cursor", .. })));
    }
    go_on(10, 10).unwrap();
}

#[test]
fn a_damaged_state_is_refused() {
    let path = path("damaged");
    let data = data();
    let mut network = Network::new(stack(adam_with(0.1, AdamMode::CatchUp))).unwrap();
    let (x, y) = (&features(&data), &targets(&data));
    network.train_batch(x, y, &data.rows()).unwrap();
    model::checkpoint(&network, &path, "").unwrap();
    let good = std::fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&good).unwrap();
    let of = |name: &str| {
        let bytes = file.tensor(name).unwrap().data();
        bytes.as_ptr() as usize - good.as_ptr() as usize
    };
    for (name, value, wanted) in [
        ("state.output.codes", u8::MAX, "codes"),
        ("state.hidden.1.lengths", u8::MAX, "lengths"),
        ("state.output.transform", u8::MAX, "hashed"),
        ("state.output.weight.seen", 9, "other steps"),
    ] {
        let mut bad = good.clone();
        bad[of(name)..][..4].fill(value);
        std::fs::write(&path, bad).unwrap();
        let refused = model::load(&path).unwrap_err().to_string();
        assert!(refused.contains(wanted), "{name}: {refused}");
    }
    std::fs::remove_file(&path).unwrap();
}
