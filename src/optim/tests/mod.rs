//! Every optimiser against its dense counterpart in `f64`.

mod halves;
mod light;
mod sweep;

use super::*;
use crate::config::{AdamMode, ClipConfig, Dtype, OptimizerConfig, SecondMoment};
use crate::rng::{Rng, Stream};
use crate::rows::{Rows, SHARDS};
use crate::simd::Kernels;

const ROWS: usize = 70;
const WIDTH: usize = 19;
const STEPS: usize = 40;

const fn adam(mode: AdamMode, weight_decay: f32) -> OptimizerConfig {
    stored_adam(mode, weight_decay, (SecondMoment::Entry, Dtype::F32))
}

/// Adam that remembers less.
const fn stored_adam(
    mode: AdamMode,
    weight_decay: f32,
    (second_moment, moments): (SecondMoment, Dtype),
) -> OptimizerConfig {
    let (lr, beta1, beta2, eps) = (None, 0.9, 0.99, 1e-8);
    let (second_moment, moments) = (Some(second_moment), Some(moments));
    OptimizerConfig::Adam { lr, beta1, beta2, eps, weight_decay, mode, second_moment, moments }
}

const fn sgd(momentum: f32, nesterov: bool) -> OptimizerConfig {
    OptimizerConfig::Sgd { lr: None, momentum, nesterov }
}

const ADAGRAD: OptimizerConfig = OptimizerConfig::Adagrad { lr: None, eps: 1e-8 };

/// A rate that changes from step to step.
fn lr(step: usize) -> f32 {
    0.02 / (1.0 + step as f32 / 10.0)
}

/// The gradient of a row in a step, as long as the stride.
fn gradient(step: usize, id: usize) -> Vec<f32> {
    let mut g = vec![0.0; 32];
    Rng::new(1, Stream::Probe, step as u64, id as u64).fill_normal(1.0, &mut g[..WIDTH]);
    g
}

/// Some rows often, some never.
fn touched(step: usize, id: usize) -> bool {
    !id.is_multiple_of(5) && (step * 7 + id * 3).is_multiple_of(id % 11 + 1)
}

/// The weights after all steps on the touched rows, and a flush.
fn sparse(
    config: &OptimizerConfig,
    clip: ClipConfig,
    dtype: Dtype,
    touched: impl Fn(usize, usize) -> bool,
) -> Vec<f32> {
    let kernels = Kernels::detect().unwrap();
    let mut param = Param::new(Rows::random_as(dtype, (ROWS, WIDTH), 1.0, (0, 0)), config);
    let mut optimizer = Optimizer::new(config, clip);
    for step in 0..STEPS {
        optimizer.begin(lr(step), step as u64 + 1);
        let mut shards = param.shards_mut();
        for id in (0..ROWS).filter(|&id| touched(step, id)) {
            let shard = &mut shards[id % SHARDS];
            shard.update(&kernels, optimizer.update(), id / SHARDS, &mut gradient(step, id));
        }
    }
    optimizer.flush(&kernels, [&mut param]);
    param.weights().to_vec()
}

