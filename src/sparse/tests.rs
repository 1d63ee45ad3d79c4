//! Batches as they are borrowed, and refused.

use super::*;

fn lists<'a>(indptr: &'a [i32], ids: &'a [i32], columns: usize) -> Result<IdLists<'a>> {
    IdLists::new("X", Indices::I32(indptr), Indices::I32(ids), columns)
}

#[test]
fn both_index_types_give_the_same_rows() {
    let small = lists(&[0, 2, 2, 3], &[4, 1, 0], 5).unwrap();
    let (indptr, ids) = (Indices::I64(&[0, 2, 2, 3]), Indices::I64(&[4, 1, 0]));
    let large = IdLists::new("X", indptr, ids, 5).unwrap();
    for row in 0..3 {
        let (mut a, mut b) = (vec![], vec![]);
        small.append_row(row, &mut a).unwrap();
        large.append_row(row, &mut b).unwrap();
        assert_eq!(a, b);
    }
    assert_eq!((small.len(), small.nnz()), (3, 3));
}

#[test]
fn refuses_each_way_a_row_index_can_be_wrong() {
    for indptr in [&[][..], &[1, 3], &[0, 2, 1, 3], &[0, 2], &[0, 9], &[0, -1, 3]] {
        let refused = lists(indptr, &[0, 1, 2], 3).unwrap_err();
        assert!(matches!(refused, Error::Indptr { .. }), "{indptr:?}: {refused}");
    }
}

#[test]
fn refuses_an_id_out_of_range_and_names_its_row() {
    let refused = lists(&[0, 1, 3], &[0, 1, 7], 7).unwrap_err();
    assert_eq!(refused.to_string(), "X: row 1 has column 7, but columns run from 0 to 6");
    let refused = lists(&[0, 1], &[-1], 7).unwrap_err();
    assert_eq!(refused.to_string(), "X: row 0 has column -1, but columns run from 0 to 6");
}

#[test]
fn refuses_values_that_are_not_finite_wherever_they_stand() {
    for at in [0, 4095, 4096, 9999] {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 10_000];
            values[at] = value;
            let refused = DenseView::new("X", &values, 10).unwrap_err();
            assert!(matches!(refused, Error::Value { row, .. } if row == at / 10), "{refused}");
        }
    }
}

#[test]
fn refuses_a_missing_value() {
    let pattern = lists(&[0, 2], &[0, 1], 2).unwrap();
    assert!(matches!(CsrView::new(pattern, &[1.0]), Err(Error::Shape { .. })));
}

#[test]
fn dense_rows_are_read_without_their_zeros() {
    let x = Features::Dense(DenseView::new("X", &[0.0, 2.0, 3.0, 0.0], 2).unwrap());
    let (mut ids, mut values) = (vec![], vec![]);
    x.append_row(0, &mut ids, &mut values).unwrap();
    x.append_row(1, &mut ids, &mut values).unwrap();
    assert_eq!((ids, values), (vec![1, 0], vec![2.0, 3.0]));
}
