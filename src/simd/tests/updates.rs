//! What optimisers do to a row, and rounding.

use super::*;

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
            let after = (&mut w_after, &mut m_after, &mut v_after);
            (kernels.adam.entries)(&step, (0, 0), after.0, after.1, after.2, &g);
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

#[test]
fn random_rounding_has_the_same_bits_on_every_isa_and_wherever_it_begins() {
    let x = noise(4, 150);
    let round = |kernels: &Kernels, first: usize| {
        let mut out = vec![Bf16::default(); x.len() - first];
        (kernels.round)((77, first as u32), &x[first..], &mut out);
        out
    };
    let all = round(&portable::KERNELS, 0);
    for kernels in Kernels::available() {
        for first in [0, 1, 16, 149, 150] {
            assert_eq!(round(&kernels, first), all[first..], "{}", kernels.name);
        }
    }
}

#[test]
fn random_rounding_gives_the_neighbours_and_their_mean_is_the_number() {
    let n = 65_536_u32;
    // Between two neighbours 2^-7 apart: a quarter of the way up, and just above the lower one.
    for (x, share) in [(1.0 + 0.25 / 128.0, 0.25), (1.0 + f32::EPSILON, 1.0 / 65_536.0)] {
        let mut out = [Bf16::default()];
        let up = (0..n).filter(|&key| {
            (portable::KERNELS.round)((u64::from(key) << 20, key % 64), &[x], &mut out);
            assert!([1.0, 1.0 + 1.0 / 128.0].contains(&out[0].to_f32()));
            out[0].to_f32() > 1.0
        });
        let found = up.count() as f64;
        let (n, share) = (f64::from(n), share);
        // Four standard deviations of a binomial number.
        let allowed = 4.0 * (n * share * (1.0 - share)).sqrt();
        assert!((found - n * share).abs() <= allowed, "{found} of {}", n * share);
    }
}

#[test]
fn special_values_survive_rounding() {
    for x in [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 1.0, -2.5] {
        assert_eq!(Bf16::nearest(x).to_f32().to_bits(), x.to_bits());
        assert_eq!(Bf16::round(x, u16::MAX).to_f32().to_bits(), x.to_bits());
    }
    for bits in [0x7f80_0001, 0x7fff_ffff, 0xffff_ffff] {
        assert!(Bf16::nearest(f32::from_bits(bits)).to_f32().is_nan());
        assert!(Bf16::round(f32::from_bits(bits), u16::MAX).to_f32().is_nan());
    }
    // Ties go to the even neighbour.
    let tie = |odd: u32| f32::from_bits(0x3f80_8000 + (odd << 16));
    assert_eq!(Bf16::nearest(tie(0)).to_bits(), 0x3f80);
    assert_eq!(Bf16::nearest(tie(1)).to_bits(), 0x3f82);
}
