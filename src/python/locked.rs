//! A lock that is waited for outside of Python, while signals are heard.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::ThreadId;
use std::time::Duration;

use pyo3::prelude::*;

use crate::error::Error;

use super::watch::hear_signals;

/// Something that one call works on at a time.
#[derive(Debug)]
pub(super) struct Locked<T> {
    inner: Mutex<T>,
    /// Process and thread that are inside a call.
    owner: Mutex<Option<(u32, ThreadId)>>,
}

impl<T> Locked<T> {
    pub(super) const fn new(inner: T) -> Self {
        Self { inner: Mutex::new(inner), owner: Mutex::new(None) }
    }

    /// Takes the lock for as long as `work` takes. The caller must have left Python.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut T) -> PyResult<R>) -> PyResult<R> {
        let mut guard = self.lock()?;
        let result = work(&mut guard);
        *self.owner() = None;
        drop(guard);
        result
    }

    /// Waits for the lock, while signals are heard. Refuses a thread that is inside a call of its
    /// own (a callback or a signal handler would wait for itself), and a forked child whose parent
    /// was inside one (nobody in the child would ever give the lock back).
    fn lock(&self) -> PyResult<MutexGuard<'_, T>> {
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
}
