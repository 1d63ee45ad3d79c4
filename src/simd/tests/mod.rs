//! Every kernel of every instruction set of this machine against `f64`.

mod hadamard;
mod halves;
mod rows;
mod updates;

use super::*;

const EPSILON: f64 = f32::EPSILON as f64;

/// Rounding of a sum of `terms`, in any order, fused or not.
fn tolerance(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = terms.clone().count();
    let magnitude: f64 = terms.map(f64::abs).sum();
    EPSILON * (count + 1) as f64 * magnitude
}

/// Asserts that `got` is the sum of `terms`, but for rounding.
fn assert_sum(got: f32, terms: impl Iterator<Item = f64> + Clone, what: impl fmt::Display) {
    let error = (f64::from(got) - terms.clone().sum::<f64>()).abs();
    assert!(error <= tolerance(terms), "{what}: {error}");
}

/// Numbers that are reproducible and not nice.
fn noise(seed: u32, len: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from(i16::try_from(state >> 17).unwrap()) / 1e4 - 1.5
    };
    (0..len).map(|_| next()).collect()
}

fn products<'a>(x: &'a [f32], y: &'a [f32]) -> impl Iterator<Item = f64> + Clone + 'a {
    x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y))
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn portable_is_available_and_last() {
    let names: Vec<_> = Kernels::available().map(|kernels| kernels.name).collect();
    assert_eq!(names.last(), Some(&"portable"));
    for isa in ["avx512", "avx2", "neon"].into_iter().filter(|isa| !names.contains(isa)) {
        eprintln!("{isa} is not present, so it is not tested");
    }
}

#[test]
fn a_named_table_is_chosen_and_an_unknown_name_is_an_error_with_the_choices() {
    for kernels in Kernels::available() {
        let chosen = Kernels::choose(Some(kernels.name.to_owned())).unwrap();
        assert_eq!(chosen.name, kernels.name);
    }
    let fastest = Kernels::available().next().unwrap();
    assert_eq!(Kernels::choose(None).unwrap().name, fastest.name);
    let refused = Kernels::choose(Some("mmx".to_owned())).unwrap_err().to_string();
    assert!(refused.starts_with("SLIDE_RS_ISA is \"mmx\", but"), "{refused}");
    assert!(refused.ends_with(" portable"), "{refused}");
}

#[test]
fn detect_obeys_the_environment() {
    let wanted = std::env::var(ISA_VARIABLE).ok();
    let name = |choice: Result<Kernels, _>| choice.map(|kernels| kernels.name);
    assert_eq!(name(Kernels::detect()), name(Kernels::choose(wanted)));
}

#[test]
fn a_row_out_of_range_panics_on_every_isa() {
    for kernels in Kernels::available() {
        let dot = || (kernels.f32.dot_rows)(&[0.0; 32], &[0, 2], &[0.0; 16], &mut [0.0; 2]);
        assert!(std::panic::catch_unwind(dot).is_err(), "{}", kernels.name);
        let axpy = || (kernels.f32.axpy_rows)(&[0.0; 32], &[0, 2], &[0.0; 2], &mut [0.0; 16]);
        assert!(std::panic::catch_unwind(axpy).is_err(), "{}", kernels.name);
        let sum = || (kernels.sum_rows)(&[0.0; 32], &[0, 2], &[0.0; 2], &mut [0.0; 16]);
        assert!(std::panic::catch_unwind(sum).is_err(), "{}", kernels.name);
    }
}

#[test]
fn dot_rows_agrees_with_f64_on_every_isa_and_width() {
    for kernels in Kernels::available() {
        for width in 0..200 {
            // Every remainder of the group of four, and rows beyond the distance of fetching.
            let rows: Vec<u32> = (0..70 + width as u32 % 4).map(|k| k * 7 % 5).collect();
            let (weights, x) = (noise(1, 5 * width), noise(2, width));
            let mut out = vec![f32::NAN; rows.len()];
            (kernels.f32.dot_rows)(&weights, &rows, &x, &mut out);
            for (&row, got) in rows.iter().zip(out) {
                let weights = &weights[row as usize * width..][..width];
                assert_sum(got, products(weights, &x), format_args!("{} {width}", kernels.name));
            }
        }
    }
}

