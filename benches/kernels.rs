//! Kernels by instruction set and width: `cargo bench --bench kernels -- dot_rows/128`.
//!
//! The weights of the row kernels are larger than the last-level cache of most machines and
//! their rows are drawn at random, as in training.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use slide_rs::simd::{AdamStep, Bf16, Kernels, State};

const WIDTHS: [usize; 5] = [64, 128, 256, 512, 1024];

/// Floats in the matrix that rows are taken from when cold: 64 MiB.
const FLOATS: usize = 1 << 24;

/// Rows taken in one call.
const ROWS: usize = 512;

/// Reproducible numbers from zero to one.
fn noise(len: usize) -> Vec<f32> {
    row_numbers(len, 1 << 16).into_iter().map(|x| x as f32 / 65_536.0).collect()
}

/// Reproducible numbers below `below`.
fn row_numbers(len: usize, below: usize) -> Vec<u32> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((state >> 33) % below as u64) as u32
    };
    (0..len).map(|_| next()).collect()
}

/// Times `call` on rows drawn at random, other ones each time.
fn each_call(
    criterion: &mut Criterion,
    (group, kernels): (String, &Kernels),
    all: &[u32],
    mut call: impl FnMut(&[u32]),
) {
    let mut calls = all.chunks_exact(ROWS).cycle();
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function(kernels.name, |bencher| {
        bencher.iter(|| call(calls.next().expect("a cycle has no end")));
    });
    group.finish();
}

/// Runs over rows: cold, from main memory, and warm, from the second-level cache; as floats and as
/// halves.
fn rows(criterion: &mut Criterion) {
    let weights = noise(FLOATS);
    let halves: Vec<Bf16> = weights.iter().map(|&w| Bf16::nearest(w)).collect();
    for (state, floats) in [("cold", FLOATS), ("warm", 1 << 17)] {
        for width in WIDTHS {
            let all = row_numbers(1 << 16, floats / width);
            let (mut x, mut out) = (noise(width), noise(ROWS));
            let coefs = vec![1e-6; ROWS];
            for kernels in &Kernels::available().collect::<Vec<_>>() {
                let name = |kernel: &str| (format!("{kernel}/{width}/{state}"), kernels);
                each_call(criterion, name("dot_rows"), &all, |rows| {
                    (kernels.f32.dot_rows)(black_box(&weights), rows, &x, &mut out);
                });
                each_call(criterion, name("dot_rows_bf16"), &all, |rows| {
                    (kernels.bf16.dot_rows)(black_box(&halves), rows, &x, &mut out);
                });
                each_call(criterion, name("axpy_rows"), &all, |rows| {
                    (kernels.f32.axpy_rows)(black_box(&weights), rows, &coefs, &mut x);
                });
                each_call(criterion, name("axpy_rows_bf16"), &all, |rows| {
                    (kernels.bf16.axpy_rows)(black_box(&halves), rows, &coefs, &mut x);
                });
            }
        }
    }
}

/// A few columns of a few rows: a sampled layer of 10,000 inputs, of which 300 are active, as are
/// 300 of its neurons.
fn columns(criterion: &mut Criterion) {
    let (stride, active) = (10_000, 300);
    let weights = noise(FLOATS);
    let halves: Vec<Bf16> = weights.iter().map(|&w| Bf16::nearest(w)).collect();
    let (floats, halves) = ((&weights[..], stride), (&halves[..], stride));
    let rows = row_numbers(active, FLOATS / stride);
    let columns = row_numbers(active, stride);
    let (values, mut out) = (noise(active), noise(active));
    for kernels in Kernels::available() {
        let mut group = criterion.benchmark_group(format!("columns/{}", kernels.name));
        group.throughput(Throughput::Elements((active * active) as u64));
        group.bench_function("dot", |bencher| {
            bencher.iter(|| {
                (kernels.f32.dot_columns)(black_box(floats), &rows, &columns, &values, &mut out);
            });
        });
        group.bench_function("dot_bf16", |bencher| {
            bencher.iter(|| {
                (kernels.bf16.dot_columns)(black_box(halves), &rows, &columns, &values, &mut out);
            });
        });
        group.bench_function("axpy", |bencher| {
            bencher.iter(|| {
                (kernels.f32.axpy_columns)(black_box(floats), &rows, &values, &columns, &mut out);
            });
        });
        group.bench_function("axpy_bf16", |bencher| {
            bencher.iter(|| {
                (kernels.bf16.axpy_columns)(black_box(halves), &rows, &values, &columns, &mut out);
            });
        });
        group.finish();
        let mut group = criterion.benchmark_group(format!("round/{}", kernels.name));
        group.throughput(Throughput::Elements(active as u64));
        group.bench_function("bf16", |bencher| {
            let mut halves = vec![Bf16::default(); active];
            bencher.iter(|| (kernels.bf16.round)((7, 0), black_box(&values), &mut halves));
        });
        group.finish();
    }
}

