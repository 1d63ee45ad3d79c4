//! What does an Adam step on a row cost, by how the row is stored?
//!
//! A layer of 670,091 rows of 128, of which every sixth is touched in ascending order: far larger
//! than the caches, and what a step on 100,000 different rows does. Then a layer of 512 rows, which
//! stays in the second-level cache. The variants are timed in turn within one process, so that
//! what else the machine does hits all alike. `cargo bench --bench updates`

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::time::Instant;

use rayon::prelude::*;
use slide_rs::config::{AdamMode, ClipConfig, Dtype, OptimizerConfig, SecondMoment};
use slide_rs::optim::{Optimizer, Param, ParamShard, Update};
use slide_rs::rows::Rows;
use slide_rs::simd::Kernels;

const WIDTH: usize = 128;
const EVERY: usize = 6;
/// Rows that are asked for before they are needed, as in training.
const AHEAD: usize = 2;

/// Weights, moments, and what has a second moment.
const STORED: [(&str, Dtype, Dtype, SecondMoment); 7] = [
    ("f32 w, m, v", Dtype::F32, Dtype::F32, SecondMoment::Entry),
    ("f32 w, m; v a row", Dtype::F32, Dtype::F32, SecondMoment::Row),
    ("bf16 w; f32 m, v", Dtype::Bf16, Dtype::F32, SecondMoment::Entry),
    ("f32 w; bf16 m, v", Dtype::F32, Dtype::Bf16, SecondMoment::Entry),
    ("f32 w; bf16 m; v a row", Dtype::F32, Dtype::Bf16, SecondMoment::Row),
    ("bf16 w, m, v", Dtype::Bf16, Dtype::Bf16, SecondMoment::Entry),
    ("bf16 w, m; v a row", Dtype::Bf16, Dtype::Bf16, SecondMoment::Row),
];

/// A layer and its optimiser.
struct Layer {
    param: Param<'static>,
    optimizer: Optimizer,
}

impl Layer {
    fn new(rows: usize, (dtype, moments, second_moment): (Dtype, Dtype, SecondMoment)) -> Self {
        let config = OptimizerConfig::Adam {
            lr: Some(1e-3),
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            mode: AdamMode::Lazy,
            second_moment: Some(second_moment),
            moments: Some(moments),
        };
        let weights = Rows::random_as(dtype, (rows, WIDTH), 1.0, (0, 0));
        let optimizer = Optimizer::new(&config, ClipConfig::default());
        Self { param: Param::new(weights, &config), optimizer }
    }

    /// Nanoseconds a row of step `t`, which changes every `every`th row.
    fn step(&mut self, kernels: &Kernels, t: u64, every: usize, gradient: &[f32; WIDTH]) -> f64 {
        let places = self.param.weights().stripes().rows() / slide_rs::rows::SHARDS;
        let update = self.optimizer.begin(1e-3, t);
        let first = t as usize % every;
        let clock = Instant::now();
        let touched: usize = self
            .param
            .shards_mut()
            .into_par_iter()
            .map(|shard| change(kernels, update, shard, (first..places).step_by(every), gradient))
            .sum();
        clock.elapsed().as_secs_f64() * 1e9 / touched as f64
    }
}

/// Changes rows of one shard; how many.
fn change(
    kernels: &Kernels,
    update: &Update,
    mut shard: ParamShard<'_>,
    rows: impl ExactSizeIterator<Item = usize> + Clone,
    gradient: &[f32; WIDTH],
) -> usize {
    let (mut coming, count) = (rows.clone().skip(AHEAD), rows.len());
    let mut gradient = *gradient;
    for local in rows {
        if let Some(coming) = coming.next() {
            shard.prefetch(kernels, coming);
        }
        shard.update(kernels, update, local, &mut gradient);
    }
    count
}

fn main() {
    // `cargo test --benches` runs this too, without `--bench`: there it only has to work.
    let timed = std::env::args().any(|argument| argument == "--bench");
    let (large, steps) = if timed { (670_091, 41) } else { (1000, 2) };
    let mut gradient = [0.0; WIDTH];
    slide_rs::rng::Rng::new(0, slide_rs::rng::Stream::Probe, 0, 0).fill_normal(1.0, &mut gradient);
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("two more threads").install(|| {
            let kernels = Kernels::detect().expect("SLIDE_RS_ISA names kernels of this CPU");
            println!(
                "ns for an Adam step on a row of {WIDTH}: {}, {threads} threads",
                kernels.name
            );
            compare(&kernels, ("every sixth of all rows", large, EVERY), steps, &gradient);
            compare(&kernels, ("in cache", 512, 1), 50 * steps, &gradient);
        });
    }
}

/// Prints the median cost of each variant, and its ratio to the first.
fn compare(
    kernels: &Kernels,
    (what, rows, every): (&str, usize, usize),
    steps: u64,
    gradient: &[f32; WIDTH],
) {
    let new = |(_, dtype, moments, second)| Layer::new(rows, (dtype, moments, second));
    let mut layers = STORED.map(new);
    let mut times = STORED.map(|_| vec![]);
    for t in 1..=steps {
        for (layer, times) in layers.iter_mut().zip(&mut times) {
            times.push(layer.step(kernels, t, every, gradient));
        }
    }
    let medians = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!("{what}:");
    for ((name, ..), median) in STORED.iter().zip(medians) {
        println!("  {name:<24}{median:>8.1}{:>7.2}x", medians[0] / median);
    }
}
