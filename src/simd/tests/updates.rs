//! What optimisers do to a row, and rounding.

use super::*;
use crate::rng::{Rng, Stream};

#[test]
fn adam_agrees_with_f64_on_every_isa_and_length() {
    let (beta1, beta2, time) = (0.9_f32, 0.999_f32, 3);
    let bias1 = 1.0 / (1.0 - beta1.powi(time));
    let bias2 = 1.0 / (1.0 - beta2.powi(time));
    let [keep1, keep2, decay] = [beta1.powi(2), beta2.powi(2), 0.96];
    let step = AdamStep { lr: 0.01, beta1, beta2, keep1, keep2, decay, eps: 1e-8, bias1, bias2 };
    for kernels in Kernels::available() {
        for len in 0..200 {
            let (w, m, g) = (noise(6, len), noise(7, len), noise(8, len));
            let v: Vec<f32> = noise(9, len).into_iter().map(f32::abs).collect();
            let (mut w_after, mut m_after, mut v_after) = (w.clone(), m.clone(), v.clone());
            let (w_row, m_row) = (&mut w_after[..], &mut m_after[..]);
            let row = State { w: w_row, m: m_row, v: &mut v_after, soon: len };
            (kernels.f32.adam.entries)(&step, (0, 0), row, &g);
            for i in 0..len {
                let [w, m, v, g] = [w[i], m[i], v[i], g[i]].map(f64::from);
                let [beta1, beta2] = [beta1, beta2].map(f64::from);
                let [keep1, keep2] = [keep1, keep2].map(f64::from);
                let w = w * f64::from(decay);
                let means = [keep1 * m, (1.0 - beta1) * g];
                let squares = [keep2 * v, (1.0 - beta2) * g * g];
                let what = format_args!("{} length {len}", kernels.name);
                assert_sum(m_after[i], means.into_iter(), what);
                assert_sum(v_after[i], squares.into_iter(), what);
                let root = (squares.iter().sum::<f64>() * f64::from(bias2)).sqrt();
                let pull = f64::from(step.lr * bias1) / (root + f64::from(step.eps));
                let moved = pull * means.iter().sum::<f64>();
                // The mean loses as above, then eight more roundings of half an epsilon at most.
                let error = (f64::from(w_after[i]) - (w - moved)).abs();
                let allowed = 2.0 * pull * tolerance(means.into_iter())
                    + 4.0 * EPSILON * (moved.abs() + w.abs());
                assert!(error <= allowed, "{what}: {error} > {allowed}");
            }
        }
    }
}

#[test]
fn adam_of_a_row_agrees_with_f64_on_every_isa_and_length() {
    let step = AdamRowStep { keep: 0.81, fresh: 0.1, decay: 0.96, rate: 0.02 };
    for kernels in Kernels::available() {
        for len in 0..200 {
            let [w, m, g] = [noise(6, len), noise(7, len), noise(8, len)];
            let (mut w_after, mut m_after) = (w.clone(), m.clone());
            let row = State { w: &mut w_after[..], m: &mut m_after[..], v: &mut [], soon: len };
            (kernels.f32.adam.row)(&step, (0, 0), row, &g);
            for i in 0..len {
                let [w, m, g] = [w[i], m[i], g[i]].map(f64::from);
                let [keep, fresh, decay, rate] =
                    [step.keep, step.fresh, step.decay, step.rate].map(f64::from);
                let what = format_args!("{} length {len}", kernels.name);
                assert_sum(m_after[i], [keep * m, fresh * g].into_iter(), what);
                let terms = [decay * w, -rate * keep * m, -rate * fresh * g];
                assert_sum(w_after[i], terms.into_iter(), what);
            }
        }
    }
}

/// Asserts that `mixed` does what `plain` does to the same numbers as floats, and then rounds.
fn assert_rounds<W: Stored, M: Stored>(plain: Adam, mixed: Adam<W, M>, what: &str, len: usize) {
    let bias = [1.0 / (1.0 - 0.9_f32.powi(3)), 1.0 / (1.0 - 0.999_f32.powi(3))];
    let (beta1, beta2, [bias1, bias2]) = (0.9, 0.999, bias);
    let (keep1, keep2, decay, eps) = (0.81, 0.998, 0.96, 1e-8);
    let step = AdamStep { lr: 0.01, beta1, beta2, keep1, keep2, decay, eps, bias1, bias2 };
    let of_row = AdamRowStep { keep: 0.81, fresh: 0.1, decay: 0.96, rate: 0.02 };
    let (key, first) = (0x0123_4567_89ab_cdef, 300);
    let mut g = noise(8, len);
    g.iter_mut().skip(20).step_by(31).for_each(|g| *g = f32::NAN);
    let start = [noise(6, len), noise(7, len), noise(9, len).into_iter().map(f32::abs).collect()];
    for by_row in [false, true] {
        let mut w: Vec<W> = start[0].iter().map(|&x| W::nearest(x)).collect();
        let [mut m, mut v] =
            [1, 2].map(|k: usize| start[k].iter().map(|&x| M::nearest(x)).collect::<Vec<_>>());
        let mut floats = [
            w.iter().map(|x| x.float()).collect::<Vec<_>>(),
            m.iter().map(|x| x.float()).collect(),
            v.iter().map(|x| x.float()).collect(),
        ];
        let [w_float, m_float, v_float] = floats.each_mut().map(Vec::as_mut_slice);
        let row = State { w: &mut w[..], m: &mut m[..], v: &mut v[..], soon: 0 };
        let of_floats = State { w: w_float, m: m_float, v: v_float, soon: 0 };
        if by_row {
            (mixed.row)(&of_row, (key, first), row, &g);
            (plain.row)(&of_row, (0, 0), of_floats, &g);
        } else {
            (mixed.entries)(&step, (key, first), row, &g);
            (plain.entries)(&step, (0, 0), of_floats, &g);
        }
        for i in 0..len {
            let dice = dice(key, first + i as u32);
            let found = [w[i].float(), m[i].float(), v[i].float()];
            let expected = [
                W::rounded(floats[0][i], dice[0]).float(),
                M::rounded(floats[1][i], dice[1]).float(),
                if by_row { v[i].float() } else { M::rounded(floats[2][i], dice[2]).float() },
            ];
            for (found, expected) in found.iter().zip(expected) {
                let same = found.to_bits() == expected.to_bits();
                let both_nan = found.is_nan() && expected.is_nan();
                assert!(same || both_nan, "{what} length {len} at {i}: {found} {expected}");
            }
        }
    }
}

