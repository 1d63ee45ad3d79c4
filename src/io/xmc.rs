//! Sparse multi-label data sets in the text format of extreme classification (XMC).
//!
//! ```text
//! 3 5 4                  header: points, features, labels (may be missing)
//! 0,3 1:0.5 4:1.25       labels, then feature:value pairs
//!  2:1                   a point without labels
//! 1                      a point without features
//! ```
//!
//! A blank line is a point with neither; the newline at the end of the file is not a point. Ids count
//! from 0. Without a header each size is the largest id plus one. Windows line ends, tabs, a UTF-8
//! byte order mark and gzip (found by its first bytes, not by the name) are read as well.
//!
//! The text is read once, in blocks of whole lines that are parsed in parallel and joined in order,
//! so the result and the reported error are the same on any number of threads. Only a few blocks are
//! in memory at a time, beside the arrays that grow. The counts of the header are claims to be
//! checked; no memory is ever reserved for them.
//!
//! Files are read and not mapped: a mapped file that another process cuts short ends this one with a
//! signal, and a copy from the page cache costs a tenth of the parsing.
//!
//! Limits: gzip is decoded on one thread, while the others parse, and there are at most `i32::MAX`
//! features and labels, so that ids fit in 32 bits.

mod assembly;
mod blocks;
mod chunk;
mod error;
mod numbers;
mod reader;
mod write;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::bufread::MultiGzDecoder;
use rayon::prelude::*;

use assembly::Assembly;
use blocks::{BLOCK_BYTES, Block, Blocks, Returned};
use chunk::Limits;
pub use error::{Axis, Wanted, XmcError};
pub use reader::Reader;
pub use write::{Rows, write};

/// The largest number of features or labels.
const MAX_COLUMNS: u64 = i32::MAX as u64;

/// A data set as two canonical CSR matrices: the ids of every row rise strictly.
///
/// Features that a line names twice are summed in the order of the file; repeated labels count once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct XmcData {
    /// Where the features of each row begin and end in `x_indices`; one longer than the rows.
    pub x_indptr: Vec<i64>,
    /// Feature ids, row after row.
    pub x_indices: Vec<i32>,
    /// Values, one for each id in `x_indices`.
    pub x_values: Vec<f32>,
    /// Where the labels of each row begin and end in `y_indices`; one longer than the rows.
    pub y_indptr: Vec<i64>,
    /// Label ids, row after row.
    pub y_indices: Vec<i32>,
    /// Number of features: from the header, or the largest id plus one.
    pub n_features: usize,
    /// Number of labels: from the header, or the largest id plus one.
    pub n_labels: usize,
}

impl XmcData {
    /// The feature ids as borrowed rows, for [`write()`].
    #[must_use]
    pub fn features(&self) -> Rows<'_, i64, i32> {
        Rows { indptr: &self.x_indptr, ids: &self.x_indices, columns: self.n_features }
    }

    /// The label ids as borrowed rows, for [`write()`].
    #[must_use]
    pub fn labels(&self) -> Rows<'_, i64, i32> {
        Rows { indptr: &self.y_indptr, ids: &self.y_indices, columns: self.n_labels }
    }
}

/// Reads a data set from a file, which may be gzipped.
///
/// # Errors
///
/// If the file cannot be read, or is not a data set; the error names the file, and the line.
pub fn read(path: &Path) -> Result<XmcData, XmcError> {
    let read = |source| XmcError::Read { path: path.to_path_buf(), source };
    // Compressed bytes are read a few pages at a time; text goes past this buffer.
    let file = BufReader::with_capacity(1 << 16, File::open(path).map_err(read)?);
    parse_source(file).map_err(|error| match error {
        XmcError::Source(source) => read(source),
        other => XmcError::InFile { path: path.to_path_buf(), source: Box::new(other) },
    })
}

/// Parses a data set from the bytes of a file, which may be gzipped.
///
/// # Errors
///
/// If the bytes are not a data set; the error names the line, what it holds and what was wanted.
///
/// # Examples
///
/// ```
/// use slide_rs::io::xmc;
///
/// let data = xmc::parse(b"2 5 4\n0,3 1:0.5 4:1.25\n1 2:1\n")?;
/// assert_eq!(data.x_indptr, [0, 2, 3]);
/// assert_eq!(data.y_indices, [0, 3, 1]);
///
/// let error = xmc::parse(b"2 5 4\n0,3 1:0.5 4:1.25\n1 2=1\n").unwrap_err();
/// assert_eq!(error.to_string(), "line 3: found \"2=1\", wanted a feature:value pair");
/// # Ok::<(), xmc::XmcError>(())
/// ```
pub fn parse(bytes: &[u8]) -> Result<XmcData, XmcError> {
    parse_source(bytes)
}

fn parse_source(mut source: impl BufRead + Send) -> Result<XmcData, XmcError> {
    if source.fill_buf().map_err(XmcError::Source)?.starts_with(&[0x1f, 0x8b]) {
        return parse_text(MultiGzDecoder::new(source), XmcError::Gzip);
    }
    parse_text(source, XmcError::Source)
}

fn parse_text(
    source: impl Read + Send,
    unreadable: fn(io::Error) -> XmcError,
) -> Result<XmcData, XmcError> {
    let returned = Arc::new(Returned::default());
    let mut blocks = Blocks::new(source, BLOCK_BYTES, Arc::clone(&returned), unreadable);
    let mut first = blocks.read()?;
    let header = Header::take(&mut first)?;
    let limits = Limits::of(header);
    let assembly = Mutex::new(Assembly::new(header));
    std::iter::once((0, Ok(first))).chain(blocks).par_bridge().for_each(|(index, block)| {
        let outcome = block.map(|mut block| {
            let parsed = block.parse(limits);
            (block, parsed)
        });
        if !matches!(outcome, Ok((_, Ok(())))) {
            returned.stop();
        }
        assembly.lock().unwrap_or_else(PoisonError::into_inner).put(index, outcome, &returned);
    });
    assembly.into_inner().unwrap_or_else(PoisonError::into_inner).finish()
}

/// What the first line claims; only the rows can prove it.
#[derive(Clone, Copy, Debug)]
struct Header {
    points: u64,
    features: u64,
    labels: u64,
}

impl Header {
    /// Reads the header off the first block of a file, if there is one.
    fn take(first: &mut Block) -> Result<Option<Self>, XmcError> {
        first.skip(if first.text().starts_with(b"\xef\xbb\xbf") { 3 } else { 0 });
        if first.text().is_empty() {
            return Err(XmcError::Empty);
        }
        let line_end = memchr::memchr(b'\n', first.text()).unwrap_or(first.text().len());
        let header = Self::detect(&first.text()[..line_end])?;
        if header.is_some() {
            first.skip(line_end + 1);
        }
        Ok(header)
    }

    /// The header, if the line is exactly three whole numbers: no point can look like that.
    fn detect(line: &[u8]) -> Result<Option<Self>, XmcError> {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (Some(points), Some(features), Some(labels), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Ok(None);
        };
        if ![points, features, labels].into_iter().flatten().all(u8::is_ascii_digit) {
            return Ok(None);
        }
        let count = |word: &[u8], name: &'static str, limit: u64| {
            let found = String::from_utf8_lossy(word).into_owned();
            match found.parse() {
                Ok(count) if count <= limit => Ok(count),
                _ => Err(XmcError::Header { name, found, limit }),
            }
        };
        Ok(Some(Self {
            points: count(points, "points", i64::MAX as u64)?,
            features: count(features, "features", MAX_COLUMNS)?,
            labels: count(labels, "labels", MAX_COLUMNS)?,
        }))
    }
}
