//! Every sampler against what it promises.

use super::*;
use crate::config::OptimizerConfig;
use crate::config::{LshConfig, TablesConfig};
use crate::optim::Param;
use crate::rng::Stream;
use crate::rows::Rows;
use crate::simd::Kernels;

const UNITS: usize = 500;
const WIDTH: usize = 16;

fn lsh(strategy: Strategy, n_active: usize, n_tables: usize) -> SamplerConfig {
    let open = LshConfig::open();
    let tables = TablesConfig {
        n_tables: Some(n_tables),
        n_hashes: Some(4),
        bucket_size: Some(UNITS),
        seed: Some(1),
        ..open.tables.clone()
    };
    let n_active = Some(n_active);
    SamplerConfig::Lsh(LshConfig { strategy, n_active, random_share: Some(0.0), tables, ..open })
}

fn scratch() -> Scratch {
    Scratch::new(UNITS, Kernels::available().next().unwrap())
}

fn weights() -> Param {
    let sgd = OptimizerConfig::Sgd { lr: None, momentum: 0.0, nesterov: false };
    Param::new(Rows::random(UNITS, WIDTH, 1.0, 0, 0), &sgd)
}

fn build(config: &SamplerConfig) -> Sampler {
    let weights = weights();
    let mut sampler = Sampler::new(config, weights.weights().stripes(), WIDTH);
    if let Some(index) = sampler.index_mut() {
        index.refresh(&Kernels::available().next().unwrap(), &weights, None);
    }
    sampler
}

/// The codes that `sampler` gives the weight row of `id`.
fn codes(sampler: &Sampler, id: u32) -> Vec<u16> {
    let Some(index) = sampler.index() else { return vec![] };
    let weights = weights();
    let mut codes = vec![0; index.hash().n_tables()];
    let query = (weights.weights().row(id), WIDTH);
    let kernels = Kernels::available().next().unwrap();
    index.hash().codes(&kernels, query, &[0.0], &mut vec![], &mut codes);
    codes
}

fn samplers() -> Vec<SamplerConfig> {
    vec![
        lsh(Strategy::Topk, 60, 20),
        lsh(Strategy::Vanilla, 60, 20),
        SamplerConfig::Uniform { n_active: Some(60), log_q: true },
    ]
}

#[test]
fn an_active_set_is_the_labels_then_distinct_others_up_to_n_active() {
    for config in samplers() {
        let sampler = build(&config);
        let mut scratch = scratch();
        for item in 0..50 {
            let mut rng = Rng::new(0, Stream::Sampler, 0, item);
            let labels = [499, 3, item as u32 + 10];
            let mut active = vec![77];
            let codes = codes(&sampler, 3);
            sampler.choose(&labels, (&codes, UNITS), &mut rng, &mut scratch, &mut active);
            assert_eq!(active[..4], [77, 499, 3, item as u32 + 10]);
            let mut set = active[1..].to_vec();
            set.sort_unstable();
            set.dedup();
            assert_eq!(set.len(), 60);
            assert!(scratch.votes.iter().all(|&v| v == 0));
        }
    }
}

#[test]
fn more_labels_than_n_active_are_all_active() {
    for config in samplers() {
        let sampler = build(&config);
        let labels: Vec<u32> = (100..200).collect();
        let mut active = vec![];
        let mut rng = Rng::new(0, Stream::Sampler, 0, 0);
        let codes = codes(&sampler, 0);
        let mut scratch = scratch();
        sampler.choose(&labels, (&codes, UNITS), &mut rng, &mut scratch, &mut active);
        assert_eq!(active, labels);
    }
}

#[test]
fn all_neurons_can_be_active() {
    for config in [lsh(Strategy::Topk, UNITS, 3), SamplerConfig::Full {}] {
        let sampler = build(&config);
        let mut active = vec![];
        let mut rng = Rng::new(0, Stream::Sampler, 0, 0);
        let codes = codes(&sampler, 8);
        let mut scratch = scratch();
        sampler.choose(&[8], (&codes, UNITS), &mut rng, &mut scratch, &mut active);
        active.sort_unstable();
        assert!(active.iter().copied().eq(0..UNITS as u32));
    }
}

#[test]
fn a_hidden_layer_needs_no_labels() {
    for config in samplers() {
        let mut active = vec![];
        let sampler = build(&config);
        let codes = codes(&sampler, 0);
        let mut rng = Rng::new(0, Stream::Sampler, 0, 0);
        let mut scratch = scratch();
        sampler.choose(&[], (&codes, UNITS), &mut rng, &mut scratch, &mut active);
        assert!(!active.is_empty(), "{config:?}");
    }
}