#[test]
fn dot_rows_of_one_row_does_not_depend_on_the_other_rows() {
    for kernels in Kernels::available() {
        let (weights, x) = (noise(1, 9 * 131), noise(2, 131));
        let rows = [8, 3, 4, 1, 0, 2, 7, 5, 6];
        let mut together = [0.0; 9];
        (kernels.f32.dot_rows)(&weights, &rows, &x, &mut together);
        for (row, together) in rows.iter().zip(together) {
            let mut alone = [0.0];
            (kernels.f32.dot_rows)(&weights, &[*row], &x, &mut alone);
            assert_eq!(alone[0].to_bits(), together.to_bits(), "{} row {row}", kernels.name);
        }
    }
}

#[test]
fn axpy_rows_agrees_with_f64_on_every_isa_and_width() {
    for kernels in Kernels::available() {
        for width in 0..200 {
            let rows: Vec<u32> = (0..width as u32 % 80).map(|k| k * 7 % 5).collect();
            let (weights, coefs) = (noise(1, 5 * width), noise(2, rows.len()));
            let before = noise(3, width);
            let mut y = before.clone();
            (kernels.f32.axpy_rows)(&weights, &rows, &coefs, &mut y);
            for (i, got) in y.into_iter().enumerate() {
                let column: Vec<f32> =
                    rows.iter().map(|&row| weights[row as usize * width + i]).collect();
                let terms = products(&column, &coefs).chain([f64::from(before[i])]);
                assert_sum(got, terms, format_args!("{} width {width}", kernels.name));
            }
        }
    }
}

#[test]
fn dot_axpy_scale_and_max_agree_with_f64_on_every_isa_and_length() {
    for kernels in Kernels::available() {
        for len in 0..200 {
            let what = format!("{} length {len}", kernels.name);
            let (x, y) = (noise(4, len), noise(5, len));
            assert_sum((kernels.dot)(&x, &y), products(&x, &y), &what);

            let mut sum = y.clone();
            (kernels.axpy)(-0.3, &x, &mut sum);
            for ((got, x), y) in sum.into_iter().zip(&x).zip(&y) {
                let terms = [f64::from(-0.3_f32) * f64::from(*x), f64::from(*y)];
                assert_sum(got, terms.into_iter(), &what);
            }

            let mut scaled = x.clone();
            (kernels.scale)(0.7, &mut scaled);
            let expected: Vec<f32> = x.iter().map(|x| 0.7 * x).collect();
            assert_eq!(bits(&scaled), bits(&expected), "{what}");

            let greatest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!((kernels.max)(&x).to_bits(), greatest.to_bits(), "{what}");
        }
    }
}

/// The distance to `exact` in units of the last place of a normal `f32`.
fn units(got: f32, exact: f64) -> f64 {
    let unit = EPSILON * exact.log2().floor().exp2();
    (f64::from(got) - exact).abs() / unit
}

#[test]
fn exp_sum_is_within_three_units_from_minus_87_to_80_and_flushes_below() {
    let count = 1_800_001_usize;
    let powers: Vec<f32> = (0..count).map(|i| (i as f64 * 1e-4 - 100.0) as f32).collect();
    for kernels in Kernels::available() {
        let mut got = powers.clone();
        (kernels.exp_sum)(0.0, &mut got);
        for (&power, got) in powers.iter().zip(got) {
            if power < -87.3 {
                assert_eq!(got.to_bits(), 0, "{} exp({power})", kernels.name);
            } else {
                let wrong = units(got, f64::from(power).exp());
                assert!(wrong <= 3.0, "{} exp({power}) by {wrong}", kernels.name);
            }
        }
    }
}

