//! What the thread that was called and the threads that work tell each other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use crate::network::Progress;

/// Runs the handlers of the signals that have arrived.
pub(super) fn hear_signals(py: Python<'_>) -> PyResult<()> {
    py.check_signals()
}

/// What the thread that was called and the threads that work tell each other.
#[derive(Default)]
pub(super) struct Watch {
    stopped: AtomicBool,
    progress: Mutex<Option<Progress>>,
}

impl Watch {
    /// Whether to go on; asked by those who work.
    pub(super) fn go_on(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }

    /// The same after a batch.
    pub(super) fn after_batch(&self, progress: Progress) -> bool {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        self.go_on()
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Lets Python handle its signals and tells it how far the epoch is. `CPython` runs signal
    /// handlers on its main thread only, so this happens on the thread that called.
    pub(super) fn tell(&self, py: Python<'_>, on_batch: Option<&Py<PyAny>>) -> PyResult<()> {
        hear_signals(py)?;
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((progress, call)) = progress.zip(on_batch) else { return Ok(()) };
        call.call1(py, (progress.done, progress.total, progress.loss)).map(|_| ())
    }
}