#[test]
fn top_k_keeps_those_with_the_best_estimated_logits() {
    let (n_active, n_tables, n_hashes) = (40, 20, 4);
    let sampler = build(&lsh(Strategy::Topk, n_active, n_tables));
    let (index, weights) = (sampler.index().unwrap(), weights());
    for id in 0..50 {
        let codes = codes(&sampler, id);
        let mut votes = vec![0; UNITS];
        for (table, &code) in codes.iter().enumerate() {
            for &id in index.tables().bucket(table, code) {
                votes[id as usize] += 1;
            }
        }
        let logit = |id: u32| {
            let row = weights.weights().row(id).iter().map(|&w| f64::from(w) * f64::from(w));
            let share = f64::from(votes[id as usize]) / n_tables as f64;
            let angle = std::f64::consts::PI * (1.0 - share.powf(1.0 / f64::from(n_hashes)));
            angle.cos().max(0.0) * row.sum::<f64>().sqrt()
        };
        let mut found = vec![];
        let mut rng = Rng::new(0, Stream::Sampler, 0, 0);
        let mut scratch = scratch();
        sampler.retrieve((&codes, UNITS), 0, &mut rng, &mut scratch, &mut found);
        let rest = (0..UNITS as u32).filter(|id| votes[*id as usize] > 0 && !found.contains(id));
        let best_left_out = rest.map(logit).fold(0.0, f64::max);
        let worst = found.iter().map(|&id| logit(id)).fold(f64::MAX, f64::min);
        // A grade is at most one part in sixteen wide.
        assert!(worst >= best_left_out / (1.0 + 1.0 / 16.0), "{worst} {best_left_out}");
    }
}

#[test]
fn uniform_draws_every_neuron_equally_often() {
    let sampler = build(&SamplerConfig::Uniform { n_active: Some(60), log_q: true });
    let (draws, mut counts) = (4000, vec![0_u32; UNITS]);
    let mut scratch = scratch();
    for item in 0..draws {
        let mut rng = Rng::new(4, Stream::Sampler, 0, item);
        let mut found = vec![];
        sampler.retrieve((&[], UNITS), 0, &mut rng, &mut scratch, &mut found);
        for id in found {
            counts[id as usize] += 1;
        }
    }
    let expected = draws as f64 * 60.0 / UNITS as f64;
    let chi: f64 = counts.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
    // Without replacement the variance is (1 - 60/500) of a Poisson's; five standard deviations.
    let freedom = (UNITS - 1) as f64;
    assert!((chi - 0.88 * freedom).abs() < 5.0 * (2.0 * freedom).sqrt(), "chi square {chi}");
}

#[test]
fn uniform_corrects_by_the_probability_of_being_drawn() {
    let sampler = build(&SamplerConfig::Uniform { n_active: Some(60), log_q: true });
    let labels: Vec<u32> = (0..10).collect();
    let (mut rng, mut scratch) = (Rng::new(0, Stream::Sampler, 0, 0), scratch());
    let drawn = sampler.choose(&labels, (&[], UNITS), &mut rng, &mut scratch, &mut vec![]);
    assert_eq!(drawn, Drawn { found: 10, log_q: (50.0_f64 / 490.0).ln() as f32 });
}

#[test]
fn a_share_of_random_neurons_stands_for_all_that_were_not_found() {
    let mut config = lsh(Strategy::Topk, 60, 20);
    if let SamplerConfig::Lsh(lsh) = &mut config {
        lsh.random_share = Some(0.25);
    }
    let sampler = build(&config);
    let codes = codes(&sampler, 3);
    let (mut rng, mut scratch) = (Rng::new(0, Stream::Sampler, 0, 0), scratch());
    let mut active = vec![];
    let drawn = sampler.choose(&[3], (&codes, UNITS), &mut rng, &mut scratch, &mut active);
    // 45 from the tables; the label is one of them.
    assert_eq!(drawn, Drawn { found: 45, log_q: (15.0_f64 / 455.0).ln() as f32 });
    assert_eq!(active.len(), 60);
}

#[test]
fn the_corrected_sum_is_an_unbiased_estimate_of_the_whole() {
    // With logits a, sum exp(a) over all neurons = E[sum over found + sum over drawn exp(a - log q)].
    let sampler = build(&SamplerConfig::Uniform { n_active: Some(60), log_q: true });
    let weight = |id: u32| 1.0 + f64::from(id % 7);
    let whole: f64 = (0..UNITS as u32).map(weight).sum();
    let (repeats, mut scratch) = (4000, scratch());
    let estimates: Vec<f64> = (0..repeats)
        .map(|item| {
            let (mut rng, mut active) = (Rng::new(8, Stream::Sampler, 0, item as u64), vec![]);
            let drawn = sampler.choose(&[4], (&[], UNITS), &mut rng, &mut scratch, &mut active);
            let (found, random) = active.split_at(drawn.found);
            let sum = |ids: &[u32]| ids.iter().map(|&id| weight(id)).sum::<f64>();
            sum(found) + sum(random) * f64::from(-drawn.log_q).exp()
        })
        .collect();
    let mean = estimates.iter().sum::<f64>() / f64::from(repeats);
    let variance = estimates.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(repeats);
    assert!((mean - whole).abs() < 4.0 * (variance / f64::from(repeats)).sqrt(), "{mean} {whole}");
}
