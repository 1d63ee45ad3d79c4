//! Rows that are stored in halves, and the threads that change them.

use rayon::prelude::*;

use super::*;

#[test]
fn halves_follow_the_dense_optimizer_within_the_error_of_their_rounding() {
    let kinds = [(Dtype::Bf16, 128.0), (Dtype::F16, 1024.0)];
    for (config, (dtype, precision)) in all().iter().flat_map(|c| kinds.map(|kind| (c, kind))) {
        let (a, b) = (
            sparse(config, NO_CLIP, dtype, |_, _| true),
            dense(config, NO_CLIP, dtype, |_, _| true),
        );
        // Each step adds an error of mean zero and of at most one unit of the last place, a part
        // of a weight below 4; over the steps their root sum of squares, and five times that.
        let unit = 4.0 / precision;
        let allowed = 5.0 * 0.5 * unit * (STEPS as f64).sqrt();
        assert!(distance(&a, &b) < allowed, "{config:?} by {}", distance(&a, &b));
    }
}

#[test]
fn small_steps_of_halves_add_up_in_the_mean() {
    assert_steps_add_up(Dtype::Bf16, 128.0);
    assert_steps_add_up(Dtype::F16, 1024.0);
}

fn assert_steps_add_up(dtype: Dtype, precision: f32) {
    // Each step is a 50th of a unit of the last place: rounded to nearest, nothing would move.
    let (rows, steps, lr) = (640, 100, 1.0 / precision / 50.0);
    let kernels = Kernels::detect().unwrap();
    let config = sgd(0.0, false);
    let mut param = Param::new(Rows::new(rows, 16, dtype), &config);
    param.weights_mut().assign(std::iter::repeat_n(1.0, rows * 16));
    for t in 1..=steps {
        let update = Update::new(&config, lr, t);
        let mut shards = param.shards_mut();
        for id in 0..rows {
            shards[id % SHARDS].update(&kernels, &update, id / SHARDS, &mut [-1.0; 16]);
        }
    }
    let weights = param.weights().to_vec();
    let n = weights.len() as f64;
    let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / n;
    let expected = 1.0 + f64::from(lr) * steps as f64;
    // A step goes up a unit with probability 1 / 50: the variance of their sum is binomial.
    let deviation = (steps as f64 * 0.02 * 0.98).sqrt() / f64::from(precision);
    assert!((mean - expected).abs() < 4.0 * deviation / n.sqrt(), "{mean} for {expected}");
    // And so is that of the weights: the dice of different places and steps are independent.
    let variance = weights.iter().map(|&w| (f64::from(w) - mean).powi(2)).sum::<f64>() / n;
    let ratio = variance / deviation.powi(2);
    assert!((ratio - 1.0).abs() < 4.0 * (2.5 / n).sqrt(), "{ratio}");
}

#[test]
fn weights_are_the_same_bits_on_one_and_on_eight_threads() {
    let kernels = Kernels::detect().unwrap();
    for (config, dtype) in all()
        .iter()
        .chain(&light::all())
        .flat_map(|c| [Dtype::F32, Dtype::Bf16, Dtype::F16].map(|d| (c, d)))
    {
        let run = || {
            let rows = Rows::random_as(dtype, (ROWS, WIDTH), 1.0, (0, 0));
            let mut param = Param::new(rows, config);
            let mut optimizer = Optimizer::new(config, NO_CLIP);
            for step in 0..10 {
                optimizer.begin(lr(step), step as u64 + 1);
                let shards = param.shards_mut().into_par_iter().enumerate();
                shards.for_each(|(first, mut shard)| {
                    let ids = (first..ROWS).step_by(SHARDS).filter(|&id| touched(step, id));
                    for id in ids {
                        let mut g = gradient(step, id);
                        shard.update(&kernels, optimizer.update(), id / SHARDS, &mut g);
                    }
                });
            }
            optimizer.flush(&kernels, [&mut param]);
            param.weights().to_vec().into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(run)
        };
        assert_eq!(on(1), on(8), "{config:?} {dtype:?}");
    }
}
