//! Steps of a small dense network: 784 inputs, 128 hidden units, 10 outputs, batches of 128, Adam.
//!
//! The least and the median time of a step, by threads, on rows without zeros and on rows of which
//! one entry in five is not zero (as in MNIST); `lists` are the same data given as a sparse matrix.
//! `cargo bench --bench dense`

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::time::Instant;

use slide_rs::config::NetworkConfig;
use slide_rs::rng::{Rng, Stream};
use slide_rs::sparse::{CsrView, DenseView, Features, IdLists, Indices};
use slide_rs::{Network, Targets};

const INPUTS: usize = 784;
const CLASSES: usize = 10;
const BATCH: usize = 128;
const ROWS: usize = 32 * BATCH;
const STEPS: usize = 2000;

fn main() {
    // `cargo test --benches` runs this too, without `--bench`: there it only has to work.
    let timed = std::env::args().any(|argument| argument == "--bench");
    let steps = if timed { STEPS } else { 2 };
    println!("a step of {INPUTS}-128-{CLASSES}, batch {BATCH}, Adam: microseconds, of {steps}");
    println!("{:>12} {:>7} {:>8} {:>8} {:>12}", "data", "threads", "least", "median", "samples/s");
    for (name, share) in [("full", 1.0), ("one in five", 0.2)] {
        let data = Data::random(share);
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads").install(|| {
                print(name, threads, data.time(&data.rows(), steps));
                print("lists", threads, data.time(&data.lists(), steps));
            });
        }
    }
}

fn print(name: &str, threads: usize, mut times: Vec<f64>) {
    times.sort_unstable_by(f64::total_cmp);
    let (least, median) = (times[0] * 1e6, times[times.len() / 2] * 1e6);
    let rate = BATCH as f64 / median * 1e6;
    println!("{name:>12} {threads:>7} {least:>8.0} {median:>8.0} {rate:>12.0}");
}

/// The same numbers as a matrix and as lists.
struct Data {
    values: Vec<f32>,
    sparse: (Vec<i64>, Vec<i32>, Vec<f32>),
    indptr: Vec<i64>,
    labels: Vec<i32>,
}

impl Data {
    /// Uniform numbers, of which a `share` is not zero.
    fn random(share: f32) -> Self {
        let mut rng = Rng::new(0, Stream::Probe, 0, 0);
        let mut draw =
            |_| if share < 1.0 && rng.uniform() >= share { 0.0 } else { 1.0 - rng.uniform() };
        let values: Vec<f32> = (0..ROWS * INPUTS).map(&mut draw).collect();
        let mut sparse = (vec![0], vec![], vec![]);
        for row in values.chunks(INPUTS) {
            for (id, &value) in (0..).zip(row).filter(|(_, x)| **x != 0.0) {
                sparse.1.push(id);
                sparse.2.push(value);
            }
            sparse.0.push(sparse.1.len() as i64);
        }
        let labels = (0..ROWS).map(|row| (row % CLASSES) as i32).collect();
        Self { values, sparse, indptr: (0..=ROWS as i64).collect(), labels }
    }

    fn rows(&self) -> Features<'_> {
        Features::Dense(DenseView::new("X", &self.values, INPUTS).expect("finite rows"))
    }

    fn lists(&self) -> Features<'_> {
        let (indptr, ids, values) = &self.sparse;
        let pattern = IdLists::new("X", Indices::I64(indptr), Indices::I32(ids), INPUTS);
        let view = CsrView::new(pattern.expect("bounds of rows"), values);
        Features::Sparse(view.expect("a value for each"))
    }

    /// Seconds of each step.
    fn time(&self, x: &Features<'_>, steps: usize) -> Vec<f64> {
        let (indptr, ids) = (Indices::I64(&self.indptr), Indices::I32(&self.labels));
        let labels = IdLists::new("Y", indptr, ids, CLASSES).expect("a label a row");
        let y = Targets::new(labels);
        let mut network = Network::new(config()).expect("a small network");
        let mut order: Vec<u32> = (0..ROWS as u32).collect();
        Rng::new(0, Stream::Probe, 1, 0).shuffle(&mut order);
        let batches = order.chunks(BATCH).cycle();
        for rows in batches.clone().take(4) {
            network.train_batch(x, &y, rows).expect("finite losses");
        }
        let step = |rows| {
            let start = Instant::now();
            network.train_batch(x, &y, rows).expect("finite losses");
            start.elapsed().as_secs_f64()
        };
        batches.take(steps).map(step).collect()
    }
}

fn config() -> NetworkConfig {
    let json = format!(
        r#"{{"seed": 0, "loss": "softmax",
        "input": {{"features": {INPUTS}, "normalize": false, "dropout": 0.0}},
        "hidden": [{{"kind": "dense", "units": 128, "activation": "relu", "norm": 0.0,
            "dropout": 0.0, "dtype": "f32", "optimizer": null}}],
        "output": {{"units": {CLASSES}, "bias": true, "sampler": {{"kind": "full"}},
            "dtype": "f32", "optimizer": null}},
        "optimizer": {{"kind": "adam", "lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8,
            "weight_decay": 0.0, "mode": "lazy"}},
        "clip": {{"norm": null, "value": null}}, "update": "sharded",
        "schedule": {{"warmup": null, "decay": "cosine"}}}}"#
    );
    NetworkConfig::from_json(&json).expect("a configuration")
}