#[test]
fn adam_on_halves_is_adam_on_the_same_floats_and_then_rounded_on_every_isa_and_length() {
    for kernels in Kernels::available() {
        for len in 0..100 {
            let (plain, what) = (kernels.f32.adam, kernels.name);
            assert_rounds(plain, kernels.f32.adam_light, what, len);
            assert_rounds(plain, kernels.bf16.adam, what, len);
            assert_rounds(plain, kernels.bf16.adam_light, what, len);
            assert_rounds(plain, kernels.f16.adam, what, len);
            assert_rounds(plain, kernels.f16.adam_light, what, len);
        }
    }
}

#[test]
fn a_row_without_a_gradient_so_far_has_a_rate_that_is_a_number() {
    let step = AdamStep {
        lr: 1.0,
        beta1: 0.9,
        beta2: 0.999,
        keep1: 0.9,
        keep2: 0.999,
        decay: 1.0,
        eps: f32::from_bits(1),
        bias1: 10.0,
        bias2: 1000.0,
    };
    assert_eq!(step.of_row(&mut 0.0, 0.0).rate, f32::MAX);
    assert!(step.of_row(&mut 0.0, f32::NAN).rate.is_nan());
}

#[test]
fn the_three_dice_of_a_place_and_those_of_its_neighbour_are_independent() {
    // The upper three bits of four dice, over many keys as rows and steps draw them.
    let (cells, draws) = (1 << 12, 1 << 18);
    let mut counts = vec![0_u32; cells];
    for draw in 0..draws {
        let (row, place) = (draw / 128, (draw % 128) as u32);
        let key = Rng::new(0, Stream::Rounding, 7, row).next_u64();
        let ([w, m, v], [next, ..]) = (dice(key, place), dice(key, place + 1));
        let cell = [w, m, v, next].iter().fold(0, |cell, die| cell << 3 | (die >> 13) as usize);
        counts[cell] += 1;
    }
    let expected = draws as f64 / cells as f64;
    let chi: f64 = counts.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
    // Chi square has as many degrees of freedom as cells less one, and a standard deviation of
    // the root of twice that; four of them.
    let freedom = (cells - 1) as f64;
    assert!((chi - freedom).abs() < 4.0 * (2.0 * freedom).sqrt(), "{chi} for {freedom}");
}

#[test]
fn momentum_agrees_with_f64_on_every_isa_and_length() {
    for kernels in Kernels::available() {
        for (len, nesterov) in (0..200).flat_map(|len| [(len, false), (len, true)]) {
            let step = MomentumStep { lr: 0.1, momentum: 0.9, nesterov };
            let [w, m, g] = [noise(6, len), noise(7, len), noise(8, len)];
            let (mut w_after, mut m_after) = (w.clone(), m.clone());
            (kernels.momentum)(&step, &mut w_after, &mut m_after, &g);
            for i in 0..len {
                let [w, m, g] = [w[i], m[i], g[i]].map(f64::from);
                let [lr, keep] = [step.lr, step.momentum].map(f64::from);
                let what = format_args!("{} length {len}", kernels.name);
                assert_sum(m_after[i], [keep * m, g].into_iter(), what);
                let ahead = [-lr * keep * keep * m, -lr * keep * g, -lr * g, w];
                let plain = [-lr * keep * m, -lr * g, w];
                let terms = if nesterov { &ahead[..] } else { &plain };
                assert_sum(w_after[i], terms.iter().copied(), what);
            }
        }
    }
}

#[test]
fn clip_cuts_and_keeps_nan_on_every_isa_and_length() {
    for kernels in Kernels::available() {
        for len in 0..100 {
            let mut x = noise(4, len);
            x.iter_mut().skip(7).step_by(20).for_each(|x| *x = f32::NAN);
            let expected: Vec<f32> = x.iter().map(|x| x.clamp(-0.6, 0.6)).collect();
            (kernels.clip)(0.6, &mut x);
            assert!(x.iter().zip(expected).all(|(x, y)| *x == y || x.is_nan() && y.is_nan()));
        }
    }
}
