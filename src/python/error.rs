//! Errors of the core as the exceptions that Python users expect.

use pyo3::exceptions::{PyArithmeticError, PyMemoryError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::error::Error;
use crate::io::xmc::XmcError;

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Io { path, source } => os_error(&path, &source),
            Error::Xmc(XmcError::Read { path, source } | XmcError::Write { path, source }) => {
                os_error(&path, &source)
            }
            Error::Memory { .. } => PyMemoryError::new_err(message),
            Error::Diverged { .. } => PyArithmeticError::new_err(message),
            Error::Changed { .. } | Error::Stopped | Error::Busy(_) | Error::Threads(_) => {
                PyRuntimeError::new_err(message)
            }
            _ => PyValueError::new_err(message),
        }
    }
}

/// With its number, so that Python makes a `FileNotFoundError` and the like of it.
fn os_error(path: &std::path::Path, source: &std::io::Error) -> PyErr {
    let path = path.display().to_string();
    match source.raw_os_error() {
        Some(number) => {
            let text = source.to_string();
            let text = text.split(" (os error").next().unwrap_or_default().to_owned();
            PyOSError::new_err((number, text, path))
        }
        None => PyOSError::new_err(format!("{path}: {source}")),
    }
}
