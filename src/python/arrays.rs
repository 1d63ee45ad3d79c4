//! `NumPy` arrays as borrowed views: nothing is copied or cast.

use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::error::{Error, Result};
use crate::sparse::{CsrView, DenseView, Features, IdLists, Indices};
use crate::targets::Targets;

/// Row bounds and ids of either index type of `SciPy`.
#[derive(FromPyObject)]
pub(super) enum Pattern<'py> {
    Int32(PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, i32>),
    Int64(PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i64>),
}

impl Pattern<'_> {
    /// The checked lists, with ids below `columns`.
    pub(super) fn view(&self, name: &'static str, columns: usize) -> Result<IdLists<'_>> {
        let (indptr, ids) = match self {
            Self::Int32(indptr, ids) => {
                (Indices::I32(contiguous(name, indptr)?), Indices::I32(contiguous(name, ids)?))
            }
            Self::Int64(indptr, ids) => {
                (Indices::I64(contiguous(name, indptr)?), Indices::I64(contiguous(name, ids)?))
            }
        };
        IdLists::new(name, indptr, ids, columns)
    }
}

/// Labels of each row, with a grade each where there are three arrays.
#[derive(FromPyObject)]
pub(super) enum TargetArrays<'py> {
    Graded32(PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, f32>),
    Graded64(PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, f32>),
    #[pyo3(transparent)]
    Plain(Pattern<'py>),
}

impl TargetArrays<'_> {
    /// The checked targets, with labels below `columns` and `weights` for the rows.
    pub(super) fn view<'a>(
        &'a self,
        name: &'static str,
        columns: usize,
        weights: Option<&'a PyReadonlyArray1<'_, f32>>,
    ) -> Result<Targets<'a>> {
        let (indptr, ids, grades) = match self {
            Self::Plain(pattern) => {
                let plain = Targets::new(pattern.view(name, columns)?);
                return with_weights(plain, weights);
            }
            Self::Graded32(indptr, ids, grades) => (
                Indices::I32(contiguous(name, indptr)?),
                Indices::I32(contiguous(name, ids)?),
                contiguous(name, grades)?,
            ),
            Self::Graded64(indptr, ids, grades) => (
                Indices::I64(contiguous(name, indptr)?),
                Indices::I64(contiguous(name, ids)?),
                contiguous(name, grades)?,
            ),
        };
        let labels = IdLists::new(name, indptr, ids, columns)?;
        with_weights(Targets::new(labels).graded(grades)?, weights)
    }
}

fn with_weights<'a>(
    targets: Targets<'a>,
    weights: Option<&'a PyReadonlyArray1<'_, f32>>,
) -> Result<Targets<'a>> {
    match weights {
        None => Ok(targets),
        Some(weights) => targets.weighted(contiguous("sample_weight", weights)?),
    }
}

/// Features: compressed rows, or a dense matrix.
#[derive(FromPyObject)]
pub(super) enum FeatureArrays<'py> {
    Int32(PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, f32>),
    Int64(PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, f32>),
    #[pyo3(transparent)]
    Dense(PyReadonlyArray2<'py, f32>),
}

impl FeatureArrays<'_> {
    /// The checked features, of which there must be `columns`.
    pub(super) fn view(&self, name: &'static str, columns: usize) -> Result<Features<'_>> {
        let (indptr, ids, values) = match self {
            Self::Dense(x) => {
                let shape = x.shape();
                if shape[1] != columns {
                    let found = format!("{} columns", shape[1]);
                    return Err(Error::Shape { name, found, wanted: columns.to_string() });
                }
                let values = x.as_slice().map_err(|_| not_contiguous(name))?;
                return Ok(Features::Dense(DenseView::new(name, values, columns)?));
            }
            Self::Int32(indptr, ids, values) => (
                Indices::I32(contiguous(name, indptr)?),
                Indices::I32(contiguous(name, ids)?),
                contiguous(name, values)?,
            ),
            Self::Int64(indptr, ids, values) => (
                Indices::I64(contiguous(name, indptr)?),
                Indices::I64(contiguous(name, ids)?),
                contiguous(name, values)?,
            ),
        };
        let pattern = IdLists::new(name, indptr, ids, columns)?;
        Ok(Features::Sparse(CsrView::new(pattern, values)?))
    }
}

pub(super) fn contiguous<'a, T: numpy::Element>(
    name: &'static str,
    array: &'a PyReadonlyArray1<'_, T>,
) -> Result<&'a [T]> {
    array.as_slice().map_err(|_| not_contiguous(name))
}

pub(super) fn not_contiguous(name: &'static str) -> Error {
    Error::Shape { name, found: "strided arrays".to_owned(), wanted: "contiguous ones".to_owned() }
}

/// Whether `x` are compressed rows that the engine takes as they are: arrays of its types and
/// layout whose bounds, ids and values are right, ids of a row in ascending order. It says no more,
/// so that the answer for a good row takes no time.
#[pyfunction]
pub(super) fn is_well_formed(py: Python<'_>, x: &Bound<'_, PyAny>, columns: usize) -> bool {
    let Ok(x) = x.extract::<FeatureArrays<'_>>() else { return false };
    let Ok(Features::Sparse(rows)) = x.view("X", columns) else { return false };
    py.detach(|| rows.is_ascending())
}

/// Where the engine reads the data of `x`: row bounds, ids and values, or the dense values.
#[pyfunction]
pub(super) fn borrowed_addresses(x: FeatureArrays<'_>) -> Vec<usize> {
    match &x {
        FeatureArrays::Dense(x) => vec![x.as_array().as_ptr().addr()],
        FeatureArrays::Int32(indptr, ids, values) => vec![
            indptr.as_array().as_ptr().addr(),
            ids.as_array().as_ptr().addr(),
            values.as_array().as_ptr().addr(),
        ],
        FeatureArrays::Int64(indptr, ids, values) => vec![
            indptr.as_array().as_ptr().addr(),
            ids.as_array().as_ptr().addr(),
            values.as_array().as_ptr().addr(),
        ],
    }
}
