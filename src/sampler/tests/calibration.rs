//! The corrected sum over an active set estimates the sum over all neurons, which is what the
//! softmax divides by: sum of exp(a) = E[sum over labels exp(a) + sum over sampled exp(a - log q)].

use super::*;
use crate::config::LogQ;

const LABELS: [u32; 3] = [4, 90, 333];

/// The mean over draws, and hash functions, as a share of the truth.
#[derive(Debug)]
struct Estimate {
    /// How far from 1.
    off: f64,
    /// Its standard error.
    error: f64,
}

fn estimate(repeats: u64, config: impl Fn(u64) -> SamplerConfig) -> Estimate {
    estimate_with(None, repeats, config)
}

fn estimate_with(
    bias: Option<&Param<'_>>,
    repeats: u64,
    config: impl Fn(u64) -> SamplerConfig,
) -> Estimate {
    let weights = weights();
    let mut x = vec![0.0; WIDTH];
    Rng::new(5, Stream::Probe, 0, 0).fill_normal(0.3, &mut x);
    let kernels = Kernels::available().next().unwrap();
    let bias_of = |id| bias.map_or(0.0, |bias| bias.weights().row(id)[0]);
    let logit = |&id: &u32| (kernels.dot)(weights.weights().row(id), &x) + bias_of(id);
    let exp = |logits: &[f32]| logits.iter().map(|&a| f64::from(a).exp()).sum::<f64>();
    let all: Vec<u32> = (0..UNITS as u32).collect();
    let whole = exp(&all.iter().map(logit).collect::<Vec<_>>());

    let (mut scratch, mut sampler) = (scratch(), build_on((&weights, bias), &config(0)));
    let (mut estimates, mut shared) = (vec![], Shared::default());
    for item in 0..repeats {
        if sampler.index().is_some() {
            sampler = build_on((&weights, bias), &config(item));
        }
        let codes = codes_of(&sampler, &x, bias.is_some());
        let unit = sampler.index().filter(|_| bias.is_some()).map_or(0.0, Index::bias_unit);
        let length = unit.mul_add(unit, (kernels.dot)(&x, &x)).sqrt();
        let (mut rng, mut active) = (Rng::new(8, Stream::Sampler, 0, item), vec![]);
        let mut of_block = Rng::new(8, Stream::SharedNegatives, 0, item);
        sampler.share(UNITS, &mut of_block, &mut scratch, &mut shared);
        let (labels, shared, exact) = (&LABELS[..], &mut shared, &mut best);
        let mut query = Query { labels, codes: &codes, units: UNITS, pool: None, shared, exact };
        let drawn = sampler.choose(&mut query, &mut rng, &mut scratch, &mut active);
        let mut logits: Vec<f32> = active.iter().map(logit).collect();
        sampler.correct(&drawn, (&active, LABELS.len()), None, length, &mut logits);
        estimates.push(exp(&logits));
    }
    let n = repeats as f64;
    let mean = estimates.iter().sum::<f64>() / n;
    let variance = estimates.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Estimate { off: mean / whole - 1.0, error: (variance / n).sqrt() / whole }
}

/// Tables of three functions: few enough that even a row opposite to the query may be found.
fn tables_of(strategy: Strategy, [n_active, min_active]: [usize; 2], size: usize) -> LshConfig {
    let open = lsh_config(strategy, n_active, 6);
    let tables = TablesConfig { n_hashes: Some(3), bucket_size: Some(size), ..open.tables };
    LshConfig { tables, min_active: Some(min_active), ..open }
}

/// The same with the functions of `seed`.
fn seeded(config: &LshConfig, seed: u64) -> SamplerConfig {
    let tables = TablesConfig { seed: Some(seed), ..config.tables.clone() };
    SamplerConfig::Lsh(LshConfig { tables, ..config.clone() })
}

const STRATEGIES: [Strategy; 4] =
    [Strategy::Topk, Strategy::Vanilla, Strategy::Union, Strategy::Threshold { min_count: 2 }];

