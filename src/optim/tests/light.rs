//! Adam that remembers less: moments in halves, one second moment a row.

use super::*;

/// Every Adam whose moments are halves.
pub(super) fn all() -> Vec<OptimizerConfig> {
    let modes = [AdamMode::Lazy, AdamMode::CatchUp, AdamMode::Dense].into_iter();
    let seconds = modes.flat_map(|m| [(m, SecondMoment::Entry), (m, SecondMoment::Row)]);
    let decays = seconds.flat_map(|(m, second)| [(m, second, 0.0), (m, second, 0.1)]);
    decays.map(|(m, second, decay)| stored_adam(m, decay, (second, Dtype::Bf16))).collect()
}

fn bits(rows: &Rows<'_>) -> Vec<u32> {
    rows.to_vec().into_iter().map(f32::to_bits).collect()
}

#[test]
fn dense_adam_has_the_bits_of_adam_on_all_rows_however_it_is_stored() {
    let kernels = Kernels::detect().unwrap();
    for (config, dtype) in [Dtype::F32, Dtype::Bf16]
        .into_iter()
        .flat_map(|dtype| super::all().into_iter().chain(all()).map(move |config| (config, dtype)))
        .filter(|(config, _)| matches!(config, OptimizerConfig::Adam { mode: AdamMode::Dense, .. }))
    {
        let run = |every_row: bool| {
            let start = Rows::random_as(dtype, (ROWS, WIDTH), 1.0, (0, 0));
            let mut param = Param::new(start, &config);
            let mut optimizer = Optimizer::new(&config, NO_CLIP);
            for step in 0..STEPS {
                optimizer.begin(lr(step), step as u64 + 1);
                let mut shards = param.shards_mut();
                for id in (0..ROWS).filter(|&id| every_row || touched(step, id)) {
                    let mut g = gradient(step, id);
                    if !touched(step, id) {
                        g.fill(0.0);
                    }
                    let shard = &mut shards[id % SHARDS];
                    shard.update(&kernels, optimizer.update(), id / SHARDS, &mut g);
                }
            }
            optimizer.flush(&kernels, [&mut param]);
            let moments = param.moments().iter().map(|(_, rows)| bits(rows));
            moments.chain([bits(param.weights())]).collect::<Vec<_>>()
        };
        assert_eq!(run(false), run(true), "{config:?} {dtype:?}");
    }
}

/// The second moments after gradients of one in `steps` steps, of a layer of 10,240 weights.
fn second_moments(steps: u64, gradient: impl Fn(u64) -> f32) -> Vec<f32> {
    let kernels = Kernels::detect().unwrap();
    let config = stored_adam(AdamMode::Lazy, 0.0, (SecondMoment::Entry, Dtype::Bf16));
    let (rows, mut param) = (640, Param::new(Rows::zeros(640, 16), &config));
    for t in 1..=steps {
        let update = Update::new(&config, 0.01, t);
        let mut shards = param.shards_mut();
        for id in 0..rows {
            let g = &mut [gradient(t); 16];
            shards[id % SHARDS].update(&kernels, &update, id / SHARDS, g);
        }
    }
    param.moments()[1].1.to_vec()
}

#[test]
fn small_increments_of_halved_second_moments_add_up_in_the_mean() {
    let (steps, beta2) = (400, 0.99_f64);
    // Close to its end each step adds a 20th of a unit: rounded to nearest, it would stand still
    // where a step is less than half a unit of 2^-8, at 0.8.
    let v = second_moments(steps, |_| 1.0);
    let n = v.len() as f64;
    let mean = v.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let variance = v.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
    let expected = 1.0 - f64::from(0.99_f32).powi(steps as i32);
    assert!((mean - expected).abs() < 4.0 * (variance / n).sqrt(), "{mean} for {expected}");
    // Each rounding has a standard deviation of at most half a unit, 2^-8 above one, and what is
    // left of it after k steps is beta2^k.
    let allowed = 0.5 * 2.0_f64.powi(-7) / (1.0 - beta2 * beta2).sqrt();
    assert!(variance.sqrt() < allowed && variance > 0.0, "{} {allowed}", variance.sqrt());
}

#[test]
fn halved_second_moments_stay_numbers_of_at_least_zero() {
    // From nothing to almost the greatest square that a float holds, and down again.
    for v in second_moments(60, |t| [0.0, 1e-30, -1e-3, 7.0, -1e18][t as usize % 5]) {
        assert!(v >= 0.0 && v.is_finite(), "{v}");
    }
}

#[test]
fn halved_moments_take_half_the_memory_and_biases_keep_floats() {
    let config = stored_adam(AdamMode::Lazy, 0.0, (SecondMoment::Entry, Dtype::Bf16));
    let types = |weights| {
        let param = Param::new(weights, &config);
        param.moments().iter().map(|(_, rows)| rows.dtype()).collect::<Vec<_>>()
    };
    assert_eq!(types(Rows::zeros(70, 3)), [Dtype::Bf16; 2]);
    assert_eq!(types(Rows::column(70)), [Dtype::F32; 2]);
}

#[test]
fn one_second_moment_moves_a_row_along_its_mean_gradient() {
    let kernels = Kernels::detect().unwrap();
    let config = stored_adam(AdamMode::Lazy, 0.0, (SecondMoment::Row, Dtype::F32));
    let mut param = Param::new(Rows::zeros(1, 4), &config);
    let mut g = [0.0; 16];
    g[..4].copy_from_slice(&[1.0, -1.0, 2.0, 0.0]);
    param.shards_mut()[0].update(&kernels, &Update::new(&config, 0.1, 1), 0, &mut g);
    // The first step is lr * g / rms(g), each to a few roundings.
    for (w, g) in param.weights().row(0).iter().zip(g) {
        assert!((w + 0.1 * g / 1.5_f32.sqrt()).abs() < 1e-6, "{w} {g}");
    }
    let padding = &param.weights().row(0)[4..];
    assert!(padding.iter().all(|x| x.to_bits() == 0), "{padding:?}");
}
