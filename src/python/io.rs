//! Reading and writing data sets.

use std::path::PathBuf;

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

use crate::error::Error;
use crate::io::xmc::{self, Rows};

use super::arrays::{FeatureArrays, Pattern};

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
    let data = py.detach(|| xmc::read(&path)).map_err(Error::from)?;
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
    macro_rules! write {
        ($x:ident, $y:ident) => {{
            let (x_indptr, x_ids, values) = ($x.0.as_slice()?, $x.1.as_slice()?, $x.2.as_slice()?);
            let (y_indptr, y_ids) = ($y.0.as_slice()?, $y.1.as_slice()?);
            let x = Rows { indptr: x_indptr, ids: x_ids, columns: n_features };
            let y = Rows { indptr: y_indptr, ids: y_ids, columns: n_labels };
            py.detach(|| xmc::write(&path, x, values, y)).map_err(Error::from)?
        }};
    }
    match (&x, &y) {
        (FeatureArrays::Int32(a, b, c), Pattern::Int32(d, e)) => {
            let (x, y) = ((a, b, c), (d, e));
            write!(x, y);
        }
        (FeatureArrays::Int32(a, b, c), Pattern::Int64(d, e)) => {
            let (x, y) = ((a, b, c), (d, e));
            write!(x, y);
        }
        (FeatureArrays::Int64(a, b, c), Pattern::Int32(d, e)) => {
            let (x, y) = ((a, b, c), (d, e));
            write!(x, y);
        }
        (FeatureArrays::Int64(a, b, c), Pattern::Int64(d, e)) => {
            let (x, y) = ((a, b, c), (d, e));
            write!(x, y);
        }
        (FeatureArrays::Dense(_), _) => {
            let found = "a dense matrix".to_owned();
            return Err(Error::Shape { name: "x", found, wanted: "compressed rows".into() }.into());
        }
    }
    Ok(())
}
