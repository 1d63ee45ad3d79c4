//! Each family against its theory: how often random pairs of vectors collide.

use std::f64::consts::PI;

use super::doph::Doph;
use super::*;
use crate::config::tests::plain;
use crate::config::{FamilyConfig, LshConfig, Projection, SamplerConfig, TablesConfig};
use crate::rng::{Rng, Stream};
use crate::simd::Kernels;

const PAIRS: usize = 10_000;

/// Standard errors that a rate may be off: chance alone exceeds them once in 16,000 times.
const ERRORS: f64 = 4.0;

const PROJECTIONS: [Projection; 4] =
    [Projection::Gaussian, Projection::Rademacher, Projection::Sparse, Projection::Hadamard];

fn kernels() -> Kernels {
    Kernels::available().next().unwrap()
}

/// A Gaussian vector and one at a random angle to it, side by side.
fn pair(seed: u64, width: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed, Stream::Probe, 1, 0);
    let mut both = vec![0.0; 2 * width];
    rng.fill_normal(1.0, &mut both);
    let (near, far) = (rng.uniform() * 3.0 - 1.0, rng.uniform());
    let (x, y) = both.split_at_mut(width);
    for (x, y) in x.iter().zip(y) {
        *y = near * x + far * *y;
    }
    both
}

/// Sets coordinates of both vectors to zero until about `share` of each are left.
fn thin(both: &mut [f32], share: f32, seed: u64) {
    let mut rng = Rng::new(seed, Stream::Probe, 2, 0);
    both.iter_mut().filter(|_| rng.uniform() >= share).for_each(|x| *x = 0.0);
}

/// Whether the first codes of two vectors of `family` functions, drawn for them alone, agree.
fn collide(config: &TablesConfig, both: &[f32], seed: u64, table: usize) -> bool {
    let config = TablesConfig { seed: Some(seed), append_bias: false, ..config.clone() };
    let width = both.len() / 2;
    let hash = HashFamily::new(&config, width, 1000, 0);
    let n_tables = hash.n_tables();
    let mut codes = vec![0; 2 * n_tables];
    let vectors = Vectors::Dense { values: both, stride: width, n: 2 };
    hash.codes(&kernels(), vectors, &[], &mut HashScratch::default(), &mut codes);
    codes[table] == codes[n_tables + table]
}

fn config(family: FamilyConfig, n_tables: usize, n_hashes: usize) -> TablesConfig {
    let (n_tables, n_hashes) = (Some(n_tables), Some(n_hashes));
    TablesConfig { family, n_tables, n_hashes, ..LshConfig::open().tables }
}

/// Asserts that as many of `agreed` are true as the probabilities beside them say.
fn assert_as_likely(agreed: impl Iterator<Item = (bool, f64)>, what: &str) {
    let (mut off, mut variance, mut n) = (0.0, 0.0, 0);
    for (agreed, p) in agreed {
        off += f64::from(u8::from(agreed)) - p;
        variance += p * (1.0 - p);
        n += 1;
    }
    assert_eq!(n, PAIRS);
    assert!(off.abs() < ERRORS * variance.sqrt(), "{what}: {off} of {n}, {variance}");
}

/// Asserts that as many of `ours` are true as of `theirs`.
fn assert_as_often(pairs: impl Iterator<Item = (bool, bool)>, what: &str) {
    let (mut ours, mut theirs) = (0.0, 0.0);
    for (our, their) in pairs {
        ours += f64::from(u8::from(our)) / PAIRS as f64;
        theirs += f64::from(u8::from(their)) / PAIRS as f64;
    }
    let variance = (ours * (1.0 - ours) + theirs * (1.0 - theirs)) / PAIRS as f64;
    assert!((ours - theirs).abs() < ERRORS * variance.sqrt(), "{what}: {ours} {theirs}");
    // Neither always nor never: else the comparison would say nothing.
    assert!((0.02..0.98).contains(&ours), "{what}: {ours}");
}

#[test]
fn signs_agree_as_often_as_the_angle_says() {
    for projection in PROJECTIONS {
        // For signs that are not Gaussian the probability is off by about 1 / (4 width), by the
        // fourth cumulant; that is well below the standard error of 10,000 pairs, 0.004.
        let (width, n_hashes) = (200, 2);
        let config = config(FamilyConfig::Simhash { projection: Some(projection) }, 1, n_hashes);
        let hash = HashFamily::new(&config, 1, 1, 0);
        let pairs = (0..PAIRS as u64).map(|seed| {
            let both = pair(seed, width);
            let (x, y) = both.split_at(width);
            let dot = |x: &[f32], y: &[f32]| {
                x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>()
            };
            let cosine = dot(x, y) / (dot(x, x) * dot(y, y)).sqrt();
            let p = 1.0 - cosine.acos() / PI;
            assert!((hash.collision(cosine).unwrap() - p).abs() < 1e-12);
            (collide(&config, &both, seed, 0), p.powi(n_hashes as i32))
        });
        assert_as_likely(pairs, &format!("{projection:?}"));
    }
}

