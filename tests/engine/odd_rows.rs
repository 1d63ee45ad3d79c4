//! Rows that have no features or no labels, labels that stand twice or in no order, grades and
//! weights that are zero: legal, and none of them may contribute anything wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use crate::common::{self, Data, bits, features, gradient_descent, targets};
use slide_rs::config::{Activation, Loss, NetworkConfig, SamplerConfig};
use slide_rs::{BatchReport, Network};

/// Every loss on networks whose output layer is computed in each way: sampled with dense and with
/// sparse inputs, all of few, and by blocked products all of more.
fn cases() -> Vec<(String, NetworkConfig)> {
    let data = data(&[], &[]);
    let dense = || common::dense(6, Activation::Tanh, 2.0);
    let sampled = || common::sampled(15, common::uniform(5), Activation::Relu, (0.0, true));
    let mut cases = vec![];
    for loss in Loss::ALL {
        for (name, hidden, sampler) in [
            ("sampled", vec![dense()], common::uniform(8)),
            ("shared", vec![dense()], common::shared_uniform(8)),
            ("full", vec![dense()], SamplerConfig::Full {}),
            ("wide", vec![dense()], SamplerConfig::Full {}),
            ("sparse", vec![sampled()], common::uniform(8)),
        ] {
            let mut config = common::stack(&data, hidden, sampler);
            config.loss = loss;
            config.optimizer = gradient_descent();
            if name == "wide" {
                config.output.units = 70;
            }
            cases.push((format!("{loss:?}, {name}"), config));
        }
    }
    cases
}

/// Features, and labels with their grades.
type Row<'a> = (&'a [i64], &'a [(i32, f32)]);

