//! Reusable memory for each thread of the pool, so that a step allocates nothing.
//!
//! Whoever uses it must leave it as found: results never depend on which thread worked.

use std::sync::{Mutex, PoisonError};

/// One `T` a thread.
#[derive(Debug)]
pub(crate) struct PerThread<T> {
    slots: Vec<Mutex<T>>,
}

impl<T> Default for PerThread<T> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<T> PerThread<T> {
    /// Makes sure that every thread of the current pool has one.
    pub(crate) fn ensure(&mut self, new: impl Fn() -> T) {
        while self.slots.len() < rayon::current_num_threads() {
            self.slots.push(Mutex::new(new()));
        }
    }

    /// All of them, to be made ready before the work begins.
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().map(|slot| slot.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lends this thread its own. `work` must not start parallel work.
    ///
    /// # Panics
    ///
    /// If [`PerThread::ensure`] was not called in this pool.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let thread = rayon::current_thread_index().unwrap_or(0);
        work(&mut self.slots[thread].lock().unwrap_or_else(PoisonError::into_inner))
    }
}
