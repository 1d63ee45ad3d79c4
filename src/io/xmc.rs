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
//! The text is cut at line ends into chunks of fixed size that are parsed in parallel and joined in
//! order, so the result and the reported error are the same on any number of threads. The counts of
//! the header are claims to be checked; no memory is ever reserved for them.
//!
//! Limits: the whole text is held in memory beside the arrays, gzip is decoded on one thread, and
//! there are at most `i32::MAX` features and labels, so that ids fit in 32 bits.

mod chunk;
mod error;
mod write;

#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use rayon::prelude::*;

use chunk::{Chunk, Limits};
pub use error::{Axis, Wanted, XmcError};
pub use write::{Rows, write};

/// The largest number of features or labels.
const MAX_COLUMNS: u64 = i32::MAX as u64;

/// Large enough to hide the cost of a task, small enough to share a file of a few megabytes.
const CHUNK_BYTES: usize = 1 << 20;

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
    let bytes = std::fs::read(path)
        .map_err(|source| XmcError::Read { path: path.to_path_buf(), source })?;
    parse(&bytes)
        .map_err(|source| XmcError::InFile { path: path.to_path_buf(), source: Box::new(source) })
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
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut text = Vec::new();
        MultiGzDecoder::new(bytes).read_to_end(&mut text).map_err(XmcError::Gzip)?;
        return parse_text(&text);
    }
    parse_text(bytes)
}

fn parse_text(text: &[u8]) -> Result<XmcData, XmcError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.is_empty() {
        return Err(XmcError::Empty);
    }
    let first_line_end = memchr::memchr(b'\n', text).unwrap_or(text.len());
    let header = Header::detect(&text[..first_line_end])?;
    let body_start = match header {
        Some(_) => text.len().min(first_line_end + 1),
        None => 0,
    };
    let limits = Limits {
        features: header.map_or(MAX_COLUMNS, |header| header.features),
        labels: header.map_or(MAX_COLUMNS, |header| header.labels),
        from_header: header.is_some(),
    };
    let chunks: Vec<_> = chunk_starts(text, body_start)
        .par_iter()
        .map(|&(start, end)| Chunk::parse(text, start..end, limits))
        .collect();
    let chunks = chunks.into_iter().collect::<Result<Vec<_>, _>>().map_err(|fault| {
        let line = 1 + memchr::memchr_iter(b'\n', &text[..fault.offset]).count();
        XmcError::Line { line, found: fault.found, wanted: fault.wanted }
    })?;
    join(chunks, header)
}

/// The bounds of chunks that end at line ends and together cover the text from `start` on.
fn chunk_starts(text: &[u8], mut start: usize) -> Vec<(usize, usize)> {
    let mut bounds = Vec::with_capacity(text.len() / CHUNK_BYTES + 1);
    while start < text.len() {
        let least = text.len().min(start + CHUNK_BYTES);
        let end =
            memchr::memchr(b'\n', &text[least..]).map_or(text.len(), |newline| least + newline + 1);
        bounds.push((start, end));
        start = end;
    }
    bounds
}

/// What the first line claims; only the rows can prove it.
#[derive(Clone, Copy, Debug)]
struct Header {
    points: u64,
    features: u64,
    labels: u64,
}

impl Header {
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

/// Puts the chunks behind one another.
fn join(chunks: Vec<Chunk>, header: Option<Header>) -> Result<XmcData, XmcError> {
    let total = |length: fn(&Chunk) -> usize| chunks.iter().map(length).sum::<usize>();
    let rows = total(|chunk| chunk.x_lengths.len());
    if let Some(header) = header
        && header.points != rows as u64
    {
        return Err(XmcError::Points { header: header.points, found: rows });
    }
    let mut data = XmcData {
        x_indptr: Vec::with_capacity(rows + 1),
        x_indices: Vec::with_capacity(total(|chunk| chunk.x_ids.len())),
        x_values: Vec::with_capacity(total(|chunk| chunk.x_values.len())),
        y_indptr: Vec::with_capacity(rows + 1),
        y_indices: Vec::with_capacity(total(|chunk| chunk.y_ids.len())),
        n_features: 0,
        n_labels: 0,
    };
    data.x_indptr.push(0);
    data.y_indptr.push(0);
    // A chunk is freed as soon as it is copied, so the peak stays near one copy of the arrays.
    for chunk in chunks {
        append_ends(&mut data.x_indptr, &chunk.x_lengths);
        append_ends(&mut data.y_indptr, &chunk.y_lengths);
        data.x_indices.extend_from_slice(&chunk.x_ids);
        data.x_values.extend_from_slice(&chunk.x_values);
        data.y_indices.extend_from_slice(&chunk.y_ids);
        data.n_features = data.n_features.max(chunk.features);
        data.n_labels = data.n_labels.max(chunk.labels);
    }
    if let Some(header) = header {
        data.n_features = header.features as usize;
        data.n_labels = header.labels as usize;
    }
    Ok(data)
}

/// Continues `indptr` by rows of these lengths.
fn append_ends(indptr: &mut Vec<i64>, lengths: &[usize]) {
    let mut end = indptr.last().copied().unwrap_or(0);
    indptr.extend(lengths.iter().map(|&length| {
        end += length as i64;
        end
    }));
}
