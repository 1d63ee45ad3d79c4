//! Whether arrays that come from a file are compressed rows that can be trusted.

use rayon::prelude::*;

/// Values looked at in one task.
const VALUES: usize = 1 << 16;

/// Rows looked at in one task, at the least.
const ROWS: usize = 1 << 10;

/// Whether the arrays are canonical compressed rows with finite values: bounds run from 0 to the
/// number of ids and never fall, there is a value for each id, and the ids of a row rise strictly and
/// lie below `columns`.
///
/// # Examples
///
/// ```
/// use slide_rs::io::canonical::is_canonical;
///
/// assert!(is_canonical(&[0, 2, 3], &[1, 4, 2], &[0.5, 1.25, 1.0], 5));
/// assert!(!is_canonical(&[0, 2, 3], &[4, 1, 2], &[0.5, 1.25, 1.0], 5));
/// ```
#[must_use]
pub fn is_canonical<I>(indptr: &[I], ids: &[I], values: &[f32], columns: usize) -> bool
where
    I: Copy + Into<i64> + PartialOrd + Sync,
{
    let ends = indptr.first().map(|&start| start.into()) == Some(0)
        && indptr.last().map(|&end| end.into()) == i64::try_from(ids.len()).ok();
    ends && values.len() == ids.len()
        && values.par_chunks(VALUES).all(all_finite)
        && indptr.par_windows(2).with_min_len(ROWS).all(|bounds| {
            let bound = |i: usize| usize::try_from(bounds[i].into()).ok();
            let row = bound(0).zip(bound(1)).and_then(|(start, end)| ids.get(start..end));
            row.is_some_and(|row| is_rising_below(row, columns))
        })
}

/// Without leaving early, so that it runs at the speed of memory.
fn all_finite(values: &[f32]) -> bool {
    let magnitude = |value: &f32| value.to_bits() & !(1 << 31);
    values.iter().map(magnitude).fold(0, u32::max) < f32::INFINITY.to_bits()
}

fn is_rising_below<I: Copy + Into<i64> + PartialOrd>(row: &[I], columns: usize) -> bool {
    let (Some(&first), Some(&last)) = (row.first(), row.last()) else {
        return true;
    };
    let falls = row.array_windows().fold(0, |falls, [a, b]| falls | u32::from(a >= b));
    falls == 0 && first.into() >= 0 && usize::try_from(last.into()).is_ok_and(|last| last < columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [i32; 4] = [1, 4, 0, 2];

    fn with(indptr: &[i32], ids: &[i32], values: &[f32]) -> bool {
        let wide = |x: &[i32]| x.iter().map(|&x| i64::from(x)).collect::<Vec<_>>();
        let found = is_canonical(indptr, ids, values, 5);
        assert_eq!(is_canonical(&wide(indptr), &wide(ids), values, 5), found);
        found
    }

    #[test]
    fn rows_with_rising_ids_and_finite_values_are_canonical() {
        assert!(with(&[0, 2, 2, 4], &IDS, &[f32::MAX, -0.0, 1e-45, f32::MIN]));
        assert!(with(&[0], &[], &[]));
        assert!(with(&[0, 0], &[], &[]));
    }

    #[test]
    fn whatever_contradicts_itself_is_not() {
        let values = [1.0; 4];
        for indptr in [
            [].as_slice(),
            &[1, 4],
            &[0, 3],
            &[0, 5],
            &[0, 3, 2, 4],
            &[0, -1, 4],
            &[0, 9, 4],
            &[0, i32::MIN, 4],
        ] {
            assert!(!with(indptr, &IDS, &values), "{indptr:?}");
        }
        for ids in [[1, 1, 0, 2], [4, 1, 0, 2], [1, 5, 0, 2], [-1, 4, 0, 2], [1, 4, 0, i32::MAX]] {
            assert!(!with(&[0, 2, 4], &ids, &values), "{ids:?}");
        }
        assert!(!with(&[0, 2, 4], &IDS, &values[1..]));
        for wrong in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(!with(&[0, 2, 4], &IDS, &[1.0, 2.0, wrong, 3.0]), "{wrong}");
        }
    }

    #[test]
    fn one_wrong_number_among_many_is_found_wherever_it_is() {
        let (rows, width) = (5_000, 40);
        let indptr: Vec<i32> = (0..=rows).map(|row| row * width).collect();
        let ids: Vec<i32> = (0..rows * width).map(|at| at % width).collect();
        let values = vec![1.0; ids.len()];
        assert!(is_canonical(&indptr, &ids, &values, width as usize));
        for at in [0, 1, 77_777, ids.len() - 1] {
            let (mut wrong_ids, mut wrong_values) = (ids.clone(), values.clone());
            wrong_ids[at] += width;
            assert!(!is_canonical(&indptr, &wrong_ids, &values, width as usize), "{at}");
            wrong_values[at] = f32::NAN;
            assert!(!is_canonical(&indptr, &ids, &wrong_values, width as usize), "{at}");
        }
    }
}
