//! Networks and questions that are too wide or too large: answered without waste, or refused.

use crate::common::{self, Data, features, gradient_descent};
use slide_rs::config::{Activation, LshConfig, SamplerConfig, TablesConfig};
use slide_rs::sparse::{IdLists, Indices};
use slide_rs::{Error, Mode, Network};

/// Widths of which the first is scored as dense rows and the second as lists.
const WIDTHS: [usize; 2] = [300, 5000];

#[test]
fn scores_from_sparse_inputs_are_the_sums_over_them_at_any_width() {
    for width in WIDTHS {
        let data = Data::random(300, width, 700, 3);
        let mut config = common::stack(&data, vec![], SamplerConfig::Full {});
        config.optimizer = gradient_descent();
        config.input.normalize = false;
        let mut network = Network::new(config).unwrap();
        common::move_biases(&mut network);
        let (x, units) = (features(&data), data.n_labels);
        let scores = network.scores(&x, || true).unwrap();
        let (weights, bias) = network.output().params();
        let (indptr, ids, values) = &data.x;
        for (row, scores) in scores.chunks(units).enumerate() {
            let range = indptr[row] as usize..indptr[row + 1] as usize;
            for (unit, &score) in scores.iter().enumerate() {
                let weights = weights.weights().row(unit as u32);
                let products = ids[range.clone()].iter().zip(&values[range.clone()]);
                let products = products.map(|(&id, &x)| f64::from(x * weights[id as usize]));
                let products: Vec<f64> = products.collect();
                let bias = f64::from(bias.unwrap().weights().row(unit as u32)[0]);
                let sum = products.iter().sum::<f64>() + bias;
                // Up to 7 products and a bias, each rounded, and each sum.
                let size = products.iter().map(|x| x.abs()).sum::<f64>() + bias.abs();
                let limit = 16.0 * f64::from(f32::EPSILON) * size;
                assert!((f64::from(score) - sum).abs() <= limit, "{width}: {score} {sum}");
            }
        }
        let k = 4;
        let (best, best_scores) = network.predict(&x, (k, Mode::Exact), || true).unwrap();
        for (row, scores) in scores.chunks(units).enumerate() {
            let mut order: Vec<usize> = (0..units).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
            for (place, &id) in order[..k].iter().enumerate() {
                assert_eq!(best[row * k + place], id as i32, "{width}");
                assert_eq!(best_scores[row * k + place].to_bits(), scores[id].to_bits());
            }
        }
    }
}

#[test]
fn wide_sparse_inputs_have_the_same_scores_however_they_are_asked_for() {
    let data = Data::random(40, 60, 500, 3);
    let hidden = common::sampled(5000, common::uniform(50), Activation::Relu, (3.0, true));
    let mut network =
        Network::new(common::stack(&data, vec![hidden], SamplerConfig::Full {})).unwrap();
    let (k, x) = (5, features(&data));
    let (best, scores) = network.predict(&x, (k, Mode::Exact), || true).unwrap();
    let ends: Vec<i32> = (0..=40).map(|row| row * k as i32).collect();
    let candidates = IdLists::new("ids", Indices::I32(&ends), Indices::I32(&best), 500).unwrap();
    assert_eq!(network.score(&x, &candidates, || true).unwrap(), scores);
}

/// The most tables of the longest codes.
fn most_tables() -> TablesConfig {
    let open = LshConfig::open().tables;
    TablesConfig { n_tables: Some(255), n_hashes: Some(16), ..open }
}

#[test]
fn tables_that_no_memory_can_hold_are_refused_before_they_are_made() {
    let data = Data::random(2, 1 << 22, 2, 1);
    let mut config = common::stack(&data, vec![], SamplerConfig::Full {});
    config.optimizer = gradient_descent();
    let least = data.n_features * 255 * 16 * size_of::<f32>();
    if Vec::<u8>::new().try_reserve_exact(least).is_ok() {
        return; // A machine that has 68 gigabytes.
    }
    let mut network = Network::new(config).unwrap();
    let tables = most_tables();
    let refused = network.ranks(&tables, (&features(&data), None), || true).unwrap_err();
    assert!(matches!(refused, Error::Memory { bytes, .. } if bytes > least as u128), "{refused}");
    let sampler = SamplerConfig::Lsh(LshConfig { tables, ..LshConfig::open() });
    let refused = network.set_sampler(sampler).unwrap_err();
    assert!(matches!(refused, Error::Memory { bytes, .. } if bytes > least as u128), "{refused}");
    assert_eq!(network.config().output.sampler, SamplerConfig::Full {});
}

#[test]
fn more_pairs_than_can_be_looked_at_are_refused() {
    let data = Data::small();
    let hidden = common::dense(6, Activation::Tanh, 2.0);
    let mut network = Network::new(common::stack(&data, vec![hidden], common::lsh(9))).unwrap();
    let x = features(&data);
    for pairs in [1 << 26, usize::MAX] {
        let refused = network.retrieval((&x, None), (pairs, 0), || true).unwrap_err();
        assert!(matches!(refused, Error::Range { name: "pairs", .. }), "{refused}");
    }
    let (cosines, hits) = network.retrieval((&x, Some(&[3, 5])), (7, 0), || true).unwrap();
    assert_eq!((cosines.len(), hits.len()), (16, 16));
}
