//! Batches borrowed from the caller: sparse rows, dense rows, and lists of ids.
//!
//! Both of `SciPy`'s index types are read in place. A view is checked once when it is made; rows
//! are checked again, cheaply, when they are read, because `NumPy` memory may be written by
//! another Python thread while a call runs.

use std::ops::Range;

use crate::error::{Error, Result};

/// Row bounds or column ids as the caller stores them.
#[derive(Clone, Copy, Debug)]
pub enum Indices<'a> {
    /// `SciPy`'s default for matrices with fewer than 2^31 entries.
    I32(&'a [i32]),
    /// `SciPy`'s type for larger ones.
    I64(&'a [i64]),
}

impl Indices<'_> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::I32(x) => x.len(),
            Self::I64(x) => x.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn get(&self, i: usize) -> Option<i64> {
        match self {
            Self::I32(x) => x.get(i).map(|&x| i64::from(x)),
            Self::I64(x) => x.get(i).copied(),
        }
    }
}

/// Lists of ids, one a row: the labels of a batch, or the pattern of a sparse matrix.
#[derive(Clone, Copy, Debug)]
pub struct IdLists<'a> {
    name: &'static str,
    indptr: Indices<'a>,
    ids: Indices<'a>,
    columns: usize,
}

impl<'a> IdLists<'a> {
    /// Borrows lists of ids below `columns`; `name` is what errors call them.
    ///
    /// # Errors
    ///
    /// If `indptr` does not bound rows inside `ids`, or an id is out of range.
    pub fn new(
        name: &'static str,
        indptr: Indices<'a>,
        ids: Indices<'a>,
        columns: usize,
    ) -> Result<Self> {
        let lists = Self { name, indptr, ids, columns };
        if indptr.get(0) != Some(0) {
            let found = indptr.get(0).unwrap_or(-1);
            return Err(Error::Indptr { name, row: 0, found, wanted: "0 at the start" });
        }
        let (rows, mut previous) = (lists.len(), 0);
        for row in 0..rows {
            let found = indptr.get(row + 1).ok_or(Error::Changed { name })?;
            if found < previous {
                return Err(Error::Indptr { name, row, found, wanted: "bounds that never fall" });
            }
            previous = found;
        }
        if usize::try_from(previous) != Ok(ids.len()) {
            let wanted = "the number of indices at the end";
            return Err(Error::Indptr { name, row: rows, found: previous, wanted });
        }
        lists.check_ids()?;
        Ok(lists)
    }

    /// Compares the largest and smallest id first, and looks for the row only when that fails.
    fn check_ids(&self) -> Result<()> {
        let wrong = match self.ids {
            Indices::I32(ids) => {
                let last = i32::try_from(self.columns).unwrap_or(i32::MAX);
                ids.iter().position(|&id| id < 0 || id >= last)
            }
            Indices::I64(ids) => {
                let last = i64::try_from(self.columns).unwrap_or(i64::MAX);
                ids.iter().position(|&id| id < 0 || id >= last)
            }
        };
        match wrong {
            None => Ok(()),
            Some(at) => Err(self.column_error(at)),
        }
    }

    /// The row in which id number `at` stands.
    pub(crate) fn row_of(&self, at: usize) -> usize {
        let ends = |row: &usize| self.indptr.get(row + 1).is_some_and(|end| end > at as i64);
        (0..self.len()).find(ends).unwrap_or(0)
    }

    fn column_error(&self, at: usize) -> Error {
        let row = self.row_of(at);
        let id = self.ids.get(at).unwrap_or(-1);
        Error::Column { name: self.name, row, id, last: self.columns as i64 - 1 }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.indptr.len().saturating_sub(1)
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ids are below this.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Number of ids in all rows together.
    #[must_use]
    pub fn nnz(&self) -> usize {
        self.ids.len()
    }

    /// Where row `row` stands in the ids.
    ///
    /// # Errors
    ///
    /// If the row bounds have been changed since the view was made.
    pub fn bounds(&self, row: usize) -> Result<Range<usize>> {
        let changed = || Error::Changed { name: self.name };
        let bound = |i| self.indptr.get(i).and_then(|b| usize::try_from(b).ok());
        let (start, end) = bound(row).zip(bound(row + 1)).ok_or_else(changed)?;
        if start <= end && end <= self.ids.len() { Ok(start..end) } else { Err(changed()) }
    }

    /// Appends the ids of `row` to `out`.
    ///
    /// # Errors
    ///
    /// If the arrays have been changed since the view was made.
    pub fn append_row(&self, row: usize, out: &mut Vec<u32>) -> Result<Range<usize>> {
        let (bounds, before) = (self.bounds(row)?, out.len());
        let columns = self.columns as u64;
        match self.ids {
            Indices::I32(ids) => out.extend(ids[bounds.clone()].iter().map(|&id| id as u32)),
            // A negative id becomes a large one, and ids are below 2^32 when they are in range.
            Indices::I64(ids) => out.extend(
                ids[bounds.clone()].iter().map(|&id| u32::try_from(id).unwrap_or(u32::MAX)),
            ),
        }
        if out[before..].iter().any(|&id| u64::from(id) >= columns) {
            out.truncate(before);
            return Err(Error::Changed { name: self.name });
        }
        Ok(bounds)
    }
}

/// A sparse matrix in compressed rows, borrowed and checked.
#[derive(Clone, Copy, Debug)]
pub struct CsrView<'a> {
    pattern: IdLists<'a>,
    values: &'a [f32],
}

