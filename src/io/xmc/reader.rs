//! A data set piece by piece, for files that are larger than memory.
//!
//! One thread reads and parses, as another trains meanwhile; [`read`](super::read()) takes all
//! threads, and all of the file.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use super::assembly::Assembly;
use super::blocks::{BLOCK_BYTES, Block, Blocks, Returned};
use super::chunk::Limits;
use super::{Header, XmcData, XmcError};

/// A file that is read on and on; see [`Reader::read`].
pub struct Reader {
    path: PathBuf,
    blocks: Blocks<Box<dyn Read + Send>>,
    returned: Arc<Returned>,
    assembly: Assembly,
    header: Option<Header>,
    limits: Limits,
    /// Bytes of text in a piece.
    bytes: usize,
    /// The block that holds the first line, until it is parsed.
    first: Option<Block>,
    failed: bool,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens a file, which may be gzipped, and reads its header, to be read in pieces of about
    /// `bytes` bytes of text: whole lines, as many as end before that, but one at least.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is empty, or has a header that claims too much.
    pub fn open(path: &Path, bytes: usize) -> Result<Self, XmcError> {
        let (source, unreadable) = source(path).map_err(|error| in_file(path, error))?;
        let returned = Arc::new(Returned::default());
        let block = bytes.clamp(1, BLOCK_BYTES);
        let mut blocks = Blocks::new(source, block, Arc::clone(&returned), unreadable);
        let first = blocks.read().and_then(|mut first| Ok((Header::take(&mut first)?, first)));
        let (header, first) = first.map_err(|error| in_file(path, error))?;
        Ok(Self {
            path: path.to_path_buf(),
            blocks,
            returned,
            assembly: Assembly::new(header),
            header,
            limits: Limits::of(header),
            bytes,
            first: Some(first),
            failed: false,
        })
    }

    /// Points, features and labels as the header counts them.
    #[must_use]
    pub fn header(&self) -> Option<(u64, u64, u64)> {
        self.header.map(|header| (header.points, header.features, header.labels))
    }

    /// The next rows; none at the end of the file, or after an error. The numbers of columns are
    /// not filled in.
    ///
    /// # Errors
    ///
    /// As those of [`read`](super::read()): the first of the file, with its line.
    pub fn read(&mut self) -> Result<Option<XmcData>, XmcError> {
        if self.failed {
            return Ok(None);
        }
        let rows = self.read_rows();
        self.failed = rows.is_err();
        rows.map_err(|error| in_file(&self.path, error))
    }

    fn read_rows(&mut self) -> Result<Option<XmcData>, XmcError> {
        let mut read = 0;
        while read < self.bytes {
            let first = self.first.take().map(|block| (0, Ok(block)));
            let Some((index, block)) = first.or_else(|| self.blocks.next()) else { break };
            let mut block = block?;
            read += block.text().len();
            let parsed = block.parse(self.limits);
            self.assembly.put(index, Ok((block, parsed)), &self.returned);
        }
        let rows = self.assembly.take()?;
        if rows.x_indptr.len() == 1 {
            return self.assembly.check_points().map(|()| None);
        }
        Ok(Some(rows))
    }
}

/// What the text is read from, and what its errors become.
type Source = (Box<dyn Read + Send>, fn(std::io::Error) -> XmcError);

fn source(path: &Path) -> Result<Source, XmcError> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(XmcError::Source)?);
    if file.fill_buf().map_err(XmcError::Source)?.starts_with(&[0x1f, 0x8b]) {
        return Ok((Box::new(MultiGzDecoder::new(file)), XmcError::Gzip));
    }
    Ok((Box::new(file), XmcError::Source))
}

fn in_file(path: &Path, error: XmcError) -> XmcError {
    let path = path.to_path_buf();
    match error {
        XmcError::Source(source) => XmcError::Read { path, source },
        other => XmcError::InFile { path, source: Box::new(other) },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn file(name: &str, bytes: &[u8]) -> PathBuf {
        let name = format!("slide_rs-reader-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn pieces(path: &Path, bytes: usize) -> Result<Vec<XmcData>, XmcError> {
        let mut reader = Reader::open(path, bytes)?;
        let mut all = vec![];
        while let Some(rows) = reader.read()? {
            all.push(rows);
        }
        assert!(reader.read()?.is_none());
        Ok(all)
    }

    const TEXT: &str = "5 9 4\n0,3 1:0.5 4:1.25\n 2:1\n1\n\n2 8:1 3:1 8:2";

    #[test]
    fn pieces_of_any_size_together_are_the_file() {
        let path = file("whole", TEXT.as_bytes());
        let whole = super::super::read(&path).unwrap();
        for bytes in [1, 7, 20, 1 << 20] {
            let pieces = pieces(&path, bytes).unwrap();
            assert_eq!(pieces.len() == 1, bytes == 1 << 20);
            let ids: Vec<_> = pieces.iter().flat_map(|rows| rows.x_indices.clone()).collect();
            let values: Vec<_> = pieces.iter().flat_map(|rows| rows.x_values.clone()).collect();
            let labels: Vec<_> = pieces.iter().flat_map(|rows| rows.y_indices.clone()).collect();
            assert_eq!((ids, values), (whole.x_indices.clone(), whole.x_values.clone()));
            assert_eq!(labels, whole.y_indices);
            let rows: usize = pieces.iter().map(|rows| rows.x_indptr.len() - 1).sum();
            assert_eq!((rows, pieces[0].y_indptr[0]), (5, 0));
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn gzip_is_found_by_its_first_bytes() {
        let mut packed = GzEncoder::new(vec![], Compression::fast());
        packed.write_all(TEXT.as_bytes()).unwrap();
        let path = file("packed", &packed.finish().unwrap());
        assert_eq!(Reader::open(&path, 8).unwrap().header(), Some((5, 9, 4)));
        assert_eq!(pieces(&path, 1 << 20).unwrap()[0].y_indptr, [0, 2, 2, 3, 3, 4]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn an_error_in_a_later_piece_names_the_file_and_the_line() {
        for (text, end) in [
            ("3 9 4\n0 1:1\n1 2:1\n1 9:1\n", "line 4: found \"9:1\""),
            ("0 1:1\n1 2:1\n1 x:1\n", "line 3: found \"x:1\""),
            ("9 9 4\n0 1:1\n1 2:1\n1 8:1\n", "found 3 points, wanted 9 as the header says"),
        ] {
            let path = file("wrong", text.as_bytes());
            let mut reader = Reader::open(&path, 6).unwrap();
            let error = loop {
                match reader.read() {
                    Ok(rows) => assert!(rows.is_some(), "{text}"),
                    Err(error) => break error.to_string(),
                }
            };
            assert!(error.contains(end) && error.contains("reader-"), "{error}");
            assert!(reader.read().unwrap().is_none());
            std::fs::remove_file(path).unwrap();
        }
        assert!(matches!(Reader::open(Path::new("/nowhere"), 6), Err(XmcError::Read { .. })));
    }
}
