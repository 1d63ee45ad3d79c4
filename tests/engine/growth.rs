//! A network that grew or shrank is one of its new size with the same weights put in.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use crate::common::{self, Data, bits, features, targets, with_threads};
use slide_rs::config::{
    Activation, AdamMode, BucketPolicy, FamilyConfig, LshConfig, NetworkConfig, OptimizerConfig,
    SamplerConfig, TablesConfig,
};
use slide_rs::lsh::Index;
use slide_rs::optim::Param;
use slide_rs::sparse::{IdLists, Indices};
use slide_rs::{Mode, Network, NewLabels};

const OLD: usize = 90;
const NEW: usize = 47;

fn data(labels: usize) -> Data {
    Data::random(60, 50, labels, 3)
}

/// LSH with other tables.
fn tables(change: impl FnOnce(&mut TablesConfig)) -> SamplerConfig {
    let SamplerConfig::Lsh(mut lsh) = common::lsh(40) else { unreachable!() };
    change(&mut lsh.tables);
    SamplerConfig::Lsh(lsh)
}

/// Every way of sampling, of hashing, of remembering and of storing.
fn configs() -> Vec<(&'static str, NetworkConfig)> {
    let stack = |sampler| {
        let hidden = vec![common::dense(20, Activation::Tanh, 4.0)];
        common::stack(&data(OLD), hidden, sampler)
    };
    let redrawing = || {
        let SamplerConfig::Lsh(LshConfig { rebuild, .. }) = &mut common::lsh(40) else {
            unreachable!()
        };
        rebuild.redraw = Some(1);
        let SamplerConfig::Lsh(lsh) = common::lsh(40) else { unreachable!() };
        SamplerConfig::Lsh(LshConfig { rebuild: rebuild.clone(), ..lsh })
    };
    let (n_active, log_q) = (Some(40), true);
    let mut all: Vec<_> = [
        ("lsh", common::lsh(40)),
        ("lsh of all", common::lsh(OLD)),
        ("redrawn", redrawing()),
        ("centred", tables(|tables| tables.center = true)),
        ("equally long", tables(|tables| tables.mips = true)),
        ("min-wise", tables(|tables| tables.family = FamilyConfig::Doph { top: 8 })),
        (
            "queues",
            tables(|tables| {
                (tables.bucket_policy, tables.bucket_size) = (BucketPolicy::Fifo, Some(4));
            }),
        ),
        (
            "reservoirs",
            tables(|tables| {
                (tables.bucket_policy, tables.bucket_size) = (BucketPolicy::Reservoir, Some(4));
            }),
        ),
        ("uniform", common::uniform(40)),
        ("shared", common::shared_uniform(40)),
        ("log-uniform", SamplerConfig::LogUniform { n_active, log_q }),
        ("in batch", SamplerConfig::InBatch { n_active: Some(OLD), log_q }),
        (
            "oracle",
            SamplerConfig::Oracle { n_active, random_share: Some(0.5), shared_negatives: true },
        ),
        ("full", SamplerConfig::Full {}),
    ]
    .into_iter()
    .map(|(name, sampler)| (name, stack(sampler)))
    .collect();
    let with = |optimizer| NetworkConfig { optimizer, ..stack(common::lsh(40)) };
    let adam = |of_mode: AdamMode, decay: f32| {
        let mut config = with(common::adam(0.01));
        if let OptimizerConfig::Adam { mode, weight_decay, .. } = &mut config.optimizer {
            (*mode, *weight_decay) = (of_mode, decay);
        }
        config
    };
    let sgd = |momentum| OptimizerConfig::Sgd { lr: Some(0.1), momentum, nesterov: false };
    let hidden = vec![common::sampled(120, common::lsh(40), Activation::Relu, (4.0, true))];
    let behind_sparse = common::stack(&data(OLD), hidden, common::lsh(40));
    all.extend([
        ("light", common::lightest(stack(common::lsh(40)))),
        ("light, full", common::lightest(stack(SamplerConfig::Full {}))),
        ("catching up", adam(AdamMode::CatchUp, 0.0)),
        ("dense moments", adam(AdamMode::Dense, 0.0)),
        ("decaying", adam(AdamMode::Lazy, 0.1)),
        ("gradient descent", with(sgd(0.0))),
        ("momentum", with(sgd(0.9))),
        ("adagrad", with(OptimizerConfig::Adagrad { lr: Some(0.1), eps: 1e-8 })),
        ("behind sparse outputs", behind_sparse),
    ]);
    let mut bare = stack(common::lsh(40));
    bare.output.bias = false;
    all.push(("without biases", bare));
    all
}

