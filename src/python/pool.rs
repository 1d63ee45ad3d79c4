//! Threads of our own, made when they are first needed.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
        Ok(self.current()?.install(work))
    }

    /// Runs `work` on the pool while this thread calls `look` every `tick`, and once more at the
    /// end; it stops looking at the first error.
    pub(super) fn watch<R: Send, E>(
        &self,
        work: impl FnOnce() -> R + Send,
        tick: Duration,
        look: impl Fn() -> std::result::Result<(), E>,
    ) -> Result<(R, std::result::Result<(), E>)> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.current()?.in_place_scope(|scope| {
            scope.spawn(move |_| _ = sender.send(work()));
            let mut looked = Ok(());
            loop {
                match receiver.recv_timeout(tick) {
                    Ok(result) => return Ok((result, looked.and_then(|()| look()))),
                    Err(RecvTimeoutError::Timeout) if looked.is_ok() => looked = look(),
                    Err(RecvTimeoutError::Timeout) => {}
                    // The sender is gone without a result: the scope passes the panic on.
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(Error::Threads("the work was abandoned".to_owned()));
                    }
                }
            }
        })
    }

    fn current(&self) -> Result<Arc<ThreadPool>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let id = std::process::id();
        if let Some((owner, pool)) = &*current
            && *owner == id
        {
            return Ok(Arc::clone(pool));
        }
        let builder = ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .thread_name(|i| format!("slide-rs-{i}"));
        let pool = Arc::new(builder.build().map_err(|e| Error::Threads(e.to_string()))?);
        if let Some((_, parents)) = current.replace((id, Arc::clone(&pool))) {
            // Dropping it would wait for threads that do not exist here.
            std::mem::forget(parents);
        }
        Ok(pool)
    }
}
