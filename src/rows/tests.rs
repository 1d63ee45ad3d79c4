use super::*;

#[test]
fn values_come_back_in_the_order_of_their_ids() {
    // Whole numbers up to 256 have eight bits, so both types hold them.
    let values: Vec<f32> = (0..130 * 5).map(|x| (x % 257) as f32).collect();
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
        let mut rows = Rows::new(130, 5, dtype);
        rows.assign(values.iter().copied());
        assert_eq!(rows.to_vec(), values);
        let mut row = [1.0; 16];
        rows.read(&Kernels::detect().unwrap(), 7, &mut row);
        assert_eq!(row[..5], values[35..40]);
        assert!(row[5..].iter().all(|&x| x == 0.0));
    }
}

#[test]
fn rows_start_at_cache_lines() {
    let rows = Rows::zeros(3, 5);
    assert_eq!(rows.row(1).as_ptr() as usize % 64, 0);
}

#[test]
fn halves_take_half_the_memory() {
    let bytes = |dtype| size_of_val(Rows::new(640, 32, dtype).lines.as_slice());
    assert_eq!(bytes(Dtype::F32), 640 * 32 * 4);
    assert_eq!(bytes(Dtype::Bf16), 640 * 32 * 2);
    assert_eq!(bytes(Dtype::F16), 640 * 32 * 2);
}

#[test]
fn every_reader_sees_the_same_numbers_in_halves_as_in_floats() {
    for dtype in [Dtype::Bf16, Dtype::F16] {
        assert_readers_agree(dtype);
    }
}

fn assert_readers_agree(dtype: Dtype) {
    let halves = Rows::random_as(dtype, (300, 37), 1.0, (5, 0));
    let mut floats = Rows::zeros(300, 37);
    floats.assign(halves.to_vec().into_iter());
    let slots: Vec<u32> = (0..300).step_by(7).map(|id| halves.stripes().slot(id)).collect();
    let (columns, x) = ([3, 36, 0, 17, 9], floats.row(4).to_vec());
    for kernels in Kernels::available() {
        let read = |rows: &Rows<'_>| {
            let mut out = vec![0.0; 4 * slots.len() + 48 + 5];
            let (dots, rest) = out.split_at_mut(slots.len());
            rows.dot_rows(&kernels, &slots, &x, dots);
            let (column_dots, rest) = rest.split_at_mut(slots.len());
            rows.dot_columns(&kernels, &slots, (&columns, &x[..5]), column_dots);
            let (sum, rest) = rest.split_at_mut(48);
            rows.axpy_rows(&kernels, &slots, dots, sum);
            rows.axpy_columns(&kernels, (&slots, dots), &columns, &mut rest[..5]);
            out.extend_from_slice(rows.tile(&kernels, (5, 1, 2), &mut vec![]));
            let mut row = [0.0; 48];
            rows.read(&kernels, 299, &mut row);
            out.extend(row);
            out
        };
        let bits = |out: Vec<f32>| out.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(read(&halves)), bits(read(&floats)), "{}", kernels.name);
    }
}
