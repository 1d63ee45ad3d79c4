//! Reading and writing data sets.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::error::Error;
use crate::io::xmc::{self, Rows};
use crate::io::{canonical, checksum};

use super::arrays::{FeatureArrays, Pattern};
use super::pool::Pool;

type Arrays<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i32>>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i32>>,
    usize,
    usize,
);

/// Reads a data set in the XMC text format, plain or gzipped.
#[pyfunction]
pub(super) fn read_xmc(py: Python<'_>, path: PathBuf) -> PyResult<Arrays<'_>> {
    // Rayon's own pool would be without threads in a forked child.
    let pool = Pool::new(None)?;
    let data = py.detach(|| pool.install(|| xmc::read(&path)))?.map_err(Error::from)?;
    Ok((
        data.x_indptr.into_pyarray(py),
        data.x_indices.into_pyarray(py),
        data.x_values.into_pyarray(py),
        data.y_indptr.into_pyarray(py),
        data.y_indices.into_pyarray(py),
        data.n_features,
        data.n_labels,
    ))
}

/// Rows of a piece: bounds, ids and values of the features, bounds and ids of the labels.
type Piece<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i32>>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i32>>,
);

/// A data set in the XMC text format, plain or gzipped, that is read piece by piece.
#[pyclass(frozen, name = "XmcReader", module = "slide_rs._core")]
pub(super) struct PyXmcReader {
    header: Option<(u64, u64, u64)>,
    inner: Mutex<xmc::Reader>,
}

#[pymethods]
impl PyXmcReader {
    #[new]
    fn new(py: Python<'_>, path: PathBuf, piece_bytes: usize) -> PyResult<Self> {
        let reader = py.detach(|| xmc::Reader::open(&path, piece_bytes)).map_err(Error::from)?;
        Ok(Self { header: reader.header(), inner: Mutex::new(reader) })
    }

    /// Points, features and labels as the header counts them.
    #[getter]
    const fn header(&self) -> Option<(u64, u64, u64)> {
        self.header
    }

    /// The next rows; None at the end.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Option<Piece<'py>>> {
        let read = || self.inner.lock().unwrap_or_else(PoisonError::into_inner).read();
        let rows = py.detach(read).map_err(Error::from)?;
        Ok(rows.map(|rows| {
            (
                rows.x_indptr.into_pyarray(py),
                rows.x_indices.into_pyarray(py),
                rows.x_values.into_pyarray(py),
                rows.y_indptr.into_pyarray(py),
                rows.y_indices.into_pyarray(py),
            )
        }))
    }
}

/// Whether `x` is canonical compressed rows of `columns`, with finite values.
#[pyfunction]
pub(super) fn is_canonical(py: Python<'_>, x: FeatureArrays<'_>, columns: usize) -> PyResult<bool> {
    let pool = Pool::new(None)?;
    match &x {
        FeatureArrays::Dense(_) => Ok(false),
        FeatureArrays::Int32(indptr, ids, values) => {
            let (indptr, ids, values) = (indptr.as_slice()?, ids.as_slice()?, values.as_slice()?);
            let check = || canonical::is_canonical(indptr, ids, values, columns);
            Ok(py.detach(|| pool.install(check))?)
        }
        FeatureArrays::Int64(indptr, ids, values) => {
            let (indptr, ids, values) = (indptr.as_slice()?, ids.as_slice()?, values.as_slice()?);
            let check = || canonical::is_canonical(indptr, ids, values, columns);
            Ok(py.detach(|| pool.install(check))?)
        }
    }
}

/// The CRC-32 of all parts, one behind another.
#[pyfunction]
pub(super) fn crc32(py: Python<'_>, parts: Vec<PyReadonlyArray1<'_, u8>>) -> PyResult<u32> {
    let parts = parts.iter().map(PyReadonlyArray1::as_slice).collect::<Result<Vec<_>, _>>()?;
    let pool = Pool::new(None)?;
    Ok(py.detach(|| pool.install(|| checksum::crc32(&parts)))?)
}

/// Writes a data set in the XMC text format, gzipped if the name ends in `.gz`.
#[pyfunction]
pub(super) fn write_xmc(
    py: Python<'_>,
    path: PathBuf,
    x: FeatureArrays<'_>,
    y: Pattern<'_>,
    n_features: usize,
    n_labels: usize,
) -> PyResult<()> {
    let sizes = (n_features, n_labels);
    match &x {
        FeatureArrays::Int32(indptr, ids, values) => {
            let x = (indptr.as_slice()?, ids.as_slice()?, values.as_slice()?);
            write_features(py, &path, x, &y, sizes)
        }
        FeatureArrays::Int64(indptr, ids, values) => {
            let x = (indptr.as_slice()?, ids.as_slice()?, values.as_slice()?);
            write_features(py, &path, x, &y, sizes)
        }
        FeatureArrays::Dense(_) => {
            let (found, wanted) = ("a dense matrix".to_owned(), "compressed rows".to_owned());
            Err(Error::Shape { name: "X", found, wanted }.into())
        }
    }
}

fn write_features<P: Copy + Into<i64> + Sync>(
    py: Python<'_>,
    path: &Path,
    x: (&[P], &[P], &[f32]),
    y: &Pattern<'_>,
    sizes: (usize, usize),
) -> PyResult<()> {
    match y {
        Pattern::Int32(indptr, ids) => {
            write_labels(py, path, x, (indptr.as_slice()?, ids.as_slice()?), sizes)
        }
        Pattern::Int64(indptr, ids) => {
            write_labels(py, path, x, (indptr.as_slice()?, ids.as_slice()?), sizes)
        }
    }
}

fn write_labels<P: Copy + Into<i64> + Sync, Q: Copy + Into<i64> + Sync>(
    py: Python<'_>,
    path: &Path,
    (x_indptr, x_ids, values): (&[P], &[P], &[f32]),
    (y_indptr, y_ids): (&[Q], &[Q]),
    (n_features, n_labels): (usize, usize),
) -> PyResult<()> {
    let x = Rows { indptr: x_indptr, ids: x_ids, columns: n_features };
    let y = Rows { indptr: y_indptr, ids: y_ids, columns: n_labels };
    Ok(py.detach(|| xmc::write(path, x, values, y)).map_err(Error::from)?)
}
