//! Every sampler against what it promises.

mod calibration;
mod random;
mod shared;

use super::*;
use crate::config::{Fill, LshConfig, OptimizerConfig, Strategy, TablesConfig};
use crate::lsh::{HashScratch, Vectors};
use crate::optim::Param;
use crate::rng::Stream;
use crate::rows::Rows;
use crate::simd::Kernels;

const UNITS: usize = 500;
const WIDTH: usize = 16;
const SGD: OptimizerConfig = OptimizerConfig::Sgd { lr: None, momentum: 0.0, nesterov: false };

fn lsh_config(strategy: Strategy, n_active: usize, n_tables: usize) -> LshConfig {
    let open = LshConfig::open();
    let tables = TablesConfig {
        n_tables: Some(n_tables),
        n_hashes: Some(4),
        bucket_size: Some(UNITS),
        seed: Some(1),
        ..open.tables.clone()
    };
    LshConfig { strategy, n_active: Some(n_active), random_share: Some(0.0), tables, ..open }
}

fn lsh(strategy: Strategy, n_active: usize, n_tables: usize) -> SamplerConfig {
    SamplerConfig::Lsh(lsh_config(strategy, n_active, n_tables))
}

/// Random neurons, of which each sample draws its own.
const fn uniform(n_active: usize, log_q: bool) -> SamplerConfig {
    SamplerConfig::Uniform { n_active: Some(n_active), log_q, shared_negatives: false }
}

/// The best neurons and random ones, of which each sample draws its own.
const fn oracle(n_active: usize, share: f32) -> SamplerConfig {
    let (n_active, random_share) = (Some(n_active), Some(share));
    SamplerConfig::Oracle { n_active, random_share, shared_negatives: false }
}

fn scratch() -> Scratch {
    Scratch::new(UNITS, Kernels::available().next().unwrap())
}

fn weights() -> Param<'static> {
    Param::new(Rows::random(UNITS, WIDTH, 1.0, 0, 0), &SGD)
}

fn build(config: &SamplerConfig) -> Sampler {
    build_on((&weights(), None), config)
}

fn build_on((weights, bias): (&Param<'_>, Option<&Param<'_>>), config: &SamplerConfig) -> Sampler {
    // The length matters to biases only: it gives them a unit other than 1.
    let mut sampler = Sampler::new(config, weights.weights().stripes(), WIDTH).expecting(4.0);
    if let Some(index) = sampler.index_mut() {
        index.refresh(&Kernels::available().next().unwrap(), weights, bias);
    }
    sampler
}

/// The codes that `sampler`, of a layer that `has_bias` or not, gives a query.
fn codes_of(sampler: &Sampler, query: &[f32], has_bias: bool) -> Vec<u16> {
    let Some(index) = sampler.index() else { return vec![] };
    let mut codes = vec![0; index.hash().n_tables()];
    let kernels = Kernels::available().next().unwrap();
    let vectors = Vectors::Dense { values: query, stride: query.len(), n: 1 };
    index.query_codes(&kernels, vectors, has_bias, &mut HashScratch::default(), &mut codes);
    codes
}

/// The codes that `sampler` gives the weight row of `id`.
fn codes(sampler: &Sampler, id: u32) -> Vec<u16> {
    codes_of(sampler, weights().weights().row(id), false)
}

/// Twenty samples of three labels each.
fn pool() -> Pool {
    let labels: Vec<[u32; 3]> = (0..20).map(|i| [i, i + 100, 200 + i % 5]).collect();
    let mut pool = Pool::default();
    pool.refill(labels.iter().map(|labels| &labels[..]));
    pool
}

/// The logits of a layer whose best neurons are those with the highest ids.
fn best(n: usize, active: &mut Vec<u32>) {
    active.extend((0..UNITS as u32).rev().take(n));
}

/// The active set of sample `item`, after what stands in `active`.
fn choose(sampler: &Sampler, labels: &[u32], item: u64, active: &mut Vec<u32>) -> Drawn {
    let codes = codes(sampler, 3);
    let (mut rng, mut scratch) = (Rng::new(0, Stream::Sampler, 0, item), scratch());
    let pool = &pool();
    let exact = &mut best;
    let mut query = Query {
        labels,
        codes: &codes,
        units: UNITS,
        pool: Some(pool),
        shared: &mut Shared::default(),
        exact,
    };
    let drawn = sampler.choose(&mut query, &mut rng, &mut scratch, active);
    assert!(scratch.votes.iter().all(|&v| v == 0));
    drawn
}

/// What is found for sample `item`.
fn retrieve(sampler: &Sampler, codes: &[u16], item: u64) -> Vec<u32> {
    let (mut rng, mut scratch) = (Rng::new(0, Stream::Sampler, 0, item), scratch());
    let pool = &pool();
    let mut found = vec![];
    let exact = &mut best;
    let mut query = Query {
        labels: &[],
        codes,
        units: UNITS,
        pool: Some(pool),
        shared: &mut Shared::default(),
        exact,
    };
    sampler.retrieve(&mut query, 0, &mut rng, &mut scratch, &mut found);
    assert!(scratch.votes.iter().all(|&v| v == 0));
    found
}

