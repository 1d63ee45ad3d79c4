//! Rows of halves, and columns of rows.

use super::*;

/// Numbers with eight bits, and the same as halves.
fn halves(seed: u32, len: usize) -> (Vec<f32>, Vec<Bf16>) {
    let halves: Vec<Bf16> = noise(seed, len).into_iter().map(Bf16::nearest).collect();
    (halves.iter().map(|x| x.to_f32()).collect(), halves)
}

#[test]
fn rows_of_halves_give_the_bits_of_the_same_rows_of_floats_on_every_isa() {
    for kernels in Kernels::available() {
        for width in 0..200 {
            let rows: Vec<u32> = (0..30 + width as u32 % 4).map(|k| k * 7 % 5).collect();
            let ((floats, halves), x) = (halves(1, 5 * width), noise(2, width));
            let what = format!("{} width {width}", kernels.name);
            let [mut a, mut b] = [(); 2].map(|()| vec![f32::NAN; rows.len()]);
            (kernels.dot_rows)(&floats, &rows, &x, &mut a);
            (kernels.dot_rows_bf16)(&halves, &rows, &x, &mut b);
            assert_eq!(bits(&a), bits(&b), "{what}");
            let coefs = noise(3, rows.len());
            let [mut a, mut b] = [(); 2].map(|()| x.clone());
            (kernels.axpy_rows)(&floats, &rows, &coefs, &mut a);
            (kernels.axpy_rows_bf16)(&halves, &rows, &coefs, &mut b);
            assert_eq!(bits(&a), bits(&b), "{what}");
            (kernels.widen)(&halves[..width], &mut a);
            assert_eq!(bits(&a), bits(&floats[..width]), "{what}");
        }
    }
}

#[test]
fn sum_rows_has_the_bits_of_axpy_rows_on_zeros_and_of_dot_on_every_isa() {
    for kernels in Kernels::available() {
        for width in 0..200 {
            for rows in [&[][..], &[4], &[2, 0], &[3, 1, 1, 4, 0]] {
                let (weights, coefs) = (noise(1, 5 * width), noise(2, rows.len()));
                let what = format!("{} {} rows of {width}", kernels.name, rows.len());
                let (mut sum, mut expected) = (vec![f32::NAN; width], vec![0.0; width]);
                let square = (kernels.sum_rows)(&weights, rows, &coefs, &mut sum);
                (kernels.axpy_rows)(&weights, rows, &coefs, &mut expected);
                assert_eq!(bits(&sum), bits(&expected), "{what}");
                let expected = (kernels.dot)(&expected, &expected);
                assert_eq!(square.to_bits(), expected.to_bits(), "{what}");
            }
        }
    }
}

#[test]
fn products_have_the_bits_of_dot_rows_on_every_isa() {
    for kernels in Kernels::available() {
        for width in [16, 32, 48, 128, 208] {
            for (rows, n) in [(0, 3), (1, 1), (3, 0), (4, 5), (7, 11), (32, 6), (33, 4)] {
                let ((floats, halves), x) = (halves(1, rows * width), noise(2, n * width));
                let numbers: Vec<u32> = (0..rows as u32).collect();
                let what = format!("{} {rows} rows of {width}, {n}", kernels.name);
                let [mut a, mut b, mut wanted] = [(); 3].map(|()| vec![f32::NAN; rows * n]);
                (kernels.products)(&floats, &x, width, &floats, &mut a);
                (kernels.products_bf16)(&halves, &x, width, &[], &mut b);
                for (i, x) in x.chunks(width).enumerate() {
                    let out = &mut wanted[i * rows..][..rows];
                    (kernels.dot_rows)(&floats, &numbers, x, out);
                }
                assert_eq!(bits(&a), bits(&wanted), "{what}");
                assert_eq!(bits(&b), bits(&wanted), "{what}");
            }
        }
    }
}

