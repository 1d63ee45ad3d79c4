//! Rows of halves, and columns of rows.

use super::*;

/// Numbers with few bits, and the same as halves.
fn halves<E: Stored>(seed: u32, len: usize) -> (Vec<f32>, Vec<E>) {
    let halves: Vec<E> = noise(seed, len).into_iter().map(E::nearest).collect();
    (halves.iter().map(|x| x.float()).collect(), halves)
}

/// Runs a generic check of one kind of halves after another on every instruction set.
macro_rules! of_all_halves {
    ($check:ident) => {
        for kernels in Kernels::available() {
            $check::<Bf16>(&kernels, &kernels.bf16);
            $check::<F16>(&kernels, &kernels.f16);
        }
    };
}

fn assert_rows_are_those_of_floats<E: Stored>(kernels: &Kernels, of_halves: &RowKernels<E>) {
    for width in 0..200 {
        let rows: Vec<u32> = (0..30 + width as u32 % 4).map(|k| k * 7 % 5).collect();
        let ((floats, halves), x) = (halves::<E>(1, 5 * width), noise(2, width));
        let what = format!("{} width {width} {:?}", kernels.name, E::DTYPE);
        let [mut a, mut b] = [(); 2].map(|()| vec![f32::NAN; rows.len()]);
        (kernels.f32.dot_rows)(&floats, &rows, &x, &mut a);
        (of_halves.dot_rows)(&halves, &rows, &x, &mut b);
        assert_eq!(bits(&a), bits(&b), "{what}");
        let coefs = noise(3, rows.len());
        let [mut a, mut b] = [(); 2].map(|()| x.clone());
        (kernels.f32.axpy_rows)(&floats, &rows, &coefs, &mut a);
        (of_halves.axpy_rows)(&halves, &rows, &coefs, &mut b);
        assert_eq!(bits(&a), bits(&b), "{what}");
        (of_halves.widen)(&halves[..width], &mut a);
        assert_eq!(bits(&a), bits(&floats[..width]), "{what}");
    }
}

#[test]
fn rows_of_halves_give_the_bits_of_the_same_rows_of_floats_on_every_isa() {
    of_all_halves!(assert_rows_are_those_of_floats);
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
                (kernels.f32.axpy_rows)(&weights, rows, &coefs, &mut expected);
                assert_eq!(bits(&sum), bits(&expected), "{what}");
                let expected = (kernels.dot)(&expected, &expected);
                assert_eq!(square.to_bits(), expected.to_bits(), "{what}");
            }
        }
    }
}

fn assert_products_are_those_of_dot_rows<E: Stored>(kernels: &Kernels, of_halves: &RowKernels<E>) {
    for width in [16, 32, 48, 128, 208] {
        for (rows, n) in [(0, 3), (1, 1), (3, 0), (4, 5), (7, 11), (32, 6), (33, 4)] {
            let ((floats, halves), x) = (halves::<E>(1, rows * width), noise(2, n * width));
            let numbers: Vec<u32> = (0..rows as u32).collect();
            let what = format!("{} {rows} rows of {width}, {n} {:?}", kernels.name, E::DTYPE);
            let [mut a, mut b, mut wanted] = [(); 3].map(|()| vec![f32::NAN; rows * n]);
            (kernels.f32.products)(&floats, &x, width, &floats, &mut a);
            (of_halves.products)(&halves, &x, width, &[], &mut b);
            for (i, x) in x.chunks(width).enumerate() {
                let out = &mut wanted[i * rows..][..rows];
                (kernels.f32.dot_rows)(&floats, &numbers, x, out);
            }
            assert_eq!(bits(&a), bits(&wanted), "{what}");
            assert_eq!(bits(&b), bits(&wanted), "{what}");
        }
    }
}

#[test]
fn products_have_the_bits_of_dot_rows_on_every_isa() {
    of_all_halves!(assert_products_are_those_of_dot_rows);
}

fn assert_columns<E: Stored>(kernels: &Kernels, of_halves: &RowKernels<E>) {
    let (rows, stride) = ([4_u32, 0, 3, 3, 1, 2], 208);
    let (floats, halves) = halves::<E>(1, 5 * stride);
    for n in 0..100 {
        let columns: Vec<u32> = (0..n as u32).map(|j| j * 61 % 201).collect();
        let (values, coefs, before) = (noise(2, n), noise(3, rows.len()), noise(4, n));
        let what = format!("{} {n} columns {:?}", kernels.name, E::DTYPE);
        let taken = rows.map(|row| {
            let row = &floats[row as usize * stride..][..stride];
            columns.iter().map(|&j| row[j as usize]).collect::<Vec<f32>>()
        });

        let [mut dots, mut dots_of_halves] = [[f32::NAN; 6]; 2];
        (kernels.f32.dot_columns)((&floats, stride), &rows, &columns, &values, &mut dots);
        let weights = (&*halves, stride);
        (of_halves.dot_columns)(weights, &rows, &columns, &values, &mut dots_of_halves);
        for (taken, got) in taken.iter().zip(dots) {
            assert_sum(got, products(taken, &values), &what);
        }
        assert_eq!(bits(&dots), bits(&dots_of_halves), "{what}");

        let [mut sums, mut sums_of_halves] = [(); 2].map(|()| before.clone());
        (kernels.f32.axpy_columns)((&floats, stride), &rows, &coefs, &columns, &mut sums);
        (of_halves.axpy_columns)(weights, &rows, &coefs, &columns, &mut sums_of_halves);
        for (j, got) in sums.iter().enumerate() {
            let column = [0, 1, 2, 3, 4, 5].map(|k: usize| taken[k][j]);
            let terms = products(&column, &coefs).chain([f64::from(before[j])]);
            assert_sum(*got, terms, &what);
        }
        assert_eq!(bits(&sums), bits(&sums_of_halves), "{what}");
    }
}

#[test]
fn dot_columns_and_axpy_columns_agree_with_f64_on_every_isa_and_number_of_columns() {
    of_all_halves!(assert_columns);
}

#[test]
fn a_column_out_of_range_panics_on_every_isa() {
    for kernels in Kernels::available() {
        for columns in [[16; 1].as_slice(), &[u32::MAX; 20]] {
            let (weights, values) = ((&[0.0; 32][..], 16), vec![0.0; columns.len()]);
            let dot = || (kernels.f32.dot_columns)(weights, &[0], columns, &values, &mut [0.0]);
            assert!(std::panic::catch_unwind(dot).is_err(), "{}", kernels.name);
            let mut out = values.clone();
            let axpy = || (kernels.f32.axpy_columns)(weights, &[0], &[1.0], columns, &mut out);
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
            (kernels.f32.gemm_rows)([m, n], (&a, k), (&b, n), &rows, (&mut c, n));
            assert_eq!(bits(&c), wanted, "{what} rows");
            let widened: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
            let mut c = before.clone();
            (kernels.bf16.gemm_rows)([m, n], (&a, k), (&halves, n), &rows, (&mut c, n));
            assert_eq!(bits(&c), product(&widened).1, "{what} rows of halves");
            let halves: Vec<F16> = b.iter().map(|&x| F16::nearest(x)).collect();
            let widened: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
            let mut c = before.clone();
            (kernels.f16.gemm_rows)([m, n], (&a, k), (&halves, n), &rows, (&mut c, n));
            assert_eq!(bits(&c), product(&widened).1, "{what} rows of IEEE halves");
        }
    }
}