fn sorted(ids: &[u32]) -> Vec<u32> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}

/// In how many tables the codes find each row.
fn count(sampler: &Sampler, codes: &[u16]) -> Vec<usize> {
    let mut votes = vec![0; UNITS];
    for (table, &code) in codes.iter().enumerate() {
        for &id in sampler.index().unwrap().tables().bucket(table, code) {
            votes[id as usize] += 1;
        }
    }
    votes
}

/// All that compute sixty neurons for a sample.
fn samplers() -> Vec<SamplerConfig> {
    vec![
        lsh(Strategy::Topk, 60, 20),
        lsh(Strategy::Vanilla, 60, 20),
        lsh(Strategy::Threshold { min_count: 3 }, 60, 20),
        lsh(Strategy::Union, 60, 20),
        uniform(60, true),
        SamplerConfig::LogUniform { n_active: Some(60), log_q: true },
        oracle(60, 0.25),
    ]
}

#[test]
fn an_active_set_is_the_labels_then_distinct_others_up_to_n_active() {
    for config in samplers() {
        let sampler = build(&config);
        for item in 0..50 {
            let labels = [499, 3, item as u32 + 10];
            let mut active = vec![77];
            choose(&sampler, &labels, item, &mut active);
            assert_eq!(active[..4], [77, 499, 3, item as u32 + 10]);
            let mut set = sorted(&active[1..]);
            set.dedup();
            assert_eq!(set.len(), 60);
        }
    }
}

#[test]
fn without_labels_a_set_is_as_large() {
    for config in samplers() {
        let mut active = vec![];
        choose(&build(&config), &[], 0, &mut active);
        assert_eq!(active.len(), 60, "{config:?}");
    }
}

#[test]
fn the_same_sample_gets_the_same_set_and_another_one_another() {
    for config in samplers() {
        let sampler = build(&config);
        let set = |item| {
            let mut active = vec![];
            choose(&sampler, &[5], item, &mut active);
            active
        };
        assert_eq!(set(7), set(7));
        if !matches!(&config, SamplerConfig::Lsh(lsh) if lsh.strategy == Strategy::Topk) {
            assert_ne!(sorted(&set(7)), sorted(&set(8)), "{config:?}");
        }
    }
}

#[test]
fn more_labels_than_n_active_are_all_active() {
    for config in samplers() {
        let labels: Vec<u32> = (100..200).collect();
        let mut active = vec![];
        choose(&build(&config), &labels, 0, &mut active);
        assert_eq!(active, labels);
    }
}

#[test]
fn all_neurons_can_be_active() {
    for config in [
        lsh(Strategy::Topk, UNITS, 3),
        SamplerConfig::LogUniform { n_active: Some(UNITS), log_q: true },
        oracle(UNITS, 0.5),
        SamplerConfig::Full {},
    ] {
        let mut active = vec![];
        choose(&build(&config), &[8], 0, &mut active);
        assert_eq!(active[0], 8);
        assert!(sorted(&active).into_iter().eq(0..UNITS as u32), "{config:?}");
    }
}

#[test]
fn from_min_active_on_nothing_is_filled_in() {
    let n_tables = 3;
    for strategy in [Strategy::Union, Strategy::Threshold { min_count: 2 }] {
        for (min_active, fill) in [(1, Fill::Random), (400, Fill::Random), (400, Fill::None)] {
            let open = lsh_config(strategy, UNITS, n_tables);
            let config = LshConfig { min_active: Some(min_active), fill, ..open };
            let sampler = build(&SamplerConfig::Lsh(config));
            let codes = codes(&sampler, 3);
            let least = if strategy == Strategy::Union { 1 } else { 2 };
            let votes = count(&sampler, &codes);
            let expected: Vec<u32> =
                (0..UNITS as u32).filter(|&id| votes[id as usize] >= least).collect();
            assert_eq!(sorted(&retrieve(&sampler, &codes, 0)), expected);
            assert!(expected.contains(&3) && (5..300).contains(&expected.len()));
            let mut active = vec![];
            let drawn = choose(&sampler, &[3], 0, &mut active);
            assert_eq!(sorted(&active[..drawn.found]), expected);
            let filled = min_active == 400 && fill == Fill::Random;
            assert_eq!(active.len(), if filled { 400 } else { expected.len() });
        }
    }
}

#[test]
fn of_too_many_a_threshold_keeps_those_in_most_tables() {
    let sampler = build(&lsh(Strategy::Threshold { min_count: 2 }, 20, 20));
    for id in 0..20 {
        let codes = codes(&sampler, id);
        let votes = count(&sampler, &codes);
        let found = retrieve(&sampler, &codes, 0);
        assert_eq!(found.len(), 20);
        let worst = found.iter().map(|&id| votes[id as usize]).min().unwrap();
        let rest = (0..UNITS as u32).filter(|id| !found.contains(id));
        assert!(rest.map(|id| votes[id as usize]).max().unwrap() <= worst);
    }
}

