//! Rows put behind one another in the order of the file, whatever order they are parsed in.

use std::collections::BTreeMap;

use super::blocks::{Block, Returned};
use super::chunk::{Chunk, Fault};
use super::{Header, XmcData, XmcError};

/// What became of a block.
pub(super) type Outcome = Result<(Block, Result<(), Fault>), XmcError>;

/// The arrays so far, and the blocks that came too early.
///
/// The arrays grow as blocks come in, so that there is no second copy of the data.
#[derive(Debug)]
pub(super) struct Assembly {
    data: XmcData,
    /// The block that is to come next.
    next: usize,
    early: BTreeMap<usize, Outcome>,
    header: Option<Header>,
    /// Rows that were taken out.
    taken: usize,
    error: Option<XmcError>,
}

impl Assembly {
    pub(super) fn new(header: Option<Header>) -> Self {
        Self { data: none(), next: 0, early: BTreeMap::new(), header, taken: 0, error: None }
    }

    /// Takes in block number `index`, and those behind it that have waited for it.
    pub(super) fn put(&mut self, index: usize, outcome: Outcome, returned: &Returned) {
        self.early.insert(index, outcome);
        while let Some(outcome) = self.early.remove(&self.next) {
            self.next += 1;
            if self.error.is_some() {
                continue;
            }
            match outcome {
                Ok((mut block, Ok(()))) => {
                    self.append(&mut block.chunk);
                    returned.put(block);
                }
                Ok((_, Err(fault))) => self.error = Some(self.locate(fault)),
                Err(error) => self.error = Some(error),
            }
        }
    }

    /// Moves the rows of a chunk behind the others.
    fn append(&mut self, chunk: &mut Chunk) {
        let data = &mut self.data;
        append_ends(&mut data.x_indptr, &chunk.x_lengths);
        append_ends(&mut data.y_indptr, &chunk.y_lengths);
        data.x_indices.extend_from_slice(&chunk.x_ids);
        data.x_values.extend_from_slice(&chunk.x_values);
        data.y_indices.extend_from_slice(&chunk.y_ids);
        data.n_features = data.n_features.max(chunk.features);
        data.n_labels = data.n_labels.max(chunk.labels);
        chunk.clear();
    }

    /// Counts the line of a fault in the block that comes next: every row is a line.
    fn locate(&self, fault: Fault) -> XmcError {
        let before = usize::from(self.header.is_some()) + self.rows();
        XmcError::Line { line: before + fault.line, found: fault.found, wanted: fault.wanted }
    }

    /// Rows so far, those that were taken out among them.
    const fn rows(&self) -> usize {
        self.taken + self.data.x_indptr.len() - 1
    }

    /// Takes out the rows so far, or the first error of the file.
    pub(super) fn take(&mut self) -> Result<XmcData, XmcError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        self.taken = self.rows();
        Ok(std::mem::replace(&mut self.data, none()))
    }

    /// Whether there are as many rows as the header says.
    pub(super) fn check_points(&self) -> Result<(), XmcError> {
        let found = self.rows();
        match self.header {
            Some(Header { points, .. }) if points != found as u64 => {
                Err(XmcError::Points { header: points, found })
            }
            _ => Ok(()),
        }
    }

    /// The whole data set, or the first error of the file.
    pub(super) fn finish(self) -> Result<XmcData, XmcError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.check_points()?;
        let mut data = self.data;
        if let Some(header) = self.header {
            data.n_features = header.features as usize;
            data.n_labels = header.labels as usize;
        }
        data.x_indptr.shrink_to_fit();
        data.x_indices.shrink_to_fit();
        data.x_values.shrink_to_fit();
        data.y_indptr.shrink_to_fit();
        data.y_indices.shrink_to_fit();
        Ok(data)
    }
}

fn none() -> XmcData {
    XmcData { x_indptr: vec![0], y_indptr: vec![0], ..XmcData::default() }
}

/// Continues `indptr` by rows of these lengths.
fn append_ends(indptr: &mut Vec<i64>, lengths: &[usize]) {
    let mut end = indptr.last().copied().unwrap_or(0);
    indptr.extend(lengths.iter().map(|&length| {
        end += length as i64;
        end
    }));
}