#[test]
fn random_samplers_are_calibrated() {
    for n_active in [60, 450] {
        for config in [
            uniform(n_active, true),
            SamplerConfig::Uniform {
                n_active: Some(n_active),
                log_q: true,
                shared_negatives: true,
            },
            SamplerConfig::LogUniform { n_active: Some(n_active), log_q: true },
        ] {
            let estimate = estimate(1000, |_| config.clone());
            assert!(estimate.off.abs() < 4.0 * estimate.error, "{config:?}: {estimate:?}");
        }
    }
}

#[test]
fn a_random_share_beside_any_strategy_is_calibrated() {
    for strategy in STRATEGIES {
        let config = LshConfig { random_share: Some(0.5), ..tables_of(strategy, [60, 60], UNITS) };
        let estimate = estimate(200, |seed| seeded(&config, seed));
        assert!(estimate.off.abs() < 4.0 * estimate.error, "{strategy:?}: {estimate:?}");
    }
}

#[test]
fn found_neurons_are_calibrated_by_the_angle() {
    for strategy in STRATEGIES {
        for share in [0.0, 0.3] {
            let least = if share == 0.0 { 1 } else { 100 };
            let open = tables_of(strategy, [UNITS, least], UNITS);
            let config = LshConfig { log_q: LogQ::All, random_share: Some(share), ..open };
            let estimate = estimate(200, |seed| seeded(&config, seed));
            assert!(estimate.off.abs() < 4.0 * estimate.error, "{strategy:?}: {estimate:?}");
        }
    }
}

#[test]
fn large_biases_change_no_calibration_by_the_angle() {
    let mut bias = Param::new(Rows::column(UNITS), &SGD);
    let mut rng = Rng::new(6, Stream::Probe, 0, 0);
    for id in 0..UNITS as u32 {
        // Lower and more spread than the inner products, as after few labels were seen.
        rng.fill_normal(3.0, bias.weights_mut().row_mut(id));
        bias.weights_mut().row_mut(id)[0] -= 3.0;
    }
    let unit = build_on((&weights(), Some(&bias)), &lsh(Strategy::Union, UNITS, 6));
    assert!(unit.index().unwrap().bias_unit() > 1.0);
    for strategy in STRATEGIES {
        for share in [0.0, 0.3] {
            let least = if share == 0.0 { 1 } else { 100 };
            let open = tables_of(strategy, [UNITS, least], UNITS);
            let config = LshConfig { log_q: LogQ::All, random_share: Some(share), ..open };
            let estimate = estimate_with(Some(&bias), 200, |seed| seeded(&config, seed));
            assert!(estimate.off.abs() < 4.0 * estimate.error, "{strategy:?}: {estimate:?}");
        }
    }
}

#[test]
fn a_limit_that_the_candidates_set_costs_little_calibration() {
    // Which table is the last, which count the least, how many share the places: all depend on the
    // candidates but are taken as given, as is the share of the buckets that is read.
    for strategy in STRATEGIES {
        for (n_active, size) in [(100, UNITS), (UNITS, 50)] {
            let open = tables_of(strategy, [n_active, 1], size);
            let config = LshConfig { log_q: LogQ::All, ..open };
            let estimate = estimate(200, |seed| seeded(&config, seed));
            let room = 4.0 * estimate.error + 0.01;
            assert!(estimate.off.abs() < room, "{strategy:?} {n_active}: {estimate:?}");
        }
    }
}

#[test]
fn a_limit_on_those_graded_is_part_of_the_law() {
    // Of about 50 found, nearly all of them once, 40 are graded. Without the share of these in the
    // law, the estimate is off by more than is allowed here.
    let open = tables_of(Strategy::Topk, [10, 10], 10);
    let config = LshConfig { log_q: LogQ::All, random_share: Some(0.0), ..open };
    let estimate = estimate(2000, |seed| seeded(&config, seed));
    assert!(estimate.off.abs() < 4.0 * estimate.error + 0.01, "{estimate:?}");
}

#[test]
fn without_correction_the_sum_is_far_off() {
    // That the tests above can fail at all.
    let uniform = uniform(60, false);
    let all = LshConfig { log_q: LogQ::None, ..tables_of(Strategy::Union, [UNITS, 1], UNITS) };
    for estimate in [estimate(100, |_| uniform.clone()), estimate(100, |seed| seeded(&all, seed))] {
        assert!(estimate.off < -10.0 * estimate.error, "{estimate:?}");
    }
}