fn train(network: &mut Network, data: &Data, steps: usize) {
    for step in 0..steps as u32 {
        let rows: Vec<u32> = (step * 7..step * 7 + 23).collect();
        network.train_batch(&features(data), &targets(data), &rows).unwrap();
    }
}

/// A network of this configuration with all that is known in `other` put in from outside: weights
/// and moments of label `sources[id]` for label `id`.
fn put_in(other: &Network, config: &NetworkConfig, sources: &[Option<u32>]) -> Network {
    let mut network = Network::new(config.clone()).unwrap();
    let of_labels = 2 - usize::from(!config.output.bias);
    let first = other.params().len() - of_labels;
    let from: Vec<Param<'static>> =
        other.params().into_iter().map(|(_, param)| param.clone()).collect();
    for (place, (from, to)) in from.iter().zip(network.params_mut()).enumerate() {
        let values = |rows: &slide_rs::rows::Rows<'_>| {
            let (all, width) = (rows.to_vec(), rows.width());
            if place < first {
                return all;
            }
            let row = |id: &Option<u32>| {
                id.map_or(vec![0.0; width], |id| all[id as usize * width..][..width].to_vec())
            };
            sources.iter().flat_map(row).collect()
        };
        to.weights_mut().assign(values(from.weights()).into_iter());
        for ((_, from), (_, to)) in from.moments().iter().zip(to.moments_mut()) {
            to.assign(values(from).into_iter());
        }
    }
    network.set_counters(other.counters());
    network.rehash_all();
    network
}

/// Every bucket of every table, and everything that is remembered.
fn state(network: &Network) -> (Vec<Vec<u32>>, Vec<Vec<u32>>) {
    let moments = network.params().into_iter().flat_map(|(_, param)| {
        let bits = |(_, rows): &(_, slide_rs::rows::Rows<'_>)| {
            rows.to_vec().into_iter().map(f32::to_bits).collect::<Vec<u32>>()
        };
        param.moments().iter().map(bits).collect::<Vec<_>>()
    });
    let mut buckets = vec![];
    if let Some(tables) = network.output().sampler().index().map(Index::tables) {
        for table in 0..tables.n_tables() {
            let codes = 0..tables.n_buckets() as u32;
            buckets.extend(codes.map(|code| tables.bucket(table, code as u16).to_vec()));
        }
    }
    (buckets, bits(network).into_iter().chain(moments).collect())
}

fn predictions(network: &mut Network, data: &Data) -> Vec<(Vec<i32>, Vec<u32>)> {
    let hashed = network.output().sampler().index().is_some();
    let modes = [Mode::Exact, Mode::Lsh];
    let of_mode = |&mode: &Mode| {
        let (ids, scores) = network.predict(&features(data), (3, mode), || true).unwrap();
        (ids, scores.into_iter().map(f32::to_bits).collect())
    };
    modes[..=usize::from(hashed)].iter().map(of_mode).collect()
}

/// Both go on as one.
fn check(name: &str, mut found: Network, mut wanted: Network, labels: usize) {
    let data = data(labels);
    assert!(state(&found) == state(&wanted), "{name}: state");
    assert!(predictions(&mut found, &data) == predictions(&mut wanted, &data), "{name}: answers");
    train(&mut found, &data, 4);
    train(&mut wanted, &data, 4);
    assert!(state(&found) == state(&wanted), "{name}: state after training");
    assert_eq!(found.counters(), wanted.counters());
}

