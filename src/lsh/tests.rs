//! What holds for every family and every option of the index.

mod balance;
mod edits;
mod geometry;

use super::*;
use crate::config::{FamilyConfig, LshConfig, OptimizerConfig, Projection, TablesConfig};
use crate::optim::Param;
use crate::rng::{Rng, Stream};
use crate::rows::{Rows, Stripes};
use crate::simd::Kernels;

const SGD: OptimizerConfig = OptimizerConfig::Sgd { lr: None, momentum: 0.0, nesterov: false };
const WIDTH: usize = 40;
const TABLES: usize = 9;

fn families() -> Vec<TablesConfig> {
    let simhash = |projection| (FamilyConfig::Simhash { projection: Some(projection) }, 5);
    let families = [
        simhash(Projection::Gaussian),
        simhash(Projection::Rademacher),
        simhash(Projection::Sparse),
        simhash(Projection::Hadamard),
        (FamilyConfig::Wta { bin_size: 8 }, 2),
        (FamilyConfig::Dwta { bin_size: 8 }, 2),
        (FamilyConfig::Doph { top: 10 }, 2),
    ];
    let config = |(family, k)| TablesConfig {
        family,
        n_tables: Some(TABLES),
        n_hashes: Some(k),
        seed: Some(1),
        ..LshConfig::open().tables
    };
    families.map(config).to_vec()
}

/// Every family with every set of options.
fn all_options() -> impl Iterator<Item = TablesConfig> {
    families().into_iter().flat_map(|family| {
        (0..16).map(move |bits| TablesConfig {
            center: bits & 1 != 0,
            normalize: bits & 2 != 0,
            append_bias: bits & 4 != 0,
            mips: bits & 8 != 0,
            ..family.clone()
        })
    })
}

fn kernels() -> Kernels {
    Kernels::available().next().unwrap()
}

fn dense(values: &[f32], n: usize) -> Vectors<'_> {
    Vectors::Dense { values, stride: values.len() / n, n }
}

fn layer(rows: usize) -> (Param<'static>, Param<'static>) {
    let mut bias = Param::new(Rows::column(rows), &SGD);
    for id in 0..rows as u32 {
        bias.weights_mut().row_mut(id)[0] = (id % 7) as f32 * 0.3 - 1.0;
    }
    (Param::new(Rows::random(rows, WIDTH, 1.0, 5, 0), &SGD), bias)
}

fn scale(row: &mut [f64], by: f64) {
    for x in row {
        *x *= by;
    }
}

/// The rows of a layer as the options ask for them, in f64.
fn transformed(config: &TablesConfig, (weights, bias): (&Param<'_>, &Param<'_>)) -> Vec<Vec<f32>> {
    let mut rows: Vec<Vec<f64>> = (0..weights.weights().stripes().rows() as u32)
        .map(|id| {
            let mut row: Vec<f64> =
                weights.weights().row(id)[..WIDTH].iter().map(|&x| x.into()).collect();
            if config.append_bias {
                row.push(bias.weights().row(id)[0].into());
            }
            row
        })
        .collect();
    let length = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>().sqrt();
    if config.normalize {
        for row in &mut rows {
            let length = length(row);
            scale(row, 1.0 / length);
        }
    }
    if config.center {
        let n = rows.len() as f64;
        let sum = |j: usize| rows.iter().map(|row| row[j]).sum::<f64>();
        let mean: Vec<f64> = (0..rows[0].len()).map(|j| sum(j) / n).collect();
        for row in &mut rows {
            row.iter_mut().zip(&mean).for_each(|(x, mean)| *x -= mean);
        }
    }
    if config.mips {
        let longest = rows.iter().map(|row| length(row)).fold(0.0, f64::max);
        for row in &mut rows {
            scale(row, 1.0 / longest);
            let missing = 1.0 - length(row).powi(2);
            row.push(missing.max(0.0).sqrt());
        }
    }
    rows.iter().map(|row| row.iter().map(|&x| x as f32).collect()).collect()
}