impl<'a> CsrView<'a> {
    /// Borrows `values`, one for each id of `pattern`.
    ///
    /// # Errors
    ///
    /// If there is not one value an id, or a value is not finite.
    pub fn new(pattern: IdLists<'a>, values: &'a [f32]) -> Result<Self> {
        let name = pattern.name;
        if values.len() != pattern.nnz() {
            return Err(Error::Shape {
                name,
                found: format!("{} values", values.len()),
                wanted: format!("{} (one an index)", pattern.nnz()),
            });
        }
        if let Some(at) = first_not_finite(values) {
            let Error::Column { row, .. } = pattern.column_error(at) else {
                return Err(Error::Changed { name });
            };
            return Err(Error::Value { name, row, value: values[at] });
        }
        Ok(Self { pattern, values })
    }

    /// Whether the ids of every row ascend, none standing twice.
    #[must_use]
    pub fn is_ascending(&self) -> bool {
        let ascends = |range| match self.pattern.ids {
            Indices::I32(ids) => is_ascending(ids, range),
            Indices::I64(ids) => is_ascending(ids, range),
        };
        (0..self.pattern.len()).all(|row| self.pattern.bounds(row).is_ok_and(ascends))
    }
}

fn is_ascending<T: PartialOrd>(ids: &[T], range: Range<usize>) -> bool {
    ids[range].array_windows().all(|[id, next]| id < next)
}

/// A matrix with every value given, row after row.
#[derive(Clone, Copy, Debug)]
pub struct DenseView<'a> {
    values: &'a [f32],
    columns: usize,
}

impl<'a> DenseView<'a> {
    /// Borrows `values` as rows of `columns`.
    ///
    /// # Errors
    ///
    /// If the values do not fill whole rows, or one is not finite.
    pub fn new(name: &'static str, values: &'a [f32], columns: usize) -> Result<Self> {
        if columns == 0 || !values.len().is_multiple_of(columns) {
            return Err(Error::Shape {
                name,
                found: format!("{} values", values.len()),
                wanted: format!("whole rows of {columns}"),
            });
        }
        match first_not_finite(values) {
            Some(at) => Err(Error::Value { name, row: at / columns, value: values[at] }),
            None => Ok(Self { values, columns }),
        }
    }

    /// Values of a row.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Row `row`.
    #[must_use]
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.columns..][..self.columns]
    }
}

/// Whether all are finite, at memory speed: the compiler makes vectors of this.
#[must_use]
pub fn are_finite(values: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    const LAST_OF_EXPONENT: u32 = 0x0080_0000;
    // Only an exponent of ones, which is that of NaN and infinity, carries to the sign.
    let carry = |x: &f32| (x.to_bits() & EXPONENT).wrapping_add(LAST_OF_EXPONENT);
    values.iter().fold(0, |any, x| any | carry(x)) >> 31 == 0
}

fn first_not_finite(values: &[f32]) -> Option<usize> {
    let block = 4096;
    let bad = values.chunks(block).position(|x| !are_finite(x))?;
    values.iter().skip(bad * block).position(|x| !x.is_finite()).map(|at| at + bad * block)
}

/// The features of a batch.
#[derive(Clone, Copy, Debug)]
pub enum Features<'a> {
    /// Sparse rows.
    Sparse(CsrView<'a>),
    /// Dense rows; zeros cost nothing.
    Dense(DenseView<'a>),
}

impl Features<'_> {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Sparse(x) => x.pattern.len(),
            Self::Dense(x) => x.values.len() / x.columns,
        }
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether they are given as rows, and those of `rows` - as far as a few of them tell - have
    /// few zeros.
    #[must_use]
    pub fn are_dense(&self, rows: &[u32]) -> bool {
        let Self::Dense(x) = self else { return false };
        let few = &rows[..rows.len().min(LOOKED_AT)];
        let present = |row: &u32| x.row(*row as usize).iter().filter(|x| **x != 0.0).count();
        let present: usize = few.iter().map(present).sum();
        present * SPARE >= few.len() * x.columns
    }

    /// Appends the features of `row` that are present: their ids and their values.
    ///
    /// # Errors
    ///
    /// If the arrays have been changed since the view was made.
    pub fn append_row(&self, row: usize, ids: &mut Vec<u32>, values: &mut Vec<f32>) -> Result<()> {
        match self {
            Self::Sparse(x) => {
                let bounds = x.pattern.append_row(row, ids)?;
                let changed = Error::Changed { name: x.pattern.name };
                values.extend_from_slice(x.values.get(bounds).ok_or(changed)?);
            }
            Self::Dense(x) => {
                for (id, &value) in
                    x.row(row).iter().enumerate().filter(|&(_, &value)| value != 0.0)
                {
                    ids.push(id as u32);
                    values.push(value);
                }
            }
        }
        Ok(())
    }
}

/// Rows that tell how dense a batch is.
const LOOKED_AT: usize = 4;

/// One value in so many is enough for a row to be taken as dense: a product of matrices does this
/// many times the work in the same time.
const SPARE: usize = 4;

#[cfg(test)]
mod tests;
