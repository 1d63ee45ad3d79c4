//! Rows as classifiers see them, and which rows each label sees.

use crate::error::{Error, Result};
use crate::sparse::{Features, IdLists};

/// A copy of sparse rows, each scaled to length 1, so that the cost of an error means the same for
/// a long row and for a short one.
#[derive(Debug, Default)]
pub(super) struct UnitRows {
    bounds: Vec<usize>,
    ids: Vec<u32>,
    values: Vec<f32>,
}

impl UnitRows {
    /// Copies all rows of `x`: 8 bytes a value.
    pub(super) fn new(x: &Features<'_>, go_on: impl Fn() -> bool) -> Result<Self> {
        let mut rows = Self { bounds: vec![0], ..Self::default() };
        for row in 0..x.len() {
            asked(row, &go_on)?;
            rows.append(x, row)?;
        }
        Ok(rows)
    }

    /// Takes row `row` of `x` in place of all others.
    pub(super) fn load(&mut self, x: &Features<'_>, row: usize) -> Result<()> {
        self.bounds.clear();
        self.bounds.push(0);
        self.ids.clear();
        self.values.clear();
        self.append(x, row)
    }

    fn append(&mut self, x: &Features<'_>, row: usize) -> Result<()> {
        let start = self.values.len();
        x.append_row(row, &mut self.ids, &mut self.values)?;
        if !self.ids[start..].array_windows().all(|[id, next]| id < next) {
            self.order(start);
        }
        let own = &mut self.values[start..];
        // What stands twice may be too large together, and values may change during the call.
        if let Some(&value) = own.iter().find(|value| !value.is_finite()) {
            return Err(Error::Value { name: "X", row, value });
        }
        let length = own.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        // A row of nothing but zeros stays one.
        if length > 0.0 {
            for value in own {
                *value = (f64::from(*value) / length) as f32;
            }
        }
        self.bounds.push(self.ids.len());
        Ok(())
    }

    /// Sorts what begins at `start` by feature, and adds up what stands there more than once.
    fn order(&mut self, start: usize) {
        let ids = self.ids.drain(start..);
        let mut own: Vec<_> = ids.zip(self.values.drain(start..)).collect();
        own.sort_by_key(|&(id, _)| id);
        for (id, value) in own {
            if self.ids.len() > start && self.ids.last() == Some(&id) {
                self.values.last_mut().into_iter().for_each(|last| *last += value);
            } else {
                self.ids.push(id);
                self.values.push(value);
            }
        }
    }

    /// Asks for a row that is to be read soon.
    pub(super) fn fetch(&self, prefetch: fn(&[f32]), row: usize) {
        let (ids, values) = self.row(row);
        prefetch(bytemuck::cast_slice(ids));
        prefetch(values);
    }

    /// Features and values of a row, by ascending feature.
    pub(super) fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.bounds[row]..self.bounds[row + 1];
        (&self.ids[range.clone()], &self.values[range])
    }
}

/// For each label the rows in whose lists it stands, ascending, each once.
#[derive(Debug)]
pub(super) struct RowsByLabel {
    bounds: Vec<usize>,
    rows: Vec<u32>,
}

impl RowsByLabel {
    /// Transposes `lists` by counting; labels are below `n_labels`.
    pub(super) fn new(
        lists: &IdLists<'_>,
        n_labels: usize,
        go_on: impl Fn() -> bool,
    ) -> Result<Self> {
        let mut bounds = vec![0; n_labels + 1];
        let mut ids = vec![];
        let each = |ids: &mut Vec<u32>, work: &mut dyn FnMut(u32, usize)| -> Result<()> {
            for row in 0..lists.len() {
                asked(row, &go_on)?;
                ids.clear();
                lists.append_row(row, ids)?;
                ids.sort_unstable();
                ids.dedup();
                for &label in ids.iter() {
                    work(row as u32, label as usize);
                }
            }
            Ok(())
        };
        each(&mut ids, &mut |_, label| bounds[label + 1] += 1)?;
        for label in 0..n_labels {
            bounds[label + 1] += bounds[label];
        }
        let mut next = bounds.clone();
        let mut rows = vec![0; bounds[n_labels]];
        let mut changed = false;
        each(&mut ids, &mut |row, label| {
            // Arrays that another thread changes between the passes count otherwise.
            changed |= next[label] >= bounds[label + 1];
            if !changed {
                rows[next[label]] = row;
                next[label] += 1;
            }
        })?;
        if changed || next[..n_labels] != bounds[1..] {
            return Err(Error::Changed { name: "Y or shortlist" });
        }
        Ok(Self { bounds, rows })
    }

