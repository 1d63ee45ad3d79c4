//! Features given as rows against the same features given as lists: the same bits.
//!
//! Rows go through matrix products, lists through single rows of the weights, so each is an oracle
//! for the other; lists are compared with a network in f64 elsewhere.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use crate::common::{self, Data, bits, targets, with_threads};
use slide_rs::config::{Activation, Dtype, HiddenConfig, NetworkConfig, SamplerConfig};
use slide_rs::rng::{Rng, Stream};
use slide_rs::sparse::{DenseView, Features};
use slide_rs::{Mode, Network};

/// Wider than a group of rows whose gradients are found at once, and no multiple of it.
const FEATURES: usize = 150;
const ROWS: usize = 70;

/// Mostly dense rows; the last features are in few rows or in none, and one row has none.
fn rows() -> Vec<f32> {
    let mut rng = Rng::new(3, Stream::Probe, 0, 0);
    let mut value = |at: usize| {
        let (row, feature) = (at / FEATURES, at % FEATURES);
        let rare = feature > 140 && (row != 20 || feature == 149);
        let x = rng.uniform() - 0.4;
        if rare || row == 33 || rng.uniform() < 0.2 { 0.0 } else { x }
    };
    (0..ROWS * FEATURES).map(&mut value).collect()
}

/// The same as lists, with labels, grades and weights.
fn lists(rows: &[f32]) -> Data {
    let mut data = Data::graded(ROWS - 2, FEATURES, 60);
    data.x = (vec![0], vec![], vec![]);
    for row in rows.chunks(FEATURES) {
        for (id, &x) in (0..).zip(row).filter(|(_, x)| **x != 0.0) {
            data.x.1.push(id);
            data.x.2.push(x);
        }
        data.x.0.push(data.x.1.len() as i64);
    }
    data
}

/// Outputs computed in each way, one and two layers, with everything that a layer can do.
fn cases(data: &Data) -> Vec<(String, NetworkConfig)> {
    let mut cases = vec![];
    let dense = |units, norm| common::dense(units, Activation::Tanh, norm);
    for dtype in [Dtype::F32, Dtype::Bf16] {
        for (name, units, sampler) in [
            ("few", 60, SamplerConfig::Full {}),
            ("blocked", 90, SamplerConfig::Full {}),
            ("lsh", 70, common::lsh(30)),
        ] {
            for (depth, mut hidden) in
                [vec![dense(20, 4.0)], vec![dense(37, 0.0), dense(80, 2.0)]].into_iter().enumerate()
            {
                for layer in &mut hidden {
                    if let HiddenConfig::Dense(layer) = layer {
                        (layer.dropout, layer.dtype) = (0.1, dtype);
                    }
                }
                let mut config = common::stack(data, hidden, sampler.clone());
                config.output.units = units;
                config.input.dropout = Some(0.2);
                cases.push((format!("{name} {dtype:?} depth {}", depth + 1), config));
            }
        }
    }
    cases
}

/// Weights after two epochs, their losses, and predictions.
fn train(config: &NetworkConfig, x: &Features<'_>, data: &Data) -> (Vec<Vec<u32>>, Vec<u32>) {
    let mut network = Network::new(config.clone()).unwrap();
    let mut numbers = vec![];
    for _ in 0..2 {
        let report = network.train_epoch(x, &targets(data), common::epoch(41), |_| true).unwrap();
        numbers.push((report.loss as f32).to_bits());
    }
    let (_, scores) = network.predict(x, (3, Mode::Exact), || true).unwrap();
    numbers.extend(scores.into_iter().map(f32::to_bits));
    (bits(&network), numbers)
}

#[test]
fn rows_train_to_the_same_bits_as_lists_at_any_number_of_threads() {
    let rows = rows();
    let data = lists(&rows);
    let x = Features::Dense(DenseView::new("X", &rows, FEATURES).unwrap());
    assert!(x.are_dense(&data.rows()));
    for (name, config) in cases(&data) {
        let by_lists = with_threads(2, || train(&config, &common::features(&data), &data));
        for threads in [1, 2, 3, 4] {
            let by_rows = with_threads(threads, || train(&config, &x, &data));
            assert!(by_rows.0 == by_lists.0, "{name}: weights at {threads} threads");
            assert!(by_rows.1 == by_lists.1, "{name}: losses and scores at {threads} threads");
        }
    }
}

#[test]
fn the_weights_of_a_feature_that_no_row_of_the_batch_has_rest() {
    let rows = rows();
    let data = lists(&rows);
    let x = Features::Dense(DenseView::new("X", &rows, FEATURES).unwrap());
    let mut config = common::stack(
        &data,
        vec![common::dense(20, Activation::Relu, 0.0)],
        SamplerConfig::Full {},
    );
    config.input.dropout = Some(0.0);
    let mut network = Network::new(config).unwrap();
    let before = network.params()[0].1.weights().clone();
    let batch: Vec<u32> = (0..20).collect();
    network.train_batch(&x, &targets(&data), &batch).unwrap();
    let after = network.params()[0].1.weights().clone();
    for feature in 0..FEATURES {
        let present = batch.iter().any(|&row| rows[row as usize * FEATURES + feature] != 0.0);
        let moved = before.row(feature as u32) != after.row(feature as u32);
        assert_eq!(moved, present, "feature {feature}");
    }
}

#[test]
fn rows_with_many_zeros_are_read_as_lists() {
    let mut rows = vec![0.0; 100 * 40];
    rows.iter_mut().step_by(5).for_each(|x| *x = 1.0);
    let x = Features::Dense(DenseView::new("X", &rows, 40).unwrap());
    assert!(!x.are_dense(&[0, 7, 99]));
    rows.iter_mut().step_by(3).for_each(|x| *x = 1.0);
    let x = Features::Dense(DenseView::new("X", &rows, 40).unwrap());
    assert!(x.are_dense(&[0, 7, 99]));
}
