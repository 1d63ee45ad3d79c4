//! The Python extension: converts, detaches, calls, converts.
#![expect(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]

mod arrays;
mod call;
mod error;
mod io;
mod network;
mod optim;
mod pool;
mod watch;

use pyo3::prelude::*;

/// The compiled engine of `slide_rs`.
#[pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use super::arrays::{borrowed_addresses, is_well_formed};
    #[pymodule_export]
    use super::build_info;
    #[pymodule_export]
    use super::io::{read_xmc, write_xmc};
    #[pymodule_export]
    use super::network::PyNetwork;
    #[pymodule_export]
    use super::optim::optimizer_steps;
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
