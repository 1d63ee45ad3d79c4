//! What a re-insertion of all rows costs: `cargo bench --bench hashing [-- ROWS]`
//!
//! 670,091 rows of 128 floats and a bias, all of which moved: codes alone, tables alone, and the
//! whole refresh, in turn, medians of 5. The first refresh, which touches new memory, stands apart.

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;
use slide_rs::config::{BucketPolicy, FamilyConfig, OptimizerConfig, Projection, TablesConfig};
use slide_rs::lsh::{HashFamily, HashTables, Index, Vectors};
use slide_rs::optim::Param;
use slide_rs::rng::{Rng, Stream};
use slide_rs::rows::{Rows, SHARDS, Stripes};
use slide_rs::simd::Kernels;

const ROWS: usize = 670_091;
const WIDTH: usize = 128;
const TIMES: usize = 5;
const OPTIMIZER: OptimizerConfig =
    OptimizerConfig::Sgd { lr: None, momentum: 0.0, nesterov: false };

fn main() {
    // `cargo test --benches` runs this too, without `--bench`: there it only has to work.
    let timed = std::env::args().any(|argument| argument == "--bench");
    let rows = std::env::args().find_map(|argument| argument.parse().ok());
    let rows = rows.unwrap_or(if timed { ROWS } else { 1000 });
    let kernels = Kernels::detect().expect("SLIDE_RS_ISA names kernels that this CPU has");
    let threads = rayon::current_num_threads();
    println!("{rows} rows of {WIDTH} floats and a bias; {}; threads: {threads}", kernels.name);
    println!("medians of {TIMES} in milliseconds; all = load + codes + tables");
    println!("projection   K   L |   first |     all   codes  tables    load");
    let weights = Param::new(Rows::random(rows, WIDTH, 1.0, 5, 0), &OPTIMIZER);
    let bias = Param::new(Rows::column(rows), &OPTIMIZER);
    for projection in [Projection::Hadamard, Projection::Gaussian] {
        for (n_hashes, n_tables) in [(12, 50), (13, 96)] {
            let config = config(projection, n_hashes, n_tables);
            let [first, all, codes, tables] = measure(&kernels, &config, &weights, &bias);
            let load = all - codes - tables;
            println!(
                "{:10} {n_hashes:3} {n_tables:3} | {first:7.0} | {all:7.0} {codes:7.0} {tables:7.0} {load:7.0}",
                format!("{projection:?}"),
            );
        }
    }
}

fn config(projection: Projection, n_hashes: usize, n_tables: usize) -> TablesConfig {
    TablesConfig {
        family: FamilyConfig::Simhash { projection: Some(projection) },
        n_tables: Some(n_tables),
        n_hashes: Some(n_hashes),
        bucket_size: Some(128),
        bucket_policy: BucketPolicy::Window,
        seed: Some(1),
        center: false,
        normalize: false,
        append_bias: true,
        mips: false,
    }
}

/// Milliseconds of the first refresh, of a later one, of the codes and of the tables alone.
fn measure(
    kernels: &Kernels,
    config: &TablesConfig,
    weights: &Param<'_>,
    bias: &Param<'_>,
) -> [f64; 4] {
    let stripes = weights.weights().stripes();
    let mut index = Index::new(config, stripes, WIDTH);
    let first = milliseconds(|| index.refresh(kernels, weights, Some(bias)));
    let hash = HashFamily::new(config, WIDTH, stripes.rows(), 0);
    let mut tables = filled(&hash, stripes);
    tables.build();
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..TIMES {
        for moved in index.moved_mut() {
            moved.fill(true);
        }
        times[0].push(milliseconds(|| index.refresh(kernels, weights, Some(bias))));
        times[1].push(milliseconds(|| codes(kernels, &hash, weights)));
        times[2].push(milliseconds(|| tables.build()));
    }
    let [all, codes, tables] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[TIMES / 2]
    });
    [first, all, codes, tables]
}

/// Hashes every row in place, in blocks as a refresh does.
fn codes(kernels: &Kernels, hash: &HashFamily, weights: &Param<'_>) {
    const BLOCK: usize = 64;
    let stripes = weights.weights().stripes();
    let extras = [0.5; BLOCK];
    (0..SHARDS).into_par_iter().for_each(|shard| {
        let (mut scratch, mut room) = (hash.scratch(BLOCK), vec![]);
        let mut codes = vec![0; BLOCK * hash.n_tables()];
        for first in (0..stripes.len(shard)).step_by(BLOCK) {
            let n = BLOCK.min(stripes.len(shard) - first);
            let values = weights.weights().tile(kernels, (shard, first, n), &mut room);
            let vectors = Vectors::Dense { values, stride: WIDTH, n };
            hash.codes(kernels, vectors, &extras[..n], &mut scratch, &mut codes);
            black_box(&codes);
        }
    });
}

/// Tables with random codes.
fn filled(hash: &HashFamily, stripes: Stripes) -> HashTables {
    let mut tables = HashTables::new(stripes, hash.n_tables(), hash.bits());
    tables.codes_mut().into_par_iter().enumerate().for_each(|(shard, mut codes)| {
        let mut rng = Rng::new(0, Stream::Probe, 0, shard as u64);
        let mut new = vec![0; hash.n_tables()];
        for local in 0..stripes.len(shard) {
            new.fill_with(|| rng.below(1 << hash.bits()) as u16);
            codes.put(&[local], &new);
        }
    });
    tables
}

fn milliseconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e3
}
