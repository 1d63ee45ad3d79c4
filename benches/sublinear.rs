//! Does the cost of a step depend on the width of the layer?
//!
//! One call is a forward pass, the gradient and an update (SGD, f32) of 64 rows of 512 floats:
//! `y = sum over S of W[s] . x`, so that the gradient of each row is `x`, and `W[s] -= lr x`. It is
//! timed on layers of 256 to 1,048,576 rows, on one thread: with the same rows in each call, and
//! with new random rows in each call. The same rows cost the same at any width; new rows come from
//! memory in place of the cache once the layer is large. `cargo bench --bench sublinear`

#![expect(clippy::print_stdout, reason = "the table is the result")]

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
mod counting;

use std::hint::black_box;
use std::time::Instant;

use slide_rs::config::{Dtype, OptimizerConfig, OutputConfig, SamplerConfig, UpdateMode};
use slide_rs::layer::{BatchInputs, Place, Sampled, UpdateScratch};
use slide_rs::optim::Update;
use slide_rs::rng::{Rng, Stream};
use slide_rs::rows::Matrix;
use slide_rs::simd::Kernels;
use slide_rs::touched::Edges;

const WIDTHS: [usize; 4] = [256, 4096, 65_536, 1_048_576];
const ACTIVE: usize = 64;
const INPUTS: usize = 512;
const CALLS: usize = 4096;
const OPTIMIZER: OptimizerConfig =
    OptimizerConfig::Sgd { lr: Some(1e-6), momentum: 0.0, nesterov: false };

fn main() {
    // `cargo test --benches` runs this too, without `--bench`: there it only has to work.
    let timed = std::env::args().any(|argument| argument == "--bench");
    let widths = if timed { &WIDTHS[..] } else { &WIDTHS[..1] };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one more thread");
    pool.install(|| {
        let kernels = Kernels::detect().expect("SLIDE_RS_ISA names kernels that this CPU has");
        println!("forward, gradient and update of {ACTIVE} rows of {INPUTS} floats, SGD, f32");
        println!("kernels: {}; threads: 1; median of {CALLS} calls", kernels.name);
        println!("{:>9} | {:^26} | {:^26}", "", "same rows each call", "new rows each call");
        let heads = format!("{:>8} {:>6} {:>10}", "ns", "ratio", "bytes");
        println!("{:>9} | {heads} | {heads}", "rows of W");
        let mut base = None;
        for &width in widths {
            let mut step = Step::new(&kernels, width);
            let new = random_sets(width);
            let costs = [step.time(&new[..1]), step.time(&new)];
            let base = base.get_or_insert(costs);
            println!("{width:>9} | {} | {}", costs[0].against(base[0]), costs[1].against(base[1]));
        }
    });
}

/// What one call costs.
#[derive(Clone, Copy)]
struct Cost {
    nanoseconds: f64,
    bytes: f64,
}

impl Cost {
    fn against(self, base: Self) -> String {
        let ratio = self.nanoseconds / base.nanoseconds;
        format!("{:>8.0} {ratio:>6.2} {:>10.1}", self.nanoseconds, self.bytes)
    }
}

/// A layer and everything that a step on it reuses.
struct Step {
    kernels: Kernels,
    layer: Sampled<'static>,
    update: Update,
    /// One sample: the input of the layer.
    x: Matrix,
    slots: Vec<u32>,
    outputs: Vec<f32>,
    edges: Edges,
    scratch: UpdateScratch,
}

impl Step {
    fn new(kernels: &Kernels, width: usize) -> Self {
        let config = OutputConfig {
            units: width,
            bias: false,
            sampler: SamplerConfig::Full {},
            dtype: Some(Dtype::F32),
            optimizer: None,
        };
        let place = Place {
            inputs: INPUTS,
            sparse: false,
            input_norm: 1.0,
            optimizer: &OPTIMIZER,
            update: UpdateMode::Sharded,
            seed: 0,
            number: 1,
        };
        let mut x = Matrix::zeros(1, INPUTS);
        Rng::new(0, Stream::Probe, 0, 0).fill_normal(1.0, x.row_mut(0));
        Self {
            kernels: *kernels,
            layer: Sampled::output(&config, place),
            update: Update::new(&OPTIMIZER, 1e-6, 1),
            x,
            slots: vec![0; ACTIVE],
            outputs: vec![0.0; ACTIVE],
            edges: Edges::default(),
            scratch: UpdateScratch::default(),
        }
    }

    /// The median over many calls, on each of `sets` in turn, after every set was used once.
    fn time(&mut self, sets: &[Vec<u32>]) -> Cost {
        for set in sets {
            black_box(self.call(set));
        }
        let mut times = Vec::with_capacity(CALLS);
        let before = counting::bytes();
        for set in sets.iter().cycle().take(CALLS) {
            let start = Instant::now();
            black_box(self.call(black_box(set)));
            times.push(start.elapsed());
        }
        let bytes = (counting::bytes() - before) as f64 / CALLS as f64;
        times.sort_unstable();
        Cost { nanoseconds: times[CALLS / 2].as_secs_f64() * 1e9, bytes }
    }

    fn call(&mut self, rows: &[u32]) -> f32 {
        let weights = self.layer.params().0.weights();
        for (slot, &row) in self.slots.iter_mut().zip(rows) {
            *slot = weights.stripes().slot(row);
        }
        (self.kernels.f32.dot_rows)(
            weights.as_slice(),
            &self.slots,
            self.x.row(0),
            &mut self.outputs,
        );
        let y = self.outputs.iter().sum();
        // The derivative of `y` by each output is 1.
        self.edges.group(weights.stripes(), std::iter::once((0, rows, &[1.0; ACTIVE][..])));
        let Self { kernels, layer, update, x, edges, scratch, .. } = self;
        let parts = || std::iter::once(&*edges);
        layer.update((kernels, update), parts, BatchInputs::Dense(x), scratch);
        y
    }
}

/// Sets of distinct rows, more of them than caches hold where the layer is large.
fn random_sets(width: usize) -> Vec<Vec<u32>> {
    let draw = |call| {
        let mut rng = Rng::new(0, Stream::Sampler, call, 0);
        let mut rows = Vec::with_capacity(ACTIVE);
        while rows.len() < ACTIVE {
            let row = rng.below(width as u32);
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        rows
    };
    (0..CALLS as u64).map(draw).collect()
}
