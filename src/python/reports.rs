//! Reports of the engine as dictionaries.

use numpy::{IntoPyArray, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::network::{Cursor, EpochReport, LayerTables};
use crate::phases::{Phase, Phases};

/// A cursor as Python keeps it: numbers that JSON brings back bit for bit.
pub(super) type Sums = (u64, u64, u64, f64, f64, Vec<u64>, f32);

/// The cursor that was kept.
pub(super) fn cursor(sums: Sums) -> Cursor {
    let (samples, steps, labelled, loss, active, hidden_active, lr) = sums;
    Cursor { samples, steps, labelled, loss, active, hidden_active, lr }
}

/// What an epoch did, and where it stands.
pub(super) fn epoch(
    py: Python<'_>,
    report: EpochReport,
    cursor: Cursor,
) -> PyResult<Bound<'_, PyDict>> {
    let out = PyDict::new(py);
    let Cursor { samples, steps, labelled, loss, active, hidden_active, lr } = cursor;
    out.set_item("cursor", (samples, steps, labelled, loss, active, hidden_active, lr))?;
    out.set_item("loss", report.loss)?;
    out.set_item("active_fraction", report.active_fraction)?;
    out.set_item("lr", report.lr)?;
    out.set_item("steps", report.steps)?;
    out.set_item("samples", report.samples)?;
    out.set_item("labelled", report.labelled)?;
    out.set_item("seconds", report.seconds)?;
    out.set_item("rehash_seconds", report.rehash_seconds)?;
    out.set_item("hidden_active_fractions", report.hidden_active)?;
    Ok(out)
}

/// Where the time went: seconds by phase, and counts of rows.
pub(super) fn phases<'py>(py: Python<'py>, phases: &Phases) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    for phase in Phase::ALL {
        out.set_item(phase.name(), phases.of(phase))?;
    }
    out.set_item("rows_computed", phases.rows_computed)?;
    out.set_item("rows_read", phases.rows_read)?;
    out.set_item("rows_updated", phases.rows_updated)?;
    Ok(out)
}

/// How full the hash tables of a layer are.
pub(super) fn tables(py: Python<'_>, tables: LayerTables) -> PyResult<Bound<'_, PyDict>> {
    let LayerTables { n_tables, n_hashes, bits, bucket_size, rows, stats } = tables;
    let histogram: Vec<i64> = stats.histogram.iter().map(|&n| n as i64).collect();
    let out = PyDict::new(py);
    for (name, value) in [
        ("n_tables", n_tables),
        ("n_hashes", n_hashes),
        ("bits", bits),
        ("bucket_size", bucket_size),
        ("rows", rows),
        ("bytes", stats.bytes),
        ("empty", stats.empty),
        ("full", stats.full),
        ("largest", stats.largest),
    ] {
        out.set_item(name, value)?;
    }
    out.set_item("mean", stats.mean())?;
    out.set_item("histogram", histogram.into_pyarray(py))?;
    Ok(out)
}

/// Parameters by name: biases as vectors, the others as matrices.
pub(super) fn weights(
    py: Python<'_>,
    params: Vec<(String, [usize; 2], Vec<f32>)>,
) -> PyResult<Bound<'_, PyDict>> {
    let out = PyDict::new(py);
    for (name, shape, values) in params {
        let values = values.into_pyarray(py);
        if name.ends_with("bias") {
            out.set_item(name, values)?;
        } else {
            out.set_item(name, values.reshape(shape)?)?;
        }
    }
    Ok(out)
}