/// Kernels over one vector each, in cache.
fn vectors(criterion: &mut Criterion) {
    let step = AdamStep {
        lr: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        keep1: 0.9,
        keep2: 0.999,
        decay: 1.0,
        eps: 1e-8,
        bias1: 1.0,
        bias2: 1.0,
    };
    for width in WIDTHS {
        let [mut w, mut m, mut v] = [noise(width), noise(width), noise(width)];
        let g = noise(width);
        for kernels in Kernels::available() {
            let mut group = criterion.benchmark_group(format!("vectors/{width}/{}", kernels.name));
            group.bench_function("adam", |bencher| {
                bencher.iter(|| {
                    let row = State { w: &mut w[..], m: &mut m[..], v: &mut v[..], soon: 0 };
                    (kernels.f32.adam.entries)(&step, (0, 0), row, black_box(&g));
                });
            });
            group.bench_function("dot", |bencher| {
                bencher.iter(|| (kernels.dot)(black_box(&w), black_box(&g)));
            });
            group.bench_function("axpy", |bencher| {
                bencher.iter(|| (kernels.axpy)(1e-6, black_box(&g), &mut w));
            });
            group.bench_function("exp_sum", |bencher| {
                bencher.iter(|| {
                    w.copy_from_slice(&g);
                    (kernels.exp_sum)(1.0, black_box(&mut w))
                });
            });
            group.finish();
        }
    }
}

/// Matrix products of the sizes in use; criterion's elements are floating-point operations.
fn products(criterion: &mut Criterion) {
    let sizes = [
        [512, 704, 128],
        [32, 700, 128],
        [345, 256, 128],
        [345, 128, 256],
        [256, 128, 345],
        // A dense layer of 784 inputs and 128 units: a block of samples, and some rows' gradients.
        [16, 128, 784],
        [64, 128, 128],
    ];
    for [m, n, k] in sizes {
        let (a, b, mut c) = (noise(m * k), noise(k * n), vec![0.0; m * n]);
        let mut group = criterion.benchmark_group(format!("gemm/{m}x{n}x{k}"));
        group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
        for kernels in Kernels::available() {
            group.bench_function(kernels.name, |bencher| {
                bencher.iter(|| (kernels.gemm)([m, n, k], black_box(&a), k, &b, n, &mut c, n));
            });
            group.bench_function(format!("{} across", kernels.name), |bencher| {
                bencher.iter(|| {
                    (kernels.gemm_across)([m, n, k], black_box(&a), m, &b, n, &mut c, n);
                });
            });
            let rows: Vec<u32> = (0..k as u32).collect();
            group.bench_function(format!("{} rows", kernels.name), |bencher| {
                bencher.iter(|| {
                    let b = (&b[..], n);
                    (kernels.f32.gemm_rows)([m, n], (black_box(&a), k), b, &rows, (&mut c, n));
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = kernels;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(200))
        .measurement_time(std::time::Duration::from_millis(500));
    targets = products, vectors, rows, columns
}
criterion_main!(kernels);
