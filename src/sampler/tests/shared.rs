//! Random neurons that the samples of a block share.

use super::*;

/// Samplers with random neurons, of which the samples of a block share them or not.
fn sharing(shared_negatives: bool) -> [SamplerConfig; 3] {
    let (n_active, random_share) = (Some(60), Some(0.5));
    let open = lsh_config(Strategy::Topk, 60, 20);
    [
        SamplerConfig::Uniform { n_active, log_q: true, shared_negatives },
        SamplerConfig::Oracle { n_active, random_share, shared_negatives },
        SamplerConfig::Lsh(LshConfig { random_share, shared_negatives, ..open }),
    ]
}

/// What block `block` draws for its samples.
fn drawn_for(sampler: &Sampler, block: u64) -> Shared {
    let (mut scratch, mut out) = (scratch(), Shared::default());
    out.refill(|ids| ids.extend([7, 8]));
    let mut rng = Rng::new(0, Stream::SharedNegatives, 0, block);
    sampler.share(UNITS, &mut rng, &mut scratch, &mut out);
    assert!(scratch.votes.iter().all(|&v| v == 0));
    out
}

/// The active set of sample `item` of a block that drew `shared`, and how many of it are not random.
fn choose_with(
    sampler: &Sampler,
    labels: &[u32],
    shared: &mut Shared,
    item: u64,
) -> (Vec<u32>, Drawn) {
    let codes = codes(sampler, 3);
    let (mut rng, mut scratch) = (Rng::new(0, Stream::Sampler, 0, item), scratch());
    let (exact, mut active) = (&mut best, vec![]);
    let mut query = Query { labels, codes: &codes, units: UNITS, pool: None, shared, exact };
    let drawn = sampler.choose(&mut query, &mut rng, &mut scratch, &mut active);
    assert!(scratch.votes.iter().all(|&v| v == 0));
    (active, drawn)
}

#[test]
fn samples_of_a_block_take_the_first_that_they_do_not_have_yet() {
    for config in sharing(true) {
        let sampler = build(&config);
        let mut shared = drawn_for(&sampler, 5);
        let all = shared.ids().to_vec();
        for item in 0..30 {
            // Some of the labels are among the shared ones.
            let labels = [item as u32, all[3], 400 + item as u32];
            let (active, drawn) = choose_with(&sampler, &labels, &mut shared, item);
            assert_eq!((&active[..3], active.len()), (&labels[..], 60), "{config:?}");
            let (known, random) = active.split_at(drawn.found);
            let mut first: Vec<u32> =
                all.iter().copied().filter(|id| !known.contains(id)).collect();
            first.truncate(random.len());
            // More are drawn by the sample alone, where its own are among the shared ones.
            let (own, last) = random.split_at(random.len() - first.len());
            assert_eq!(
                (last, shared.count(item as usize)),
                (&first[..], first.len()),
                "{config:?}"
            );
            let taken = shared.runs(item as usize).flatten();
            assert_eq!(taken.map(|place| all[place]).collect::<Vec<_>>(), first);
            assert!(own.len() <= known.len(), "{config:?}");
            let mut set = sorted(&active);
            set.dedup();
            assert_eq!(set.len(), 60, "{config:?}");
        }
    }
}

#[test]
fn blocks_draw_for_themselves_and_always_the_same() {
    for config in sharing(true) {
        let sampler = build(&config);
        let drawn_for = |block| drawn_for(&sampler, block).ids().to_vec();
        let mut set = sorted(&drawn_for(5));
        assert_eq!(drawn_for(5), drawn_for(5));
        assert_ne!(set, sorted(&drawn_for(6)));
        let drawn = set.len();
        set.dedup();
        assert_eq!(set.len(), drawn);
        assert!((30..=60).contains(&drawn), "{config:?}: {drawn}");
    }
    for config in sharing(false) {
        assert!(drawn_for(&build(&config), 5).ids().is_empty(), "{config:?}");
    }
}

#[test]
fn every_neuron_is_drawn_as_often_as_by_the_sample_itself() {
    let labels: Vec<u32> = (0..10).collect();
    let (blocks, share) = (4000, 50.0_f64 / 490.0);
    let [config, ..] = sharing(true);
    let sampler = build(&config);
    let mut counts = vec![0_u32; UNITS];
    for block in 0..blocks {
        // One sample of each block: those of a block are not independent.
        let mut shared = drawn_for(&sampler, block);
        let (active, drawn) = choose_with(&sampler, &labels, &mut shared, block);
        // It is corrected as if it had drawn for itself.
        assert_eq!(drawn, Drawn::new(10, 50, UNITS, Law::Fill));
        for &id in &active[10..] {
            counts[id as usize] += 1;
        }
    }
    assert!(counts[..10].iter().all(|&count| count == 0));
    let expected = blocks as f64 * share;
    let square = |&count: &u32| (f64::from(count) - expected).powi(2) / expected;
    let chi: f64 = counts[10..].iter().map(square).sum();
    // Without replacement the variance is (1 - share) of a Poisson's; five standard deviations.
    let freedom = 489.0_f64;
    let off = chi / (1.0 - share) - freedom;
    assert!(off.abs() < 5.0 * (2.0 * freedom).sqrt(), "chi square {chi}");
}