/// 10 features, 20 labels; a row is its features, each of value 1, and its labels with grades.
fn data(rows: &[Row<'_>], weights: &[f32]) -> Data {
    let mut data = Data {
        n_features: 10,
        n_labels: 20,
        x: (vec![0], vec![], vec![]),
        y: (vec![0], vec![]),
        grades: Some(vec![]),
        weights: Some(weights.to_vec()),
    };
    for (ids, labels) in rows {
        data.x.1.extend_from_slice(ids);
        data.x.2.extend(ids.iter().map(|_| 1.0));
        data.x.0.push(data.x.1.len() as i64);
        for &(label, grade) in *labels {
            data.y.1.push(label);
            data.grades.as_mut().unwrap().push(grade);
        }
        data.y.0.push(data.y.1.len() as i32);
    }
    data
}

/// Weights before and after one step.
fn step(config: &NetworkConfig, data: &Data) -> (Vec<Vec<u32>>, BatchReport, Network) {
    let mut network = Network::new(config.clone()).unwrap();
    let before = bits(&network);
    let report = network.train_batch(&features(data), &targets(data), &data.rows()).unwrap();
    (before, report, network)
}

const ROW: Row<'_> = (&[3, 1], &[(4, 1.0), (9, 2.0)]);

#[test]
fn rows_without_labels_change_nothing() {
    let data = data(&[(&[1, 2], &[]), (&[], &[]), (&[7], &[])], &[1.0, 2.0, 0.0]);
    for (name, config) in cases() {
        let (before, report, network) = step(&config, &data);
        assert!(bits(&network) == before, "{name}");
        assert_eq!((report.loss, report.labelled), (0.0, 0), "{name}");
    }
}

/// What is computed for a block at once must not bring rows together that have nothing in common.
#[test]
fn a_row_without_labels_whose_hidden_outputs_overflow_changes_nothing() {
    let mut rows = data(&[ROW, (&[2], &[]), (&[1], &[(3, 1.0)])], &[1.0; 3]);
    rows.x.2[2] = f32::MAX;
    for shared in [false, true] {
        let n = if shared { common::shared_uniform(8) } else { common::uniform(8) };
        let hidden = vec![common::dense(6, Activation::Linear, 0.0)];
        let mut config = common::stack(&rows, hidden, n);
        config.input.normalize = false;
        config.optimizer = gradient_descent();
        let mut network = Network::new(config).unwrap();
        // The second feature leads to infinity.
        network.params_mut()[0].weights_mut().row_mut(2)[0] = 10.0;
        network.train_batch(&features(&rows), &targets(&rows), &rows.rows()).unwrap();
        let finite = |bits: &u32| f32::from_bits(*bits).is_finite();
        assert!(bits(&network).iter().flatten().all(finite), "{shared}");
    }
}

#[test]
fn rows_of_weight_zero_change_nothing_but_the_means() {
    for (name, config) in cases() {
        let (_, alone, with) = step(&config, &data(&[ROW, (&[2], &[])], &[1.0, 1.0]));
        let zero = data(&[ROW, (&[2], &[(5, 1.0), (6, 1.0)])], &[1.0, 0.0]);
        let (_, report, network) = step(&config, &zero);
        assert!(bits(&network) == bits(&with), "{name}");
        assert_eq!((report.loss * 2.0, report.labelled), (alone.loss, 2), "{name}");
    }
}

#[test]
fn a_row_without_features_has_a_finite_loss_and_reaches_no_weight_of_the_first_layer() {
    let data = data(&[(&[], &[(4, 1.0), (9, 2.0)])], &[1.0]);
    for (name, config) in cases() {
        let (before, report, network) = step(&config, &data);
        let after = bits(&network);
        assert!(report.loss.is_finite() && report.loss > 0.0, "{name}: {}", report.loss);
        assert!(after[0] == before[0], "{name}: weights of the first layer");
        assert!(after.last() != before.last(), "{name}: biases of the output layer");
    }
}

#[test]
fn labels_in_any_order_count_once_with_their_greatest_grade() {
    let plain = data(&[(&[3, 1], &[(2, 0.5), (4, 1.0), (9, 2.0)])], &[1.0]);
    let given: [&[(i32, f32)]; 3] = [
        &[(9, 2.0), (2, 0.5), (4, 1.0)],
        &[(9, 0.25), (4, 1.0), (2, 0.5), (9, 2.0), (4, 0.0), (9, 1.0)],
        &[(2, 0.5), (2, -0.0), (4, 1.0), (9, 2.0)],
    ];
    for (name, config) in cases() {
        let (_, wanted, by_plain) = step(&config, &plain);
        for labels in given {
            let (_, report, network) = step(&config, &data(&[(&[3, 1], labels)], &[1.0]));
            assert!(bits(&network) == bits(&by_plain), "{name}: {labels:?}");
            assert_eq!(report, wanted, "{name}: {labels:?}");
        }
    }
}

#[test]
fn a_step_whose_hidden_gradients_overflow_changes_nothing_but_a_wide_full_output_layer() {
    let data = data(&[ROW], &[1.0]);
    for (name, config) in cases() {
        // One loss is enough; the sampled hidden layer has its weights elsewhere.
        if config.loss != Loss::Softmax || name.ends_with("sparse") {
            continue;
        }
        let wide = name.ends_with("wide");
        let mut network = Network::new(config).unwrap();
        let mut params = network.params_mut();
        // The first hidden unit is always 0, so that its weights are in no logit; but its gradient
        // is the sum of deltas times weights, which have the same sign, and more than 3.4e38.
        (0..10).for_each(|feature| params[0].weights_mut().row_mut(feature)[0] = 0.0);
        for label in 0..20 {
            let sign = if ROW.1.iter().any(|&(own, _)| own == label) { -1.0 } else { 1.0 };
            params[2].weights_mut().row_mut(label as u32)[0] = sign * 3.4e38;
        }
        let (before, counters) = (bits(&network), network.counters());
        let refused = network.train_batch(&features(&data), &targets(&data), &data.rows());
        assert!(matches!(refused, Err(slide_rs::Error::Diverged { .. })), "{name}: {refused:?}");
        assert_eq!(network.counters(), counters, "{name}");
        let after = bits(&network);
        assert!(after[..2] == before[..2], "{name}: the hidden layer");
        assert_eq!(after[2..] != before[2..], wide, "{name}: the output layer");
    }
}

#[test]
fn grades_whose_sum_is_no_f32_are_shares_like_any_others() {
    for (name, config) in cases() {
        if config.loss != Loss::Softmax {
            continue;
        }
        let rows = |grade: f32| data(&[(&[3, 1], &[(4, grade), (9, grade), (2, -0.0)])], &[1.0]);
        let (_, wanted, by_small) = step(&config, &rows(1.0));
        for grade in [f32::MAX, f32::from_bits(1)] {
            let (_, report, network) = step(&config, &rows(grade));
            assert!(bits(&network) == bits(&by_small), "{name}: {grade:e}");
            assert_eq!(report, wanted, "{name}: {grade:e}");
        }
    }
}

#[test]
fn a_grade_of_minus_zero_is_zero() {
    for (name, config) in cases() {
        let rows =
            |zero: f32| data(&[(&[3, 1], &[(4, 1.0), (9, zero)]), (&[2], &[(5, zero)])], &[1.0; 2]);
        let (_, wanted, by_zero) = step(&config, &rows(0.0));
        let (_, report, network) = step(&config, &rows(-0.0));
        assert!(bits(&network) == bits(&by_zero), "{name}");
        assert_eq!(report, wanted, "{name}");
    }
}

#[test]
fn a_weight_of_two_is_a_row_that_stands_twice() {
    for (name, config) in cases() {
        // A mean over two rows in both; all neurons active, since each row draws its own.
        let mut config = config;
        config.output.sampler = match config.output.sampler {
            SamplerConfig::Full {} => SamplerConfig::Full {},
            _ if name.ends_with("shared") => common::shared_uniform(20),
            _ => common::uniform(20),
        };
        if let slide_rs::config::HiddenConfig::Sampled(layer) = &mut config.hidden[0] {
            layer.sampler = SamplerConfig::Full {};
        }
        let (_, twice, a) = step(&config, &data(&[ROW, ROW], &[1.0, 1.0]));
        let (_, weighted, b) = step(&config, &data(&[ROW, (&[2], &[])], &[2.0, 1.0]));
        assert!((twice.loss * 2.0 - weighted.loss).abs() < 1e-6 * weighted.loss, "{name}");
        for (a, b) in bits(&a).iter().flatten().zip(bits(&b).iter().flatten()) {
            let (a, b) = (f32::from_bits(*a), f32::from_bits(*b));
            // Two roundings of a gradient of order one.
            assert!((a - b).abs() < 1e-6, "{name}: {a} and {b}");
        }
    }
}
