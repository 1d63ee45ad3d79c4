//! The Python extension: converts, detaches, calls, converts.
#![expect(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]

mod arrays;
mod call;
mod error;
mod head;
mod io;
mod labels;
mod locked;
mod mode;
mod network;
mod optim;
mod pool;
mod ranker;
mod reports;
mod watch;

use pyo3::prelude::*;

/// The compiled engine of `slide_rs`.
#[pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use super::arrays::{borrowed_addresses, is_well_formed};
    #[pymodule_export]
    use super::head::PyHead;
    #[pymodule_export]
    use super::io::{PyXmcReader, crc32, is_canonical, read_xmc, write_xmc};
    #[pymodule_export]
    use super::network::PyNetwork;
    #[pymodule_export]
    use super::optim::optimizer_steps;
    #[pymodule_export]
    use super::ranker::PyRanker;
    #[pymodule_export]
    use super::{build_info, estimate_memory};
}

/// Bytes that a network takes while it trains on batches of so many rows, by what they are for.
#[pyfunction]
#[pyo3(signature = (config, batch_size, threads=None))]
fn estimate_memory<'py>(
    py: Python<'py>,
    config: &str,
    batch_size: usize,
    threads: Option<usize>,
) -> PyResult<Bound<'py, pyo3::types::PyDict>> {
    let config = crate::config::NetworkConfig::from_json(config)?;
    config.check()?;
    let threads = threads.unwrap_or_else(pool::default_threads);
    let memory = config.resolve().memory(batch_size, threads);
    let parts = pyo3::types::PyDict::new(py);
    for (name, bytes) in [
        ("weights", memory.weights),
        ("moments", memory.moments),
        ("tables", memory.tables),
        ("hash_functions", memory.functions),
        ("scratch", memory.scratch),
    ] {
        parts.set_item(name, bytes)?;
    }
    Ok(parts)
}

/// Version, instruction set and threads.
#[pyfunction]
fn build_info(py: Python<'_>) -> PyResult<Bound<'_, pyo3::types::PyDict>> {
    let info = pyo3::types::PyDict::new(py);
    info.set_item("version", env!("CARGO_PKG_VERSION"))?;
    info.set_item("simd", crate::simd::Kernels::detect().map_err(crate::Error::from)?.name)?;
    let available: Vec<_> = crate::simd::Kernels::available().map(|k| k.name).collect();
    info.set_item("simd_available", available)?;
    info.set_item("threads", pool::default_threads())?;
    Ok(info)
}
