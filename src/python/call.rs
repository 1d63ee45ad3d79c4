//! A call of the network from Python: the lock, and where the work is done.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pyo3::prelude::*;

use crate::error::Result;
use crate::network::Network;

use super::network::PyNetwork;
use super::watch::Watch;

/// How often Python is asked whether a signal has arrived, and told how far an epoch is.
const TICK: Duration = Duration::from_millis(50);

impl PyNetwork {
    /// Leaves Python, takes the lock, runs `work` on the pool. An exception that was met in Python
    /// meanwhile (a signal, an error of a callback) goes before its own result.
    pub(super) fn run<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Network, &Watch) -> Result<R> + Send,
        on_batch: Option<&Py<PyAny>>,
    ) -> PyResult<R> {
        self.locked(py, |network| {
            let watch = Watch::default();
            let (result, raised) = self.pool.watch(
                || work(network, &watch),
                TICK,
                || Python::attach(|py| watch.tell(py, on_batch)).inspect_err(|_| watch.stop()),
            )?;
            raised?;
            Ok(result?)
        })
    }

    /// Leaves Python, takes the lock and runs `work` on the thread that called: for work of so
    /// little time that it would be over before another thread is awake.
    pub(super) fn run_here<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Network) -> Result<R> + Send,
    ) -> PyResult<R> {
        self.locked(py, |network| Ok(work(network)?))
    }

    /// Leaves Python, and takes the lock for as long as `work` takes.
    fn locked<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Network) -> PyResult<R> + Send,
    ) -> PyResult<R> {
        py.detach(|| {
            // Before the pool: a worker that waits inside a step may take up other work, and would
            // then wait for a lock that it holds itself.
            self.inner.with(|network| {
                let result = work(network);
                self.steps.store(network.counters().steps, Ordering::Relaxed);
                self.units.store(network.output().units(), Ordering::Relaxed);
                result
            })
        })
    }
}