    /// The rows of a label.
    pub(super) fn of(&self, label: usize) -> &[u32] {
        &self.rows[self.bounds[label]..self.bounds[label + 1]]
    }
}

/// Asks now and then whether to go on: with each row it would cost more than the row.
fn asked(row: usize, go_on: &impl Fn() -> bool) -> Result<()> {
    if row.is_multiple_of(ROWS) && !go_on() { Err(Error::Stopped) } else { Ok(()) }
}

/// Rows that are read without asking.
const ROWS: usize = 4096;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::sparse::{CsrView, Indices};

    #[test]
    fn rows_are_one_long_and_ascend_with_what_stands_twice_added_up() {
        let (indptr, ids) = ([0, 2, 2, 5], [1, 3, 4, 2, 4]);
        let pattern = IdLists::new("X", Indices::I64(&indptr), Indices::I64(&ids), 5).unwrap();
        let values = [3.0, -4.0, 2.0, 5.0, 10.0];
        let x = Features::Sparse(CsrView::new(pattern, &values).unwrap());
        let mut rows = UnitRows::new(&x, || true).unwrap();
        assert_eq!(rows.row(0), (&[1, 3][..], &[0.6, -0.8][..]));
        assert_eq!(rows.row(1), (&[][..], &[][..]));
        assert_eq!(rows.row(2), (&[2, 4][..], &[5.0 / 13.0, 12.0 / 13.0][..]));
        rows.load(&x, 2).unwrap();
        assert_eq!(rows.row(0), (&[2, 4][..], &[5.0 / 13.0, 12.0 / 13.0][..]));
    }

    #[test]
    fn values_that_no_float_can_hold_together_are_refused() {
        let (indptr, ids) = ([0, 1, 3], [0, 1, 1]);
        let pattern = IdLists::new("X", Indices::I64(&indptr), Indices::I64(&ids), 2).unwrap();
        let values = [1.0, 3e38, 3e38];
        let x = Features::Sparse(CsrView::new(pattern, &values).unwrap());
        let refused = UnitRows::new(&x, || true).unwrap_err().to_string();
        assert!(refused.starts_with("X: row 1 has the value inf"), "{refused}");
    }

    #[test]
    fn reading_rows_ends_when_it_is_not_to_go_on() {
        let n = 3 * ROWS;
        let (indptr, ids) = ((0..=n as i64).collect::<Vec<_>>(), vec![0; n]);
        let lists = || IdLists::new("X", Indices::I64(&indptr), Indices::I64(&ids), 1).unwrap();
        let values = vec![1.0; n];
        let x = Features::Sparse(CsrView::new(lists(), &values).unwrap());
        for allowed in [0, 2] {
            let asked = Cell::new(0);
            let go_on = || asked.replace(asked.get() + 1) < allowed;
            assert!(matches!(UnitRows::new(&x, go_on), Err(Error::Stopped)));
            assert_eq!(asked.replace(0), allowed + 1);
            assert!(matches!(RowsByLabel::new(&lists(), 1, go_on), Err(Error::Stopped)));
            assert_eq!(asked.get(), allowed + 1);
        }
    }

    #[test]
    fn each_label_has_its_rows_once() {
        let (indptr, ids) = ([0, 2, 5, 5], [2, 0, 2, 2, 3]);
        let lists = IdLists::new("Y", Indices::I64(&indptr), Indices::I64(&ids), 4).unwrap();
        let rows = RowsByLabel::new(&lists, 4, || true).unwrap();
        let all: Vec<_> = (0..4).map(|label| rows.of(label)).collect();
        assert_eq!(all, [&[0][..], &[], &[0, 1], &[1]]);
    }
}