/// An optimiser that runs over all rows in every step, with a zero gradient for those that were
/// not touched.
fn dense(
    config: &OptimizerConfig,
    clip: ClipConfig,
    dtype: Dtype,
    touched: impl Fn(usize, usize) -> bool,
) -> Vec<f64> {
    let start = Rows::random_as(dtype, (ROWS, WIDTH), 1.0, (0, 0)).to_vec();
    let mut weights: Vec<f64> = start.into_iter().map(f64::from).collect();
    for (id, w) in weights.chunks_mut(WIDTH).enumerate() {
        let (mut m, mut v, mut sum) = ([0.0; WIDTH], [0.0; WIDTH], 0.0);
        for step in 0..STEPS {
            let mut g = [0.0; WIDTH];
            if touched(step, id) {
                g.iter_mut().zip(gradient(step, id)).for_each(|(g, x)| *g = f64::from(x));
            }
            let limit = clip.value.map_or(f64::INFINITY, f64::from);
            g = g.map(|g| g.clamp(-limit, limit));
            let squares: f64 = g.iter().map(|g| g * g).sum();
            let limit = clip.norm.map_or(f64::INFINITY, f64::from);
            g = g.map(|g| if squares.sqrt() > limit { g * limit / squares.sqrt() } else { g });
            let squares: f64 = g.iter().map(|g| g * g).sum();
            sum += squares / WIDTH as f64;
            let (lr, t) = (f64::from(lr(step)), step as i32 + 1);
            for i in 0..WIDTH {
                match *config {
                    OptimizerConfig::Adam {
                        beta1,
                        beta2,
                        eps,
                        weight_decay,
                        second_moment,
                        ..
                    } => {
                        let [beta1, beta2, eps, decay] =
                            [beta1, beta2, eps, weight_decay].map(f64::from);
                        let square = match second_moment.unwrap_or_default() {
                            SecondMoment::Entry => g[i] * g[i],
                            SecondMoment::Row => squares / WIDTH as f64,
                        };
                        w[i] *= 1.0 - lr * decay;
                        m[i] = beta1 * m[i] + (1.0 - beta1) * g[i];
                        v[i] = beta2 * v[i] + (1.0 - beta2) * square;
                        let (mean, square) =
                            (m[i] / (1.0 - beta1.powi(t)), v[i] / (1.0 - beta2.powi(t)));
                        w[i] -= lr * mean / (square.sqrt() + eps);
                    }
                    OptimizerConfig::Sgd { momentum, nesterov, .. } => {
                        let momentum = f64::from(momentum);
                        m[i] = momentum * m[i] + g[i];
                        let ahead = if nesterov { g[i] + momentum * m[i] } else { m[i] };
                        w[i] -= lr * ahead;
                    }
                    OptimizerConfig::Adagrad { eps, .. } => {
                        w[i] -= lr * g[i] / (sum.sqrt() + f64::from(eps));
                    }
                }
            }
        }
    }
    weights
}

