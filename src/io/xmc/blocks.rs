//! Text in blocks of whole lines, one after another from anything that can be read.
//!
//! A block is taken under the lock of whoever shares the iterator between threads, so that the
//! source is read in order and once, be it a file, a pipe or a gzip decoder; while one thread reads,
//! the others parse. Blocks are handed back after use, so that a file of any size is read through a
//! few buffers that stay in the cache.

use std::io::{self, ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::XmcError;
use super::chunk::{Chunk, Fault, Limits};

/// Large enough to hide the cost of a task, small enough to share a file of a few megabytes and to
/// stay in the cache of a core between being read and being parsed.
pub(super) const BLOCK_BYTES: usize = 1 << 20;

/// A run of whole lines, and where their rows go.
#[derive(Debug, Default)]
pub(super) struct Block {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    pub(super) chunk: Chunk,
}

impl Block {
    pub(super) fn text(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Leaves out the first bytes, or all there are.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.start = self.end.min(self.start + bytes);
    }

    /// Parses the text into the chunk.
    pub(super) fn parse(&mut self, limits: Limits) -> Result<(), Fault> {
        self.chunk.parse(&self.buffer[self.start..self.end], limits)
    }
}

/// Blocks that have been used, and whether more are wanted.
#[derive(Debug, Default)]
pub(super) struct Returned {
    spare: Mutex<Vec<Block>>,
    enough: AtomicBool,
}

impl Returned {
    /// Hands a block back.
    pub(super) fn put(&self, block: Block) {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(block);
    }

    /// Ends the reading, after an error.
    pub(super) fn stop(&self) {
        self.enough.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> Block {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn stopped(&self) -> bool {
        self.enough.load(Ordering::Relaxed)
    }
}

/// The blocks of a text, in order.
pub(super) struct Blocks<'a, R> {
    source: R,
    returned: &'a Returned,
    unreadable: fn(io::Error) -> XmcError,
    /// The start of a line whose end has not been read yet.
    rest: Vec<u8>,
    next: usize,
    ended: bool,
}

impl<'a, R: Read> Blocks<'a, R> {
    /// The text of `source`, whose errors are turned by `unreadable`.
    pub(super) const fn new(
        source: R,
        returned: &'a Returned,
        unreadable: fn(io::Error) -> XmcError,
    ) -> Self {
        Self { source, returned, unreadable, rest: Vec::new(), next: 0, ended: false }
    }

    /// Reads the next block; the last one may be empty.
    pub(super) fn read(&mut self) -> Result<Block, XmcError> {
        self.next += 1;
        let mut block = self.returned.take();
        let buffer = &mut block.buffer;
        // What earlier blocks left in the buffer is overwritten, never read.
        if buffer.len() < self.rest.len() + BLOCK_BYTES {
            buffer.resize(self.rest.len() + BLOCK_BYTES, 0);
        }
        let mut filled = self.rest.len();
        buffer[..filled].copy_from_slice(&self.rest);
        self.rest.clear();
        block.start = 0;
        block.end = loop {
            if filled == buffer.len() {
                if let Some(newline) = memchr::memrchr(b'\n', buffer) {
                    self.rest.extend_from_slice(&buffer[newline + 1..]);
                    break newline + 1;
                }
                buffer.resize(2 * filled, 0);
            }
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => {
                    self.ended = true;
                    break filled;
                }
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    return Err((self.unreadable)(error));
                }
            }
        };
        Ok(block)
    }
}

impl<R: Read> Iterator for Blocks<'_, R> {
    /// The number of a block, and the block if it could be read.
    type Item = (usize, Result<Block, XmcError>);

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        (!self.ended && !self.returned.stopped()).then(|| (index, self.read()))
    }
}
