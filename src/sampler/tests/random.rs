//! Random neurons: how likely each is, and what the samples of a block share of them.

use super::*;

#[test]
fn in_batch_takes_the_labels_of_the_other_samples() {
    let sampler = build(&SamplerConfig::InBatch { n_active: Some(UNITS), log_q: true });
    let mut active = vec![];
    choose(&sampler, &[3, 103, 203], 0, &mut active);
    assert_eq!(active[..3], [3, 103, 203]);
    let expected: Vec<u32> = (0..20).chain(100..120).chain(200..205).collect();
    assert_eq!(sorted(&active), expected);
    assert_eq!(sorted(&retrieve(&sampler, &[], 0)), expected);
    let few = build(&SamplerConfig::InBatch { n_active: Some(10), log_q: true });
    let mut counts = vec![0_u32; UNITS];
    for item in 0..2000 {
        active.clear();
        choose(&few, &[3, 103, 203], item, &mut active);
        assert_eq!(active.len(), 10);
        for &id in &active[3..] {
            counts[id as usize] += 1;
        }
    }
    // Seven of 42 others, each equally likely.
    let (share, draws) = (7.0_f64 / 42.0, 2000.0);
    let others = expected.iter().filter(|id| ![3, 103, 203].contains(id));
    for &id in others {
        let error = (share * (1.0 - share) * draws).sqrt();
        assert!((f64::from(counts[id as usize]) - share * draws).abs() < 4.5 * error);
    }
}

#[test]
fn a_pool_knows_how_likely_a_label_is_to_be_in_it() {
    let pool = pool();
    assert_eq!(pool.ids().len(), 45);
    // One of nineteen others, and four of nineteen.
    let expected = |count: f64| (1.0 - (1.0 - count / 19.0).powi(19)).ln() as f32;
    assert!((pool.log_q(7) - expected(1.0)).abs() < 1e-6);
    assert!((pool.log_q(202) - expected(4.0)).abs() < 1e-6);
    assert_eq!(pool.log_q(50), 0.0);
}

#[test]
fn uniform_draws_every_neuron_equally_often() {
    let sampler = build(&uniform(60, true));
    let (draws, mut counts) = (4000, vec![0_u32; UNITS]);
    for item in 0..draws {
        for id in retrieve(&sampler, &[], item) {
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
    let sampler = build(&uniform(60, true));
    let labels: Vec<u32> = (0..10).collect();
    let drawn = choose(&sampler, &labels, 0, &mut vec![]);
    assert_eq!(drawn, Drawn::new(10, 50, UNITS, Law::Fill));
    assert_eq!(drawn.log_q(), (50.0_f64 / 490.0).ln() as f32);
    let sampler = build(&uniform(60, false));
    assert_eq!(choose(&sampler, &labels, 0, &mut vec![]).log_q(), 0.0);
}