/// The place of the largest of `values`, none of which are equal.
fn largest(values: impl Iterator<Item = f32>) -> usize {
    let by_value = |a: &(usize, f32), b: &(usize, f32)| a.1.total_cmp(&b.1);
    values.enumerate().max_by(by_value).map_or(0, |(place, _)| place)
}

#[test]
fn winners_agree_as_often_as_in_a_direct_simulation() {
    let width = 30;
    for bin_size in [2, 8, 16] {
        let config = config(FamilyConfig::Wta { bin_size }, 3, 1);
        let pairs = (0..PAIRS as u64).map(|seed| {
            let both = pair(seed, width);
            let mut order: Vec<usize> = (0..width).collect();
            Rng::new(seed, Stream::Shuffle, 0, 0).shuffle(&mut order);
            let winner = |x: &[f32]| largest(order[..bin_size].iter().map(|&j| x[j]));
            let simulated = winner(&both[..width]) == winner(&both[width..]);
            (collide(&config, &both, seed, seed as usize % 3), simulated)
        });
        assert_as_often(pairs, &format!("bins of {bin_size}"));
    }
}

#[test]
fn winners_of_independent_vectors_agree_by_chance() {
    for family in [FamilyConfig::Wta { bin_size: 8 }, FamilyConfig::Dwta { bin_size: 8 }] {
        let config = config(family, 3, 1);
        let pairs = (0..PAIRS as u64).map(|seed| {
            let mut both = vec![0.0; 2 * 32];
            Rng::new(seed, Stream::Probe, 3, 0).fill_normal(1.0, &mut both);
            (collide(&config, &both, seed, 1), 1.0 / 8.0)
        });
        assert_as_likely(pairs, "chance");
    }
}

/// The winners of all bins by the words of the paper: `None` where all places are absent.
fn bins(x: &[f32], orders: &[Vec<usize>], size: usize, n_bins: usize) -> Vec<Option<usize>> {
    let places: Vec<usize> = orders.concat();
    let bins = places.chunks(size).take(n_bins).map(|coordinates| {
        let present = coordinates.iter().map(|&j| x[j]).enumerate().filter(|&(_, x)| x != 0.0);
        present.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(place, _)| place)
    });
    bins.collect()
}

#[test]
fn densified_winners_agree_as_often_as_in_a_direct_simulation() {
    // 12 bins of 8 over 40 coordinates: the last permutation is used in part, and some bins lie
    // across two.
    let (width, n_tables, bin_size) = (40, 12, 8);
    let config = config(FamilyConfig::Dwta { bin_size }, n_tables, 1);
    for share in [0.05, 0.2, 1.0] {
        let pairs = (0..PAIRS as u64).map(|seed| {
            let mut both = pair(seed, width);
            thin(&mut both, share, seed);
            let mut rng = Rng::new(seed, Stream::Shuffle, 1, 0);
            let mut order: Vec<usize> = (0..width).collect();
            let mut shuffled = || {
                rng.shuffle(&mut order);
                order.clone()
            };
            let orders = [(); 3].map(|()| shuffled());
            let table = seed as usize % n_tables;
            // An empty bin goes through the others in an order that is the same for both vectors.
            let mut searched: Vec<usize> = (0..n_tables).collect();
            Rng::new(seed, Stream::Shuffle, 2, 0).shuffle(&mut searched);
            let code = |x: &[f32]| {
                let bins = bins(x, &orders, bin_size, n_tables);
                let found = searched.iter().find_map(|&bin| bins[bin]);
                bins[table].or(found).unwrap_or(0)
            };
            let simulated = code(&both[..width]) == code(&both[width..]);
            (collide(&config, &both, seed, table), simulated)
        });
        assert_as_often(pairs, &format!("a share of {share}"));
    }
}

/// The `top` largest coordinates that are not zero.
fn set(x: &[f32], top: usize) -> Vec<usize> {
    let mut ids: Vec<usize> = (0..x.len()).filter(|&id| x[id] != 0.0).collect();
    ids.sort_by(|&a, &b| x[b].total_cmp(&x[a]));
    ids.truncate(top);
    ids
}

