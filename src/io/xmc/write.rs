//! Writing a data set as text.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Axis, MAX_COLUMNS, XmcError};

/// The ids of sparse rows, borrowed: row `r` holds `ids[indptr[r]..indptr[r + 1]]`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, P, I> {
    /// Row bounds; one longer than the rows.
    pub indptr: &'a [P],
    /// Column ids, row after row.
    pub ids: &'a [I],
    /// Number of columns.
    pub columns: usize,
}

impl<P: Copy + Into<i64>, I: Copy + Into<i64>> Rows<'_, P, I> {
    /// Checks bounds and ids, and gives the number of rows.
    fn check(&self, axis: Axis) -> Result<usize, XmcError> {
        if self.columns as u64 > MAX_COLUMNS {
            let columns = self.columns;
            return Err(XmcError::Columns { axis, columns, limit: MAX_COLUMNS });
        }
        let broken = |row| XmcError::Indptr { axis, row, ids: self.ids.len() };
        if self.indptr.first().is_none_or(|&start| start.into() != 0) {
            return Err(broken(0));
        }
        let rows = self.indptr.len() - 1;
        for row in 0..rows {
            let bounds = self.bounds(row);
            let ids = self.ids.get(bounds).ok_or_else(|| broken(row))?;
            for id in ids.iter().map(|&id| id.into()) {
                if id < 0 || id as u64 >= self.columns as u64 {
                    return Err(XmcError::Id { axis, row, id, columns: self.columns });
                }
            }
        }
        if self.indptr[rows].into() as u64 != self.ids.len() as u64 {
            return Err(broken(rows.saturating_sub(1)));
        }
        Ok(rows)
    }

    /// A negative bound turns into one beyond any slice.
    fn bounds(&self, row: usize) -> std::ops::Range<usize> {
        self.indptr[row].into() as usize..self.indptr[row + 1].into() as usize
    }
}

/// Writes features `x` with their `values` and labels `y` to a file, gzipped if its name ends in `.gz`.
///
/// Values are written with the fewest digits that read back as the same 32-bit float. Everything is
/// checked before the file is created.
///
/// # Errors
///
/// If row bounds, ids, values or lengths do not fit together, or the file cannot be written.
pub fn write<P, I, Q, J>(
    path: &Path,
    x: Rows<'_, P, I>,
    values: &[f32],
    y: Rows<'_, Q, J>,
) -> Result<(), XmcError>
where
    P: Copy + Into<i64>,
    I: Copy + Into<i64>,
    Q: Copy + Into<i64>,
    J: Copy + Into<i64>,
{
    let (features, labels) = (x.check(Axis::Feature)?, y.check(Axis::Label)?);
    if features != labels {
        return Err(XmcError::RowCounts { features, labels });
    }
    if values.len() != x.ids.len() {
        return Err(XmcError::Values { values: values.len(), ids: x.ids.len() });
    }
    if let Some(k) = values.iter().position(|value| !value.is_finite()) {
        let row = (0..features).position(|row| x.bounds(row).contains(&k)).unwrap_or(0);
        return Err(XmcError::Value { row, value: values[k] });
    }
    let to_file = || {
        let file = BufWriter::with_capacity(1 << 18, File::create(path)?);
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz")) {
            // The encoder writes no time stamp, so equal data gives equal files.
            let mut gzip = GzEncoder::new(file, Compression::default());
            write_text(&mut gzip, x, values, y)?;
            gzip.finish()?.flush()
        } else {
            let mut file = file;
            write_text(&mut file, x, values, y)?;
            file.flush()
        }
    };
    to_file().map_err(|source| XmcError::Write { path: path.to_path_buf(), source })
}

fn write_text<P, I, Q, J>(
    out: &mut impl Write,
    x: Rows<'_, P, I>,
    values: &[f32],
    y: Rows<'_, Q, J>,
) -> io::Result<()>
where
    P: Copy + Into<i64>,
    I: Copy + Into<i64>,
    Q: Copy + Into<i64>,
    J: Copy + Into<i64>,
{
    let rows = x.indptr.len() - 1;
    writeln!(out, "{rows} {} {}", x.columns, y.columns)?;
    for row in 0..rows {
        for (k, &id) in y.ids[y.bounds(row)].iter().enumerate() {
            let comma = if k == 0 { "" } else { "," };
            write!(out, "{comma}{}", id.into())?;
        }
        let bounds = x.bounds(row);
        for (&id, &value) in x.ids[bounds.clone()].iter().zip(&values[bounds]) {
            let id = id.into();
            // Plain digits would spell out every zero of a very small or large value.
            if value == 0.0 || (1e-5..1e7).contains(&value.abs()) {
                write!(out, " {id}:{value}")?;
            } else {
                write!(out, " {id}:{value:e}")?;
            }
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}