/// In how many tables the rows `ids` stand in the bucket of their own codes, summed.
fn found(
    index: &Index,
    config: &TablesConfig,
    layer: (&Param<'_>, &Param<'_>),
    ids: &[u32],
) -> usize {
    let rows = transformed(config, layer);
    let tables = |&id: &u32| {
        let (row, extras) = rows[id as usize].split_at(WIDTH);
        let mut codes = [0; TABLES];
        let mut scratch = HashScratch::default();
        index.hash().codes(&kernels(), dense(row, 1), extras, &mut scratch, &mut codes);
        (0..TABLES).filter(|&t| index.tables().bucket(t, codes[t]).contains(&id)).count()
    };
    ids.iter().map(tables).sum()
}

#[test]
fn a_row_finds_itself_after_every_refresh_and_after_new_functions() {
    for config in all_options() {
        let (mut weights, bias) = layer(300);
        let mut index = Index::new(&config, weights.weights().stripes(), WIDTH);
        index.refresh(&kernels(), &weights, Some(&bias));
        let ids: Vec<u32> = (0..300).step_by(7).collect();
        let all =
            |index: &Index, weights: &Param<'_>| found(index, &config, (weights, &bias), &ids);
        // Rounding in f64 instead of f32 may turn a sign or a comparison here and there.
        let least = ids.len() * TABLES - 4;
        assert!(all(&index, &weights) >= least, "{config:?}");
        let before = index.tables().bucket(0, 0).to_vec();
        index.redraw();
        // The functions stay until the tables are filled by others.
        assert!(all(&index, &weights) >= least, "{config:?}");
        assert_eq!(index.generation(), 1);
        weights.weights_mut().row_mut(7).iter_mut().for_each(|w| *w = -*w);
        index.refresh(&kernels(), &weights, Some(&bias));
        assert!(all(&index, &weights) >= least, "{config:?}");
        assert_ne!(index.tables().bucket(0, 0), before);
    }
}

#[test]
fn tables_have_the_same_bits_on_one_and_four_threads() {
    for config in all_options().filter(|config| config.center) {
        let tables = [1, 4].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (weights, bias) = layer(500);
                let mut index = Index::new(&config, weights.weights().stripes(), WIDTH);
                index.refresh(&kernels(), &weights, Some(&bias));
                index
            })
        });
        let [one, four] = &tables;
        for code in 0..1_u32 << one.hash().bits() {
            for table in 0..TABLES {
                let bucket = |index: &Index| index.tables().bucket(table, code as u16).to_vec();
                assert_eq!(bucket(one), bucket(four));
            }
        }
        assert!((0..500).all(|id| one.length(id).to_bits() == four.length(id).to_bits()));
    }
}

#[test]
fn only_moved_rows_are_hashed() {
    for config in families() {
        let (mut weights, bias) = layer(300);
        let mut index = Index::new(&config, weights.weights().stripes(), WIDTH);
        index.refresh(&kernels(), &weights, Some(&bias));
        for id in [7, 100] {
            weights.weights_mut().row_mut(id).iter_mut().for_each(|w| *w = -*w);
        }
        let (shard, local) = weights.weights().stripes().split(7);
        index.moved_mut()[shard as usize][local as usize] = true;
        index.refresh(&kernels(), &weights, Some(&bias));
        assert_eq!(found(&index, &config, (&weights, &bias), &[7]), TABLES);
        assert!(found(&index, &config, (&weights, &bias), &[100]) < TABLES / 2);
    }
}

#[test]
fn the_same_generation_has_the_same_functions() {
    for config in families() {
        let (weights, bias) = layer(200);
        let (stripes, kernels) = (weights.weights().stripes(), kernels());
        let mut indices = [(); 2].map(|()| Index::new(&config, stripes, WIDTH));
        indices[0].refresh(&kernels, &weights, Some(&bias));
        indices[0].redraw();
        indices[0].redraw();
        indices[1].set_generation(2);
        for index in &mut indices {
            index.refresh(&kernels, &weights, Some(&bias));
        }
        let [a, b] = indices;
        for code in 0..1_u32 << a.hash().bits() {
            assert_eq!(a.tables().bucket(3, code as u16), b.tables().bucket(3, code as u16));
        }
    }
}