#[test]
fn min_hashes_agree_as_often_as_sets_overlap() {
    let (width, top, n_tables) = (80, 20, 25);
    // From sets of about four, which leave most bins empty, to full ones.
    for share in [0.05, 0.2, 1.0] {
        let pairs = (0..PAIRS as u64).map(|seed| {
            let mut both = pair(seed, width);
            thin(&mut both, share, seed);
            let (x, y) = both.split_at(width);
            let (a, b) = (set(x, top), set(y, top));
            let common = a.iter().filter(|id| b.contains(id)).count();
            let union = a.len() + b.len() - common;
            // Empty sets have the same values.
            let jaccard = if union == 0 { 1.0 } else { common as f64 / union as f64 };
            let shape = Shape { n_tables, n_hashes: 1, width, n_extras: 0 };
            let family = Doph::new((top, 10), shape, seed, 0);
            let values = [0, 1].map(|i| {
                let vectors = Vectors::Dense { values: &both, stride: width, n: 2 };
                let (mut keys, mut bins) = (vec![], vec![]);
                family.values(vectors, i, &[], (&mut keys, &mut bins));
                keys[seed as usize % n_tables]
            });
            (values[0] == values[1], jaccard)
        });
        assert_as_likely(pairs, &format!("a share of {share}"));
    }
}

#[test]
fn what_is_measured_is_what_theory_says_and_grows_with_the_cosine() {
    let (width, n_tables, pairs) = (192, 50, 40);
    let simhash = FamilyConfig::Simhash { projection: None };
    let hash = HashFamily::new(&config(simhash, n_tables, 4), width, 1000, 0);
    for cosine in [-0.5_f32, 0.0, 0.3, 0.6, 0.9] {
        let share = hash.measured(&kernels(), cosine, pairs);
        let one = hash.collision(cosine.into()).unwrap();
        let (p, c) = (one.powi(4), f64::from(cosine));
        // Tables differ by chance; pairs by their own cosine, whose standard deviation is
        // (1 - c^2) / sqrt(dimension), times the slope of p.
        let slope = 4.0 * one.powi(3) / (PI * (1.0 - c * c).sqrt());
        let by_pair = slope * (1.0 - c * c) / ((width + 1) as f64).sqrt();
        let error = ((p * (1.0 - p) / n_tables as f64 + by_pair.powi(2)) / pairs as f64).sqrt();
        assert!((share - p).abs() < ERRORS * error, "{cosine}: {share} {p}");
    }
    let (wta, dwta) = (FamilyConfig::Wta { bin_size: 8 }, FamilyConfig::Dwta { bin_size: 8 });
    for family in [wta, dwta, FamilyConfig::Doph { top: 30 }] {
        let hash = HashFamily::new(&config(family, n_tables, 2), width, 1000, 0);
        let cosines = [0.0, 0.3, 0.6, 0.9, 1.0];
        let shares = cosines.map(|cosine| hash.measured(&kernels(), cosine, pairs));
        assert!(shares.is_sorted_by(|a, b| a < b), "{shares:?}");
        assert_eq!(shares[4], 1.0);
    }
}

#[test]
fn every_family_finds_most_of_the_best_rows_among_three_percent() {
    let (rows, width, n) = (3000, 192, 60);
    let mut weights = vec![0.0; rows * width];
    Rng::new(1, Stream::Probe, 4, 0).fill_normal(1.0, &mut weights);
    let mut queries = vec![0.0; n * width];
    for (i, query) in queries.chunks_mut(width).enumerate() {
        // At a cosine of about 0.55 to a row: the next best of 3000 has about 0.25.
        Rng::new(1, Stream::Probe, 5, i as u64).fill_normal(1.0, query);
        let row = &weights[i * 7 * width..][..width];
        query.iter_mut().zip(row).for_each(|(q, w)| *q += 0.66 * w);
    }
    let simhash = FamilyConfig::Simhash { projection: None };
    let (wta, dwta) = (FamilyConfig::Wta { bin_size: 8 }, FamilyConfig::Dwta { bin_size: 8 });
    for family in [simhash, wta, dwta, FamilyConfig::Doph { top: 30 }] {
        let mut config = plain(10, width, rows);
        if let SamplerConfig::Lsh(lsh) = &mut config.output.sampler {
            lsh.tables.family = family.clone();
            lsh.tables.append_bias = false;
        }
        let SamplerConfig::Lsh(lsh) = config.resolve().output.sampler else {
            panic!("hash tables")
        };
        let hash = HashFamily::new(&lsh.tables, width, rows, 0);
        let l = hash.n_tables();
        let codes = |values: &[f32], n: usize| {
            let mut codes = vec![0; n * l];
            let vectors = Vectors::Dense { values, stride: width, n };
            hash.codes(&kernels(), vectors, &[], &mut HashScratch::default(), &mut codes);
            codes
        };
        let (stored, asked) = (codes(&weights, rows), codes(&queries, n));
        let found = asked.chunks(l).enumerate().filter(|(i, query)| {
            let votes = |row: &[u16]| row.iter().zip(*query).filter(|(a, b)| a == b).count();
            let best = votes(&stored[i * 7 * l..][..l]);
            let others = stored.chunks(l).filter(|row| votes(row) >= best).count();
            best > 0 && others <= rows * 3 / 100
        });
        let recall = found.count() as f64 / n as f64;
        // Half is wanted; 4 standard errors above it are 0.76.
        assert!(recall > 0.76, "{family:?}: {recall}");
    }
}
