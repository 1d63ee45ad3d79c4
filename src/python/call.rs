//! A call of the network from Python: the lock, and where the work is done.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError, TryLockError};
use std::thread::ThreadId;
use std::time::Duration;

use pyo3::prelude::*;

use crate::error::{Error, Result};
use crate::network::Network;

use super::network::PyNetwork;
use super::watch::{Watch, hear_signals};

/// How often Python is asked whether a signal has arrived, and told how far an epoch is.
const TICK: Duration = Duration::from_millis(50);

impl PyNetwork {
    /// Waits for the lock, while signals are heard. Refuses a thread that is inside a call of its
    /// own (a callback or a signal handler would wait for itself), and a forked child whose parent
    /// was inside one (nobody in the child would ever give the lock back).
    fn lock(&self) -> PyResult<MutexGuard<'_, Network>> {
        let me = (std::process::id(), std::thread::current().id());
        loop {
            let tried = match self.inner.try_lock() {
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                tried => tried.ok(),
            };
            if let Some(guard) = tried {
                *self.owner() = Some(me);
                return Ok(guard);
            }
            match *self.owner() {
                Some(owner) if owner == me => {
                    return Err(Error::Busy("this thread is inside a call of it").into());
                }
                Some((process, _)) if process != me.0 => {
                    let reason = "this process was forked while a thread was inside a call of it";
                    return Err(Error::Busy(reason).into());
                }
                _ => {}
            }
            std::thread::sleep(Duration::from_millis(1));
            Python::attach(hear_signals)?;
        }
    }

    fn owner(&self) -> MutexGuard<'_, Option<(u32, ThreadId)>> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }

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
            let mut guard = self.lock()?;
            let result = work(&mut guard);
            self.steps.store(guard.counters().steps, Ordering::Relaxed);
            self.units.store(guard.output().units(), Ordering::Relaxed);
            *self.owner() = None;
            drop(guard);
            result
        })
    }
}