#[test]
fn vanilla_takes_whole_buckets_of_tables_in_random_order() {
    let sampler = build(&lsh(Strategy::Vanilla, UNITS, 20));
    let codes = codes(&sampler, 3);
    let all = sorted(&retrieve(&sampler, &codes, 0));
    let votes = count(&sampler, &codes);
    assert!(all.iter().copied().eq((0..UNITS as u32).filter(|&id| votes[id as usize] > 0)));
    let few = build(&lsh(Strategy::Vanilla, 100, 20));
    let first = |item| {
        let found = retrieve(&few, &codes, item);
        assert_eq!(found.len(), 100);
        let whole = |table: &usize| {
            let bucket = few.index().unwrap().tables().bucket(*table, codes[*table]);
            bucket.len() <= 100 && sorted(&found[..bucket.len()]) == sorted(bucket)
        };
        (0..20).find(whole).unwrap()
    };
    assert!((1..10).any(|item| first(item) != first(0)));
}

#[test]
fn the_oracle_finds_the_best() {
    let sampler = build(&oracle(60, 0.25));
    assert!(retrieve(&sampler, &[], 0).into_iter().eq((455..500).rev()));
    let mut active = vec![];
    let drawn = choose(&sampler, &[0, 499], 0, &mut active);
    assert_eq!(active[..3], [0, 499, 498]);
    assert_eq!((drawn.found, active.len()), (46, 60));
}

#[test]
fn top_k_keeps_those_with_the_best_estimated_logits() {
    let (n_active, n_tables, n_hashes) = (40, 20, 4);
    let sampler = build(&lsh(Strategy::Topk, n_active, n_tables));
    let weights = weights();
    for id in 0..50 {
        let codes = codes(&sampler, id);
        let votes = count(&sampler, &codes);
        let logit = |id: u32| {
            let row = weights.weights().row(id).iter().map(|&w| f64::from(w) * f64::from(w));
            let share = votes[id as usize] as f64 / n_tables as f64;
            let angle = std::f64::consts::PI * (1.0 - share.powf(1.0 / f64::from(n_hashes)));
            angle.cos().max(0.0) * row.sum::<f64>().sqrt()
        };
        let found = retrieve(&sampler, &codes, 0);
        let rest = (0..UNITS as u32).filter(|id| votes[*id as usize] > 0 && !found.contains(id));
        let best_left_out = rest.map(logit).fold(0.0, f64::max);
        let worst = found.iter().map(|&id| logit(id)).fold(f64::MAX, f64::min);
        // A grade is at most one part in sixteen wide.
        assert!(worst >= best_left_out / (1.0 + 1.0 / 16.0), "{worst} {best_left_out}");
    }
}

#[test]
fn of_a_bucket_that_is_read_in_part_every_neuron_is_read_equally_often() {
    for strategy in [Strategy::Topk, Strategy::Threshold { min_count: 1 }, Strategy::Union] {
        let open = lsh_config(strategy, UNITS, 1);
        let (n_hashes, bucket_size) = (Some(1), Some(40));
        let tables = TablesConfig { n_hashes, bucket_size, ..open.tables };
        let sampler = build(&SamplerConfig::Lsh(LshConfig { tables, min_active: Some(1), ..open }));
        let codes = codes(&sampler, 3);
        let bucket = sampler.index().unwrap().tables().bucket(0, codes[0]);
        let (draws, mut counts) = (2000, [0_u32; UNITS]);
        for item in 0..draws {
            let found = retrieve(&sampler, &codes, item);
            assert_eq!(found.len(), 40);
            for id in found {
                counts[id as usize] += 1;
            }
        }
        let share = 40.0 / bucket.len() as f64;
        let error = (share * (1.0 - share) * draws as f64).sqrt();
        for &id in bucket {
            let off = f64::from(counts[id as usize]) - share * draws as f64;
            // Of some 250 counts one is 4.5 standard errors off once in 600 seeds.
            assert!(off.abs() < 4.5 * error, "{strategy:?}, {id}: {off} and {error}");
        }
    }
}

#[test]
fn a_share_of_random_neurons_stands_for_all_that_were_not_found() {
    let config = LshConfig { random_share: Some(0.25), ..lsh_config(Strategy::Topk, 60, 20) };
    let sampler = build(&SamplerConfig::Lsh(config));
    let mut active = vec![];
    let drawn = choose(&sampler, &[3], 0, &mut active);
    // 45 from the tables; the label is one of them.
    assert_eq!(drawn, Drawn::new(45, 15, UNITS, Law::Fill));
    assert_eq!(active.len(), 60);
}
