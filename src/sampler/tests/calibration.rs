//! The corrected sum over an active set estimates the sum over all neurons, which is what the
//! softmax divides by: sum of exp(a) = E[sum over labels exp(a) + sum over sampled exp(a - log q)].

use super::*;
use crate::config::LogQ;

const LABELS: [u32; 3] = [4, 90, 333];

/// How many standard errors the mean estimate lies from the truth, over draws and hash functions.
fn errors_off(repeats: u64, config: impl Fn(u64) -> SamplerConfig) -> f64 {
    let weights = weights();
    let mut x = vec![0.0; WIDTH];
    Rng::new(5, Stream::Probe, 0, 0).fill_normal(0.3, &mut x);
    let kernels = Kernels::available().next().unwrap();
    let logit = |&id: &u32| (kernels.dot)(weights.weights().row(id), &x);
    let length = (kernels.dot)(&x, &x).sqrt();
    let exp = |logits: &[f32]| logits.iter().map(|&a| f64::from(a).exp()).sum::<f64>();
    let all: Vec<u32> = (0..UNITS as u32).collect();
    let whole = exp(&all.iter().map(logit).collect::<Vec<_>>());

    let (mut scratch, mut sampler) = (scratch(), build(&config(0)));
    let mut estimates = vec![];
    for item in 0..repeats {
        if sampler.index().is_some() {
            sampler = build(&config(item));
        }
        let codes = codes_of(&sampler, &x);
        let (mut rng, mut active) = (Rng::new(8, Stream::Sampler, 0, item), vec![]);
        let exact = &mut best;
        let mut query = Query { labels: &LABELS, codes: &codes, units: UNITS, pool: None, exact };
        let drawn = sampler.choose(&mut query, &mut rng, &mut scratch, &mut active);
        let mut logits: Vec<f32> = active.iter().map(logit).collect();
        sampler.correct(&drawn, (&active, LABELS.len()), None, length, &mut logits);
        estimates.push(exp(&logits));
    }
    let n = repeats as f64;
    let mean = estimates.iter().sum::<f64>() / n;
    let variance = estimates.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let off = (mean - whole) / (variance / n).sqrt();
    println!("{off:.2}: {mean:.2} vs {whole:.2}, sd {:.3}", variance.sqrt());
    off
}

#[test]
fn probe() {
    for n_active in [60, 450] {
        errors_off(2000, |_| SamplerConfig::Uniform { n_active: Some(n_active), log_q: true });
        errors_off(2000, |_| SamplerConfig::LogUniform { n_active: Some(n_active), log_q: true });
    }
    let lsh = |strategy, n_active, min, share, log_q, size, seed| {
        let open = lsh_config(strategy, n_active, 6);
        let tables = TablesConfig {
            n_hashes: Some(3),
            bucket_size: Some(size),
            seed: Some(seed),
            ..open.tables
        };
        SamplerConfig::Lsh(LshConfig {
            tables,
            log_q,
            min_active: Some(min),
            random_share: Some(share),
            ..open
        })
    };
    let s =
        [Strategy::Topk, Strategy::Vanilla, Strategy::Union, Strategy::Threshold { min_count: 2 }];
    println!("random share");
    for s in s {
        errors_off(500, |seed| lsh(s, 60, 60, 0.5, LogQ::Random, UNITS, seed));
    }
    println!("all, no cap, no fill");
    for s in s {
        errors_off(1000, |seed| lsh(s, UNITS, 1, 0.0, LogQ::All, UNITS, seed));
    }
    println!("all, cap 100, no fill");
    for s in s {
        errors_off(1000, |seed| lsh(s, 100, 1, 0.0, LogQ::All, UNITS, seed));
    }
    println!("all, cap 100, share .3 fill");
    for s in s {
        errors_off(1000, |seed| lsh(s, 100, 100, 0.3, LogQ::All, UNITS, seed));
    }
    println!("all, no cap, min 100 share .3 fill");
    for s in s {
        errors_off(1000, |seed| lsh(s, UNITS, 100, 0.3, LogQ::All, UNITS, seed));
    }
    println!("all, no cap, bucket 30");
    for s in s {
        errors_off(1000, |seed| lsh(s, UNITS, 1, 0.0, LogQ::All, 30, seed));
    }
}