#[test]
fn drift_is_the_share_of_bits_that_changed() {
    for config in all_options() {
        let (mut weights, bias) = layer(1000);
        let mut index = Index::new(&config, weights.weights().stripes(), WIDTH);
        index.refresh(&kernels(), &weights, Some(&bias));
        assert_eq!(index.drift(&kernels(), &weights, Some(&bias)), 0.0, "{config:?}");
        let noise = Rows::random(1000, WIDTH, 0.1, 6, 1);
        for id in 0..1000 {
            (kernels().axpy)(1.0, noise.row(id), weights.weights_mut().row_mut(id));
        }
        let little = index.drift(&kernels(), &weights, Some(&bias));
        *weights.weights_mut() = Rows::random(1000, WIDTH, 1.0, 7, 1);
        let all = index.drift(&kernels(), &weights, Some(&bias));
        assert!(0.0 < little && little < all / 2.0, "{little} {all} {config:?}");
        index.moved_mut().into_iter().for_each(|moved| moved.fill(true));
        index.refresh(&kernels(), &weights, Some(&bias));
        assert_eq!(index.drift(&kernels(), &weights, Some(&bias)), 0.0);
    }
}

#[test]
fn drift_of_signs_is_the_angle_over_pi() {
    let [config, ..] = &families()[..] else { panic!("there are families") };
    let config = TablesConfig { append_bias: false, ..config.clone() };
    let (mut weights, _) = layer(256);
    let mut index = Index::new(&config, weights.weights().stripes(), WIDTH);
    index.refresh(&kernels(), &weights, None);
    for id in 0..256 {
        for pair in weights.weights_mut().row_mut(id).chunks_mut(2) {
            // A turn by 36 degrees.
            let (sin, cos) = (0.2 * std::f32::consts::PI).sin_cos();
            (pair[0], pair[1]) = (cos * pair[0] - sin * pair[1], sin * pair[0] + cos * pair[1]);
        }
    }
    let drift = index.drift(&kernels(), &weights, None);
    // A turn by the same angle in all planes has probability 0.2 for every function over random
    // rows, and for every row over random functions, so all bits count as independent.
    let error = (0.2 * 0.8 / (256 * TABLES * 5) as f64).sqrt();
    assert!((drift - 0.2).abs() < 4.0 * error, "{drift}");
}

#[test]
fn sparse_and_dense_vectors_have_the_same_codes() {
    let (n, mut rng) = (30, Rng::new(3, Stream::Probe, 0, 0));
    let mut values = vec![0.0; n * WIDTH];
    for (i, vector) in values.chunks_mut(WIDTH).enumerate() {
        rng.fill_normal(1.0, vector);
        // From all zero to all given, some of them equal.
        for x in vector.iter_mut() {
            let zero = rng.below(n as u32 - 1) as usize >= i;
            *x = if zero { 0.0 } else { (*x * 4.0).round() / 4.0 };
        }
    }
    let (mut ids, mut given, mut ends) = (vec![], vec![], vec![]);
    for vector in values.chunks(WIDTH) {
        for (id, &x) in vector.iter().enumerate() {
            // A zero that is given is still a zero.
            if x != 0.0 || id % 5 == 0 {
                ids.push(id as u32);
                given.push(x);
            }
        }
        ends.push(ids.len());
    }
    let sparse = Vectors::Sparse { ids: &ids, values: &given, ends: &ends };
    for config in all_options() {
        for kernels in Kernels::available() {
            let index = Index::new(&config, Stripes::new(1000), WIDTH);
            let mut codes = [vec![0; n * TABLES], vec![1; n * TABLES]];
            let mut scratch = HashScratch::default();
            let vectors = [dense(&values, n), sparse];
            for (codes, vectors) in codes.iter_mut().zip(vectors) {
                index.query_codes(&kernels, vectors, true, &mut scratch, codes);
            }
            assert_eq!(codes[0], codes[1], "{} {config:?}", kernels.name);
        }
    }
}