/// The greatest difference between the two.
fn distance(sparse: &[f32], dense: &[f64]) -> f64 {
    sparse.iter().zip(dense).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

/// A step moves a weight of at most 4 by less than 0.3, to within ten roundings of a half each.
const ROUNDINGS: f64 = STEPS as f64 * 5.0 * 4.0 * f32::EPSILON as f64;

const NO_CLIP: ClipConfig = ClipConfig { norm: None, value: None };

/// Every optimiser whose moments are floats.
fn all() -> Vec<OptimizerConfig> {
    let modes = [AdamMode::Lazy, AdamMode::CatchUp, AdamMode::Dense];
    let adams = modes.into_iter().flat_map(|mode| {
        let by_row = |decay| stored_adam(mode, decay, (SecondMoment::Row, Dtype::F32));
        [adam(mode, 0.0), adam(mode, 0.1), by_row(0.0), by_row(0.1)]
    });
    adams.chain([sgd(0.0, false), sgd(0.9, false), sgd(0.9, true), ADAGRAD]).collect()
}

#[test]
fn every_optimizer_equals_its_dense_counterpart_when_all_rows_are_touched() {
    for config in all() {
        let (a, b) = (
            sparse(&config, NO_CLIP, Dtype::F32, |_, _| true),
            dense(&config, NO_CLIP, Dtype::F32, |_, _| true),
        );
        assert!(distance(&a, &b) < ROUNDINGS, "{config:?} by {}", distance(&a, &b));
    }
}

#[test]
fn dense_adam_descent_and_adagrad_equal_their_dense_counterparts_when_rows_are_missed() {
    let (plain, decayed) = (adam(AdamMode::Dense, 0.0), adam(AdamMode::Dense, 0.1));
    let by_row = stored_adam(AdamMode::Dense, 0.1, (SecondMoment::Row, Dtype::F32));
    for config in [plain, decayed, by_row, sgd(0.0, false), ADAGRAD] {
        let (a, b) = (
            sparse(&config, NO_CLIP, Dtype::F32, touched),
            dense(&config, NO_CLIP, Dtype::F32, touched),
        );
        assert!(distance(&a, &b) < ROUNDINGS, "{config:?} by {}", distance(&a, &b));
    }
}

#[test]
fn lazy_decay_shrinks_rows_that_are_never_touched_as_much_as_dense_decay() {
    for mode in [AdamMode::Lazy, AdamMode::CatchUp] {
        let config = adam(mode, 0.1);
        let (a, b) = (
            sparse(&config, NO_CLIP, Dtype::F32, |_, _| false),
            dense(&config, NO_CLIP, Dtype::F32, |_, _| false),
        );
        assert!(distance(&a, &b) < ROUNDINGS, "{mode:?} by {}", distance(&a, &b));
        assert!(
            b.iter()
                .zip(Rows::random(ROWS, WIDTH, 1.0, 0, 0).to_vec())
                .all(|(b, a)| { b.abs() < f64::from(a).abs() * 0.99 })
        );
    }
}

#[test]
fn catching_up_decays_the_moments_and_does_not_move_the_row() {
    let kernels = Kernels::detect().unwrap();
    let config = adam(AdamMode::CatchUp, 0.0);
    let mut param = Param::new(Rows::zeros(1, 1), &config);
    let mut optimizer = Optimizer::new(&config, NO_CLIP);
    optimizer.begin(0.1, 1);
    param.shards_mut()[0].update(&kernels, optimizer.update(), 0, &mut gradient(0, 0)[..16]);
    let (w, g) = (param.weights().row(0)[0], gradient(0, 0)[0]);
    for t in 2..=8 {
        optimizer.begin(0.1, t);
    }
    optimizer.flush(&kernels, [&mut param]);
    assert_eq!(param.weights().row(0)[0], w);
    let [(_, m), (_, v)] = param.moments() else { panic!("two moments") };
    let (mean, square) = (0.1 * 0.9_f32.powi(7) * g, 0.01 * 0.99_f32.powi(7) * g * g);
    assert!((m.row(0)[0] / mean - 1.0).abs() < 1e-5);
    assert!((v.row(0)[0] / square - 1.0).abs() < 1e-5);
}

#[test]
fn flushing_between_steps_changes_no_more_than_roundings() {
    let kernels = Kernels::detect().unwrap();
    for config in all() {
        let mut param = Param::new(Rows::random(ROWS, WIDTH, 1.0, 0, 0), &config);
        let mut optimizer = Optimizer::new(&config, NO_CLIP);
        for step in 0..STEPS {
            optimizer.begin(lr(step), step as u64 + 1);
            let mut shards = param.shards_mut();
            for id in (0..ROWS).filter(|&id| touched(step, id)) {
                let mut g = gradient(step, id);
                let shard = &mut shards[id % SHARDS];
                shard.update(&kernels, optimizer.update(), id / SHARDS, &mut g);
            }
            if step % 3 == 0 {
                optimizer.flush(&kernels, [&mut param]);
            }
        }
        optimizer.flush(&kernels, [&mut param]);
        let once = sparse(&config, NO_CLIP, Dtype::F32, touched);
        let often: Vec<f64> = param.weights().to_vec().into_iter().map(f64::from).collect();
        assert!(distance(&once, &often) < ROUNDINGS, "{config:?}");
    }
}

#[test]
fn a_step_that_was_not_made_leaves_no_debt() {
    let kernels = Kernels::detect().unwrap();
    for config in all().into_iter().chain(light::all()) {
        let start = Rows::random(ROWS, WIDTH, 1.0, 0, 0);
        let mut param = Param::new(start.clone(), &config);
        let mut optimizer = Optimizer::new(&config, NO_CLIP);
        optimizer.begin(0.1, 1);
        optimizer.cancel();
        optimizer.flush(&kernels, [&mut param]);
        assert_eq!(param.weights().to_vec(), start.to_vec());
    }
}

#[test]
fn clipping_limits_entries_and_then_the_norm_of_each_row() {
    for clip in [
        ClipConfig { norm: Some(2.0), value: None },
        ClipConfig { norm: None, value: Some(0.7) },
        ClipConfig { norm: Some(2.0), value: Some(0.7) },
    ] {
        for config in all() {
            let (a, b) = (
                sparse(&config, clip, Dtype::F32, |_, _| true),
                dense(&config, clip, Dtype::F32, |_, _| true),
            );
            assert!(distance(&a, &b) < ROUNDINGS, "{config:?} by {}", distance(&a, &b));
        }
    }
}

#[test]
fn a_change_of_columns_is_a_change_of_the_row_at_these_columns_only() {
    let kernels = Kernels::detect().unwrap();
    let columns = [3, 17, 0, 9];
    let clip = ClipConfig { norm: Some(1.5), value: Some(1.0) };
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
        for config in all().into_iter().chain(light::all()) {
            let start = Rows::random_as(dtype, (ROWS, WIDTH), 1.0, (0, 0));
            let mut optimizer = Optimizer::new(&config, clip);
            let [mut whole, mut some] = [(); 2].map(|()| Param::new(start.clone(), &config));
            for step in 0..5 {
                optimizer.begin(0.01, step as u64 + 1);
                let mut g = gradient(step, 6);
                (0..32).filter(|i| !columns.contains(i)).for_each(|i| g[i as usize] = 0.0);
                let update = optimizer.update();
                whole.shards_mut()[6].update(&kernels, update, 0, &mut g.clone());
                some.shards_mut()[6].update_columns(&kernels, update, 0, &columns, &mut g);
            }
            let place = 6 * WIDTH..7 * WIDTH;
            let (start, whole) = (start.to_vec(), whole.weights().to_vec());
            let some = some.weights().to_vec();
            for (i, at) in place.enumerate() {
                let touched = columns.contains(&(i as u32));
                // The norm is a sum in another order, so to some roundings.
                let near = (some[at] - whole[at]).abs() <= 4.0 * dtype.ulp(whole[at]);
                assert!(near, "{config:?} {dtype:?} at {i}: {} {}", some[at], whole[at]);
                let decays = matches!(config, OptimizerConfig::Adam { weight_decay, .. }
                    if weight_decay > 0.0);
                let rests = some[at].to_bits() == start[at].to_bits();
                assert!(touched || decays || rests, "{config:?} {dtype:?} at {i}");
                assert!(!touched || dtype != Dtype::F32 || !rests, "{config:?} at {i}");
            }
        }
    }
}

