//! Text in blocks of whole lines, one after another from anything that can be read.
//!
//! A block is taken under the lock of whoever shares the iterator between threads, so that the
//! source is read in order and once, be it a file, a pipe or a gzip decoder; while one thread reads,
//! the others parse. Blocks are handed back after use, so that a file of any size is read through a
//! few buffers that stay in the cache.

use std::io::{self, ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
#[derive(Debug)]
pub(super) struct Blocks<R> {
    source: R,
    /// Bytes of a block, unless a line is longer.
    bytes: usize,
    returned: Arc<Returned>,
    unreadable: fn(io::Error) -> XmcError,
    /// The start of a line whose end has not been read yet.
    rest: Vec<u8>,
    next: usize,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    /// The text of `source`, whose errors are turned by `unreadable`.
    pub(super) const fn new(
        source: R,
        bytes: usize,
        returned: Arc<Returned>,
        unreadable: fn(io::Error) -> XmcError,
    ) -> Self {
        Self { source, bytes, returned, unreadable, rest: Vec::new(), next: 0, ended: false }
    }

    /// Reads the next block; the last one may be empty.
    pub(super) fn read(&mut self) -> Result<Block, XmcError> {
        self.next += 1;
        let mut block = self.returned.take();
        let buffer = &mut block.buffer;
        // What earlier blocks left in the buffer is overwritten, never read.
        if buffer.len() < self.rest.len() + self.bytes {
            buffer.resize(self.rest.len() + self.bytes, 0);
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

impl<R: Read> Iterator for Blocks<R> {
    /// The number of a block, and the block if it could be read.
    type Item = (usize, Result<Block, XmcError>);

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        (!self.ended && !self.returned.stopped()).then(|| (index, self.read()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_text;
    use super::*;

    /// A reader that gives a few bytes at a time, is interrupted in between, and fails at the end.
    struct Slow<'a> {
        text: &'a [u8],
        step: usize,
        calls: usize,
        fails: bool,
    }

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(3) {
                return Err(ErrorKind::Interrupted.into());
            }
            if self.text.is_empty() && self.fails {
                return Err(io::Error::other("the disk is gone"));
            }
            let bytes = self.step.min(buffer.len()).min(self.text.len());
            let (now, later) = self.text.split_at(bytes);
            buffer[..bytes].copy_from_slice(now);
            self.text = later;
            Ok(bytes)
        }
    }

    fn slow(text: &[u8], step: usize, fails: bool) -> Slow<'_> {
        Slow { text, step, calls: 0, fails }
    }

    fn texts(text: &[u8]) -> Vec<Vec<u8>> {
        let source = slow(text, 4096, false);
        let blocks = Blocks::new(source, BLOCK_BYTES, Arc::default(), XmcError::Source);
        blocks.map(|(_, block)| block.unwrap().text().to_vec()).collect()
    }

    #[test]
    fn blocks_end_at_line_ends_and_together_are_the_text() {
        let line = [b"0 1:".as_slice(), &[b'7'; 1000], b"\n"].concat();
        for end in [b"\n".as_slice(), b""] {
            let text = [line.repeat(3000).as_slice(), b"0 2:5", end].concat();
            let blocks = texts(&text);
            assert!(blocks.len() > 2);
            assert_eq!(blocks.concat(), text);
            let (_, all_but_last) = blocks.split_last().unwrap();
            assert!(all_but_last.iter().all(|block| block.ends_with(b"\n")));
        }
    }

    #[test]
    fn a_line_longer_than_a_block_is_one_block() {
        let pairs = " 1:2".repeat(BLOCK_BYTES);
        let data = parse_text(slow(pairs.as_bytes(), 1 << 16, false), XmcError::Source).unwrap();
        assert_eq!((data.x_indices, data.x_values), (vec![1], vec![2.0 * BLOCK_BYTES as f32]));
        assert_eq!(texts(pairs.as_bytes()), [pairs.as_bytes()]);
    }

    #[test]
    fn a_reader_of_single_bytes_gives_the_same_data() {
        let text = b"3 5 4\n0,3 1:0.5 4:1.25\n 2:1\n1\n";
        let read = parse_text(slow(text, 1, false), XmcError::Source).unwrap();
        assert_eq!(read, parse_text(text.as_slice(), XmcError::Source).unwrap());
    }

    #[test]
    fn the_first_of_a_failed_read_and_a_wrong_line_is_reported() {
        let good = "0 1:1\n".repeat(BLOCK_BYTES / 2);
        let wrong = format!("{good}0 1:x\n{good}");
        let error = |text: &str| {
            parse_text(slow(text.as_bytes(), 1 << 16, true), XmcError::Source).unwrap_err()
        };
        assert!(matches!(error(&good), XmcError::Source(_)));
        let line = BLOCK_BYTES / 2 + 1;
        assert!(matches!(error(&wrong), XmcError::Line { line: found, .. } if found == line));
    }
}