#[test]
fn dot_columns_and_axpy_columns_agree_with_f64_on_every_isa_and_number_of_columns() {
    let (rows, stride) = ([4_u32, 0, 3, 3, 1, 2], 208);
    let (floats, halves) = halves(1, 5 * stride);
    for kernels in Kernels::available() {
        for n in 0..100 {
            let columns: Vec<u32> = (0..n as u32).map(|j| j * 61 % 201).collect();
            let (values, coefs, before) = (noise(2, n), noise(3, rows.len()), noise(4, n));
            let what = format!("{} {n} columns", kernels.name);
            let taken = rows.map(|row| {
                let row = &floats[row as usize * stride..][..stride];
                columns.iter().map(|&j| row[j as usize]).collect::<Vec<f32>>()
            });

            let [mut dots, mut dots_bf16] = [[f32::NAN; 6]; 2];
            (kernels.dot_columns)((&floats, stride), &rows, &columns, &values, &mut dots);
            let weights = (&*halves, stride);
            (kernels.dot_columns_bf16)(weights, &rows, &columns, &values, &mut dots_bf16);
            for (taken, got) in taken.iter().zip(dots) {
                assert_sum(got, products(taken, &values), &what);
            }
            assert_eq!(bits(&dots), bits(&dots_bf16), "{what}");

            let [mut sums, mut sums_bf16] = [(); 2].map(|()| before.clone());
            (kernels.axpy_columns)((&floats, stride), &rows, &coefs, &columns, &mut sums);
            (kernels.axpy_columns_bf16)(weights, &rows, &coefs, &columns, &mut sums_bf16);
            for (j, got) in sums.iter().enumerate() {
                let column = [0, 1, 2, 3, 4, 5].map(|k: usize| taken[k][j]);
                let terms = products(&column, &coefs).chain([f64::from(before[j])]);
                assert_sum(*got, terms, &what);
            }
            assert_eq!(bits(&sums), bits(&sums_bf16), "{what}");
        }
    }
}

#[test]
fn a_column_out_of_range_panics_on_every_isa() {
    for kernels in Kernels::available() {
        for columns in [[16; 1].as_slice(), &[u32::MAX; 20]] {
            let (weights, values) = ((&[0.0; 32][..], 16), vec![0.0; columns.len()]);
            let dot = || (kernels.dot_columns)(weights, &[0], columns, &values, &mut [0.0]);
            assert!(std::panic::catch_unwind(dot).is_err(), "{}", kernels.name);
            let mut out = values.clone();
            let axpy = || (kernels.axpy_columns)(weights, &[0], &[1.0], columns, &mut out);
            let axpy = std::panic::AssertUnwindSafe(axpy);
            assert!(std::panic::catch_unwind(axpy).is_err(), "{}", kernels.name);
        }
    }
}

#[test]
fn products_on_a_side_and_with_chosen_rows_have_the_bits_of_the_plain_one() {
    for kernels in Kernels::available() {
        for [m, n, k] in [[1, 1, 1], [7, 64, 130], [16, 128, 9], [13, 83, 300], [64, 48, 41]] {
            let (a, b, before) = (noise(21, m * k), noise(22, 2 * k * n), noise(23, m * n));
            let halves: Vec<Bf16> = b.iter().map(|&x| Bf16::nearest(x)).collect();
            let rows: Vec<u32> = (0..k as u32).map(|row| (row * 7 + 3) % (2 * k as u32)).collect();
            let product = |b: &[f32]| {
                let chosen: Vec<f32> =
                    rows.iter().flat_map(|&row| &b[row as usize * n..][..n]).copied().collect();
                let mut c = before.clone();
                (kernels.gemm)([m, n, k], &a, k, &chosen, n, &mut c, n);
                (chosen, bits(&c))
            };
            let (chosen, wanted) = product(&b);
            let what = format!("{} {m} x {n} x {k}", kernels.name);
            let across: Vec<f32> = (0..k * m).map(|at| a[at % m * k + at / m]).collect();
            let mut c = before.clone();
            (kernels.gemm_across)([m, n, k], &across, m, &chosen, n, &mut c, n);
            assert_eq!(bits(&c), wanted, "{what} across");
            let mut c = before.clone();
            (kernels.gemm_rows)([m, n], (&a, k), (&b, n), &rows, (&mut c, n));
            assert_eq!(bits(&c), wanted, "{what} rows");
            let widened: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
            let mut c = before.clone();
            (kernels.gemm_rows_bf16)([m, n], (&a, k), (&halves, n), &rows, (&mut c, n));
            assert_eq!(bits(&c), product(&widened).1, "{what} rows of halves");
        }
    }
}