/// The parameters of a network before it grew.
struct Before(Vec<Param<'static>>);

impl Before {
    /// Old rows are as they were, and new ones are zeros, but for the biases: those are a mean.
    fn check(&self, name: &str, network: &Network) {
        for (before, (param, after)) in self.0.iter().zip(network.params()) {
            let pairs = before.moments().iter().zip(after.moments());
            let moments = pairs.map(|((_, before), (_, after))| (before, after, 0.0));
            let old = before.weights().to_vec();
            let mean = old.iter().map(|&x| f64::from(x)).sum::<f64>() / old.len() as f64;
            let new = if param == "output.bias" { mean as f32 } else { 0.0 };
            for (before, after, new) in moments.chain([(before.weights(), after.weights(), new)]) {
                let (before, after) = (before.to_vec(), after.to_vec());
                let (old, rest) = after.split_at(before.len());
                assert!(old == before && rest.iter().all(|&x| x == new), "{name}: {param}");
            }
        }
    }
}

#[test]
fn a_grown_network_is_one_of_its_size_with_the_same_weights_put_in() {
    let sources: Vec<_> =
        (0..(OLD + NEW) as u32).map(|id| Some(id).filter(|&id| id < OLD as u32)).collect();
    for (name, config) in configs() {
        let mut network = Network::new(config).unwrap();
        train(&mut network, &data(OLD), 4);
        network.rehash();
        let same: Vec<_> = sources[..OLD].to_vec();
        let mut other = put_in(&network, &network.config().clone(), &same);
        other.add_labels(NEW, NewLabels::Zeros, || true).unwrap();
        let before = network.params().into_iter().map(|(_, param)| param.clone()).collect();
        let before = Before(before);
        network.add_labels(NEW, NewLabels::Zeros, || true).unwrap();
        assert!(state(&other) == state(&network), "{name}: tables that were built at once");
        assert_eq!(network.output().units(), OLD + NEW);
        before.check(name, &network);
        let all: Vec<_> = (0..(OLD + NEW) as u32).map(Some).collect();
        let wanted = put_in(&network, &network.config().clone(), &all);
        check(name, network, wanted, OLD + NEW);
    }
}

#[test]
fn a_shrunk_network_is_one_of_its_size_with_the_weights_of_those_that_stay() {
    for (name, config) in configs() {
        let mut network = Network::new(config).unwrap();
        train(&mut network, &data(OLD), 4);
        network.rehash();
        let kept: Vec<bool> = (0..OLD).map(|id| id % 5 != 1 && id > 3).collect();
        let sources: Vec<_> = (0..OLD as u32).filter(|&id| kept[id as usize]).map(Some).collect();
        let mut config = network.config().clone();
        let before = put_in(&network, &config, &(0..OLD as u32).map(Some).collect::<Vec<_>>());
        network.remove_labels(&kept).unwrap();
        config.output = network.config().output.clone();
        let wanted = put_in(&before, &config, &sources);
        check(name, network, wanted, sources.len());
    }
}

#[test]
fn random_labels_are_those_of_a_fresh_network_of_the_size() {
    for (name, config) in configs() {
        let mut grown = Network::new(config).unwrap();
        grown.add_labels(NEW, NewLabels::Random, || true).unwrap();
        let fresh = Network::new(grown.config().clone()).unwrap();
        check(name, grown, fresh, OLD + NEW);
    }
}

#[test]
fn what_grows_and_shrinks_again_is_as_before_and_scores_of_old_labels_never_change() {
    let data = data(OLD);
    for (name, config) in configs() {
        let mut network = Network::new(config).unwrap();
        train(&mut network, &data, 4);
        network.rehash();
        let (before, answers) = (state(&network), predictions(&mut network, &data));
        let scores = network.scores(&features(&data), || true).unwrap();
        network.add_labels(NEW, NewLabels::Random, || true).unwrap();
        let grown = network.scores(&features(&data), || true).unwrap();
        for (before, after) in scores.chunks(OLD).zip(grown.chunks(OLD + NEW)) {
            assert!(before == &after[..OLD], "{name}");
        }
        let kept: Vec<bool> = (0..OLD + NEW).map(|id| id < OLD).collect();
        network.remove_labels(&kept).unwrap();
        assert!(state(&network) == before, "{name}: state");
        assert!(predictions(&mut network, &data) == answers, "{name}: answers");
    }
}

#[test]
fn a_mean_of_inputs_points_where_its_rows_do_and_is_as_long_as_the_others() {
    let (data, all) = (data(OLD), OLD + 1);
    for (name, config) in configs() {
        let mut network = Network::new(config).unwrap();
        train(&mut network, &data, 4);
        network.rehash();
        let rows = data.rows().len();
        // Row 3 alone has the new label, and an old one with it.
        let indptr: Vec<i64> = (0..=rows as i64).map(|row| if row > 3 { 2 } else { 0 }).collect();
        let ids = [5, OLD as i64];
        let lists = IdLists::new("Y", Indices::I64(&indptr), Indices::I64(&ids), all).unwrap();
        let old = network.output().params().0.weights().to_vec();
        let width = old.len() / OLD;
        network.add_labels(1, NewLabels::MeanOfInputs(&features(&data), &lists), || true).unwrap();
        let row = network.output().params().0.weights().to_vec()[old.len()..].to_vec();
        let length = |row: &[f32]| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let mean = old.chunks(width).map(length).sum::<f64>() / OLD as f64;
        // Halves have eight bits.
        assert!((length(&row) / mean - 1.0).abs() < 2e-3, "{name}");
        // The score of the row is the product of the lengths, where there are no biases to add.
        if !network.config().output.bias {
            let scores = network.scores(&features(&data), || true).unwrap();
            let of_row = f64::from(scores[3 * all + OLD]);
            assert!((of_row / (4.0 * mean) - 1.0).abs() < 1e-4, "{name}: {of_row}");
        }
    }
}

#[test]
fn where_the_size_changes_the_hash_functions_all_rows_are_hashed() {
    let name = "min-wise";
    let (_, config) = configs().into_iter().find(|(found, _)| *found == name).unwrap();
    let mut network = Network::new(config).unwrap();
    train(&mut network, &data(OLD), 4);
    let bits = |network: &Network| network.output().sampler().index().unwrap().hash().bits();
    let before = bits(&network);
    network.add_labels(3000, NewLabels::Random, || true).unwrap();
    assert!(bits(&network) > before);
    let all: Vec<_> = (0..OLD as u32 + 3000).map(Some).collect();
    let wanted = put_in(&network, &network.config().clone(), &all);
    check(name, network, wanted, OLD + 3000);
}

#[test]
fn growth_is_bitwise_the_same_at_any_number_of_threads() {
    for (name, config) in configs() {
        let run = |threads| {
            let config = config.clone();
            with_threads(threads, || {
                let mut network = Network::new(config).unwrap();
                train(&mut network, &data(OLD), 3);
                let all = data(OLD + NEW);
                let kept: Vec<bool> = (0..OLD).map(|id| id % 7 != 0).collect();
                network.remove_labels(&kept).unwrap();
                let more = OLD + NEW - network.output().units();
                network.add_labels(more, NewLabels::Random, || true).unwrap();
                train(&mut network, &all, 3);
                (state(&network), predictions(&mut network, &all))
            })
        };
        assert!(run(1) == run(2), "{name}");
    }
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_the_network_as_it_was() {
    let (name, config) = configs().swap_remove(0);
    let mut network = Network::new(config).unwrap();
    let before = state(&network);
    let refused = |result: slide_rs::Result<()>| result.unwrap_err().to_string();
    let zeros = |network: &mut Network, count| network.add_labels(count, NewLabels::Zeros, || true);
    assert!(refused(zeros(&mut network, 0)).starts_with("count is 0"));
    assert!(refused(zeros(&mut network, i32::MAX as usize)).starts_with("count is"));
    assert!(refused(zeros(&mut network, i32::MAX as usize - OLD)).contains("memory"));
    assert!(refused(network.remove_labels(&[false; OLD])).starts_with("kept has"));
    assert!(refused(network.remove_labels(&[true; OLD + 1])).starts_with("kept has"));
    let data = data(OLD);
    let y = *targets(&data).labels();
    let mean = NewLabels::MeanOfInputs(&features(&data), &y);
    assert!(refused(network.add_labels(3, mean, || true)).starts_with("Y has"));
    let (indptr, ids) = (vec![0_i64; data.rows().len() + 1], []);
    let y = IdLists::new("Y", Indices::I64(&indptr), Indices::I64(&ids), OLD + 1).unwrap();
    let mean = NewLabels::MeanOfInputs(&features(&data), &y);
    let text = refused(network.add_labels(1, mean, || true));
    assert_eq!(text, "Y has no row with label 90, but rows of every new label were expected");
    assert!(state(&network) == before, "{name}");
    // Labels that were counted before the network changed.
    let kept: Vec<bool> = (0..OLD).map(|id| id > 0).collect();
    network.remove_labels(&kept).unwrap();
    let (x, y) = (features(&data), targets(&data));
    assert!(refused(network.train_batch(&x, &y, &[0]).map(|_| ())).starts_with("Y has 90 labels"));
    let scored = network.score(&x, y.labels(), || true).map(|_| ());
    assert!(refused(scored).starts_with("candidates has 90 labels"));
}
