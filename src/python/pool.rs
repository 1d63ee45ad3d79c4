//! Threads of our own, made when they are first needed.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// A pool that is made anew in a forked child, whose copy of the parent's has no threads.
#[derive(Debug)]
pub(super) struct Pool {
    threads: usize,
    current: Mutex<Option<(u32, Arc<ThreadPool>)>>,
}

/// The processors that this process may use, by affinity and quota.
pub(super) fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

impl Pool {
    pub(super) fn new(threads: Option<usize>) -> Result<Self> {
        let threads = threads.unwrap_or_else(default_threads);
        if threads == 0 || threads > 1024 {
            return Err(Error::Range { name: "threads", found: threads, low: 1, high: 1024 });
        }
        Ok(Self { threads, current: Mutex::new(None) })
    }

    pub(super) const fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `work` on the pool of this process.
    pub(super) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R> {
        let pool = {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            let id = std::process::id();
            match &*current {
                Some((owner, pool)) if *owner == id => Arc::clone(pool),
                _ => {
                    let named = ThreadPoolBuilder::new()
                        .num_threads(self.threads)
                        .thread_name(|i| format!("slide-rs-{i}"));
                    let pool = Arc::new(named.build().map_err(|e| Error::Threads(e.to_string()))?);
                    if let Some((_, parents)) = current.replace((id, Arc::clone(&pool))) {
                        // Dropping it would wait for threads that do not exist here.
                        std::mem::forget(parents);
                    }
                    pool
                }
            }
        };
        Ok(pool.install(work))
    }
}