impl Dtype {
    /// The distance to the next number.
    fn ulp(self, x: f32) -> f32 {
        x.abs() * if self == Self::F32 { f32::EPSILON } else { 1.0 / 128.0 }
    }
}

#[test]
fn a_row_that_is_not_touched_rests() {
    let kernels = Kernels::detect().unwrap();
    let config = adam(AdamMode::Lazy, 0.0);
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
        let mut param = Param::new(Rows::random_as(dtype, (200, 20), 1.0, (0, 0)), &config);
        let before = param.weights().to_vec();
        let update = Update::new(&config, 0.1, 1);
        param.shards_mut()[3].update(&kernels, &update, 1, &mut [0.5; 32]);
        let after = param.weights().to_vec();
        for (id, (before, after)) in before.chunks(20).zip(after.chunks(20)).enumerate() {
            assert_eq!(before == after, id != 64 + 3);
        }
    }
}

#[test]
fn the_first_adam_step_is_as_long_as_the_learning_rate() {
    let kernels = Kernels::detect().unwrap();
    let config = adam(AdamMode::Lazy, 0.0);
    let mut param = Param::new(Rows::zeros(1, 1), &config);
    let update = Update::new(&config, 0.1, 1);
    param.shards_mut()[0].update(&kernels, &update, 0, &mut [3.0; 16]);
    // m / (1 - beta1) = g and sqrt(v / (1 - beta2)) = |g|, each to a few roundings.
    assert!((param.weights().row(0)[0] + 0.1).abs() < 1e-6);
}

#[test]
fn what_is_remembered_is_what_the_optimizer_needs() {
    let names = |config: &OptimizerConfig| {
        let param = Param::new(Rows::zeros(70, 3), config);
        param.moments().iter().map(|(name, rows)| (*name, rows.width())).collect::<Vec<_>>()
    };
    assert_eq!(names(&adam(AdamMode::Lazy, 0.0)), [("m", 3), ("v", 3)]);
    let by_row = stored_adam(AdamMode::Lazy, 0.0, (SecondMoment::Row, Dtype::F32));
    assert_eq!(names(&by_row), [("m", 3), ("v_of_row", 1)]);
    assert_eq!(names(&sgd(0.9, false)), [("m", 3)]);
    assert_eq!(names(&sgd(0.0, false)), []);
    assert_eq!(names(&ADAGRAD), [("acc", 1)]);
}