#[test]
fn exp_sum_treats_special_values_as_exp_does() {
    for kernels in Kernels::available() {
        let mut x = [f32::NEG_INFINITY, 0.0, -0.0, 88.0, f32::NAN, f32::MIN];
        (kernels.exp_sum)(0.0, &mut x);
        assert_eq!(bits(&x[..3]), bits(&[0.0, 1.0, 1.0]), "{}", kernels.name);
        assert!(units(x[3], 88.0_f64.exp()) <= 3.0, "{}", kernels.name);
        assert!(x[4].is_nan(), "{}", kernels.name);
        assert_eq!(x[5].to_bits(), 0, "{}", kernels.name);
    }
}

#[test]
fn exp_sum_agrees_with_f64_on_every_isa_and_length() {
    for kernels in Kernels::available() {
        for len in 0..200 {
            let before = noise(10, len);
            let mut x = before.clone();
            let sum = (kernels.exp_sum)(1.7, &mut x);
            let what = format!("{} length {len}", kernels.name);
            assert_sum(sum, x.iter().map(|&x| f64::from(x)), &what);
            for (before, got) in before.into_iter().zip(x) {
                let wrong = units(got, f64::from(before - 1.7).exp());
                assert!(wrong <= 3.0, "{what} by {wrong}");
            }
        }
    }
}

/// Sizes around every tile, panel and block.
const SIZES: [[usize; 3]; 12] = [
    [0, 5, 5],
    [5, 0, 5],
    [5, 5, 0],
    [1, 1, 1],
    [3, 15, 2],
    [7, 17, 127],
    [8, 48, 128],
    [13, 63, 129],
    [23, 64, 260],
    [32, 99, 128],
    [6, 112, 300],
    [31, 145, 33],
];

/// `c += a b` with rows farther apart than they are long.
fn gemm(kernels: &Kernels, dims: [usize; 3], a: &[f32], b: &[f32], c: &mut [f32]) {
    (kernels.gemm)(dims, a, dims[2] + 3, b, dims[1] + 5, c, dims[1] + 1);
}

/// `a`, `b` and `c` for [`gemm`].
fn matrices([m, n, k]: [usize; 3]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    (noise(11, m * (k + 3)), noise(12, k * (n + 5)), noise(13, m * (n + 1)))
}

#[test]
fn gemm_agrees_with_f64_on_every_isa_and_writes_nothing_else() {
    for kernels in Kernels::available() {
        for [m, n, k] in SIZES {
            let (a, b, before) = matrices([m, n, k]);
            let mut c = before.clone();
            gemm(&kernels, [m, n, k], &a, &b, &mut c);
            for (at, got) in c.into_iter().enumerate() {
                let (row, column) = (at / (n + 1), at % (n + 1));
                let depth = if column < n { k } else { 0 };
                let factors: Vec<f32> = (0..depth).map(|l| b[l * (n + 5) + column]).collect();
                let terms = products(&a[row * (k + 3)..][..depth], &factors);
                let terms = terms.chain([f64::from(before[at])]);
                let what = format_args!("{} {m} x {n} x {k} at {row}, {column}", kernels.name);
                assert_sum(got, terms, what);
            }
        }
    }
}

#[test]
fn gemm_has_the_same_bits_however_its_rows_columns_and_depth_are_split() {
    for kernels in Kernels::available() {
        for &[m, n, k] in SIZES.iter().filter(|size| !size.contains(&0)) {
            let (a, b, before) = matrices([m, n, k]);
            let mut whole = before.clone();
            gemm(&kernels, [m, n, k], &a, &b, &mut whole);
            let (rows, columns, depth) = (m / 3, n / 2, k / 2);
            let mut split = before.clone();
            for (from_k, k_part) in [(0, depth), (depth, k - depth)] {
                for (i, rows) in [(0, rows), (rows, m - rows)] {
                    for (j, columns) in [(0, columns), (columns, n - columns)] {
                        (kernels.gemm)(
                            [rows, columns, k_part],
                            &a[i * (k + 3) + from_k..],
                            k + 3,
                            &b[from_k * (n + 5) + j..],
                            n + 5,
                            &mut split[i * (n + 1) + j..],
                            n + 1,
                        );
                    }
                }
            }
            assert_eq!(bits(&whole), bits(&split), "{} {m} x {n} x {k}", kernels.name);
        }
    }
}