#[test]
fn a_code_does_not_depend_on_the_vectors_beside_it() {
    let n = 37;
    let mut values = vec![0.0; n * WIDTH];
    Rng::new(0, Stream::Probe, 0, 0).fill_normal(1.0, &mut values);
    for config in families() {
        for kernels in Kernels::available() {
            let hash = HashFamily::new(&config, WIDTH, 1000, 0);
            let mut scratch = hash.scratch(n);
            let mut together = vec![0; n * TABLES];
            hash.codes(&kernels, dense(&values, n), &vec![1.0; n], &mut scratch, &mut together);
            for (i, vector) in values.chunks(WIDTH).enumerate() {
                let mut alone = [0; TABLES];
                hash.codes(&kernels, dense(vector, 1), &[1.0], &mut scratch, &mut alone);
                assert_eq!(alone, together[i * TABLES..][..TABLES]);
            }
        }
    }
}

#[test]
fn a_code_does_not_depend_on_the_length_of_the_vector() {
    let mut values = vec![0.0; WIDTH];
    Rng::new(0, Stream::Probe, 0, 0).fill_normal(1.0, &mut values);
    let doubled: Vec<f32> = values.iter().map(|x| 2.0 * x).collect();
    for config in families() {
        let hash = HashFamily::new(&config, WIDTH, 1000, 0);
        let code = |values: &[f32], extra: f32| {
            let mut codes = [0; TABLES];
            let mut scratch = HashScratch::default();
            hash.codes(&kernels(), dense(values, 1), &[extra], &mut scratch, &mut codes);
            codes
        };
        assert_eq!(code(&values, 1.0), code(&doubled, 2.0));
    }
}

#[test]
fn vectors_of_zeros_and_numbers_that_are_none_have_codes() {
    for config in families() {
        let hash = HashFamily::new(&config, WIDTH, 1000, 0);
        for value in [0.0, -0.0, f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN] {
            let mut codes = [u16::MAX; TABLES];
            let mut scratch = HashScratch::default();
            let vector = [value; WIDTH];
            hash.codes(&kernels(), dense(&vector, 1), &[value], &mut scratch, &mut codes);
            assert!(codes.iter().all(|&code| u32::from(code) < 1 << hash.bits()), "{config:?}");
        }
    }
}

#[test]
fn vectors_may_be_narrower_than_a_bin() {
    for config in families() {
        for width in 1..10 {
            let hash = HashFamily::new(&config, width, 1000, 0);
            let mut codes = [0; TABLES];
            let (vector, mut scratch) = (vec![1.0; width], HashScratch::default());
            hash.codes(&kernels(), dense(&vector, 1), &[-1.0], &mut scratch, &mut codes);
            assert!(codes.iter().all(|&code| u32::from(code) < 1 << hash.bits()), "{config:?}");
        }
    }
}

#[test]
fn random_vectors_reach_every_bucket() {
    let n = 2000;
    let mut values = vec![0.0; n * WIDTH];
    Rng::new(0, Stream::Probe, 0, 0).fill_normal(1.0, &mut values);
    for config in families() {
        let hash = HashFamily::new(&config, WIDTH, 1600, 0);
        let mut codes = vec![0; n * TABLES];
        let mut scratch = HashScratch::default();
        hash.codes(&kernels(), dense(&values, n), &vec![0.0; n], &mut scratch, &mut codes);
        let mut reached = vec![false; 1 << hash.bits()];
        for &code in &codes {
            reached[code as usize] = true;
        }
        assert!(reached.iter().all(|&reached| reached), "{config:?}");
    }
}
