//! Numbers of 16 bits: how they are read, and what is rounded to them.

use super::*;

/// Numbers of all sizes that halves have, and beyond.
fn sizes() -> Vec<f32> {
    let scales = [1e-9, 1e-7, 5e-6, 7e-5, 0.1, 1.0, 900.0, 6e4, 1e7, 1e38];
    let mut x: Vec<f32> = (4..)
        .zip(scales)
        .flat_map(|(seed, by)| noise(seed, 150).into_iter().map(move |x| x * by))
        .collect();
    x.extend([0.0, -0.0, 65_504.0, -65_519.9, 65_536.0, f32::INFINITY, f32::NEG_INFINITY]);
    x
}

fn assert_rounds_alike<E: Stored + PartialEq>(kernels: &Kernels, of_halves: &RowKernels<E>) {
    let x = sizes();
    let places = (0..).zip(&x);
    let all: Vec<E> = places.map(|(place, &x)| E::rounded(x, dice(77, place)[0])).collect();
    for first in [0, 1, 16, 149, 150, x.len()] {
        let mut out = vec![E::default(); x.len() - first];
        (of_halves.round)((77, first as u32), &x[first..], &mut out);
        for ((x, out), all) in x[first..].iter().zip(&out).zip(&all[first..]) {
            assert!(out == all, "{} {x}: {:e} {:e}", kernels.name, out.float(), all.float());
        }
    }
}

#[test]
fn random_rounding_has_the_same_bits_on_every_isa_and_wherever_it_begins() {
    for kernels in Kernels::available() {
        assert_rounds_alike(&kernels, &kernels.bf16);
        assert_rounds_alike(&kernels, &kernels.f16);
    }
}

/// Asserts that `x` becomes `low` or the number above it, and that in the mean.
fn assert_mean<E: Stored>(x: f32, [low, high]: [f32; 2]) {
    let n = 65_536_u32;
    let share = f64::from((x - low) / (high - low));
    let mut out = [E::default()];
    let up = (0..n).filter(|&key| {
        (E::of(&portable::KERNELS).round)((u64::from(key) << 20, key % 64), &[x], &mut out);
        assert!([low, high].contains(&out[0].float()), "{x:e} is {:e}", out[0].float());
        out[0].float() == high
    });
    let found = up.count() as f64;
    // Four standard deviations of a binomial number.
    let n = f64::from(n);
    let allowed = 4.0 * (n * share * (1.0 - share)).sqrt();
    assert!((found - n * share).abs() <= allowed, "{x:e}: {found} of {}", n * share);
}

#[test]
fn random_rounding_gives_the_neighbours_and_their_mean_is_the_number() {
    // A quarter of the way up, and just above the lower one.
    for x in [1.0 + 0.25 / 128.0, 1.0 + f32::EPSILON] {
        assert_mean::<Bf16>(x, [1.0, 1.0 + 1.0 / 128.0]);
    }
    for (low, unit) in [(1.0, 1.0 / 1024.0), (-8.0, -1.0 / 128.0), (0.0, 1.0 / 16_777_216.0)] {
        for part in [0.25, 1.0 / 8192.0] {
            assert_mean::<F16>(low + part * unit, [low, low + unit]);
        }
    }
}

#[test]
fn halves_are_read_alike_and_survive_rounding_whatever_their_bits() {
    let all: Vec<F16> = (0..=u16::MAX).map(F16::from_bits).collect();
    let mut floats = vec![0.0; all.len()];
    for kernels in Kernels::available() {
        (kernels.f16.widen)(&all, &mut floats);
        let mut back = all.clone();
        (kernels.f16.round)((3, 0), &floats, &mut back);
        for (half, (&float, back)) in all.iter().zip(floats.iter().zip(&back)) {
            let what = format!("{} {:#x}", kernels.name, half.to_bits());
            if half.to_f32().is_nan() {
                assert!(float.is_nan() && back.to_f32().is_nan(), "{what}");
                assert!(F16::nearest(float).to_f32().is_nan(), "{what}");
            } else {
                assert_eq!(float.to_bits(), half.to_f32().to_bits(), "{what}");
                assert_eq!([*back, F16::nearest(float)], [*half; 2], "{what}");
            }
        }
    }
}

#[test]
fn the_nearest_half_is_the_nearest_of_all() {
    let finite: Vec<F16> = (0..0x7c00).map(F16::from_bits).collect();
    for pair in finite.windows(2) {
        let [low, high] = [pair[0].to_f32(), pair[1].to_f32()];
        let middle = low.midpoint(high);
        // Of two equally near ones it is the even one.
        let even = pair[usize::from(pair[0].to_bits() % 2 == 1)];
        assert_eq!(F16::nearest(middle), even, "{middle:e}");
        assert_eq!(F16::nearest(middle.next_down()), pair[0], "{middle:e}");
        assert_eq!(F16::nearest(-middle.next_up()).to_f32(), -high, "{middle:e}");
    }
    assert_eq!(F16::nearest(1e9).to_f32(), 65_504.0);
    assert_eq!(F16::round(-1e9, u16::MAX).to_f32(), -65_504.0);
}

#[test]
fn special_values_survive_rounding() {
    for x in [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 1.0, -2.5] {
        assert_eq!(Bf16::nearest(x).to_f32().to_bits(), x.to_bits());
        assert_eq!(Bf16::round(x, u16::MAX).to_f32().to_bits(), x.to_bits());
        assert_eq!(F16::nearest(x).to_f32().to_bits(), x.to_bits());
        assert_eq!(F16::round(x, u16::MAX).to_f32().to_bits(), x.to_bits());
    }
    for bits in [0x7f80_0001, 0x7fff_ffff, 0xffff_ffff] {
        assert!(Bf16::nearest(f32::from_bits(bits)).to_f32().is_nan());
        assert!(Bf16::round(f32::from_bits(bits), u16::MAX).to_f32().is_nan());
        assert!(F16::nearest(f32::from_bits(bits)).to_f32().is_nan());
        assert!(F16::round(f32::from_bits(bits), u16::MAX).to_f32().is_nan());
    }
    // Ties go to the even neighbour.
    let tie = |odd: u32| f32::from_bits(0x3f80_8000 + (odd << 16));
    assert_eq!(Bf16::nearest(tie(0)).to_bits(), 0x3f80);
    assert_eq!(Bf16::nearest(tie(1)).to_bits(), 0x3f82);
}
