//! What a block of samples leaves behind on its way through the network.
//!
//! A block is what one task works on. Tapes are kept from step to step, so that a step allocates
//! nothing once the buffers have grown to the size of its batches.

use std::ops::Range;

use crate::config::Loss;
use crate::error::{Error, Result};
use crate::lsh::HashScratch;
use crate::rows::Matrix;
use crate::sparse::{Features, IdLists};
use crate::touched::Edges;

/// Samples of a block: few enough that their activations stay in the L1 cache, and enough for
/// hashing to be a matrix product.
pub const BLOCK: usize = 16;

/// Ids with coefficients, a list for each sample of the block.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// The ids of all samples, one sample after another.
    pub ids: Vec<u32>,
    /// Where their rows are in memory.
    pub slots: Vec<u32>,
    /// What each is multiplied with.
    pub coefs: Vec<f32>,
    /// Where the list of each sample ends.
    pub ends: Vec<usize>,
}

impl Lists {
    /// Forgets all lists.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.slots.clear();
        self.coefs.clear();
        self.ends.clear();
    }

    /// Where the list of sample `i` stands.
    #[must_use]
    pub fn range(&self, i: usize) -> Range<usize> {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        start..self.ends[i]
    }

    /// Removes the ids whose coefficient is zero.
    pub fn drop_zeros(&mut self) {
        let (mut kept, mut start) = (0, 0);
        for end in &mut self.ends {
            for at in start..*end {
                if self.coefs[at] != 0.0 {
                    self.ids[kept] = self.ids[at];
                    self.coefs[kept] = self.coefs[at];
                    kept += 1;
                }
            }
            start = std::mem::replace(end, kept);
        }
        self.ids.truncate(kept);
        self.coefs.truncate(kept);
    }

    /// Each sample's number in the batch (the first is `first`), ids and coefficients.
    pub fn iter(&self, first: usize) -> impl Iterator<Item = (u32, &[u32], &[f32])> + Clone {
        (0..self.ends.len()).map(move |i| {
            let range = self.range(i);
            ((first + i) as u32, &self.ids[range.clone()], &self.coefs[range])
        })
    }
}

/// What a dense layer keeps of a block.
#[derive(Clone, Debug)]
pub struct DenseTape {
    /// The outputs, a row for each sample.
    pub outputs: Matrix,
    /// d activation / d pre-activation, dropout included.
    pub slopes: Matrix,
    /// Gradients: of the outputs on the way back, then of the pre-activations.
    pub deltas: Matrix,
    /// Factor that scaled each sample to the norm of the layer.
    pub scales: [f32; BLOCK],
}

impl DenseTape {
    /// For a layer of `units` units.
    #[must_use]
    pub fn new(units: usize) -> Self {
        let zeros = Matrix::zeros(BLOCK, units);
        Self { outputs: zeros.clone(), slopes: zeros.clone(), deltas: zeros, scales: [0.0; BLOCK] }
    }
}

/// Everything of one block.
#[derive(Debug)]
pub struct Tape {
    /// Number in the batch of the first sample.
    pub first: usize,
    /// Samples in the block.
    pub len: usize,
    /// The features of each sample.
    pub features: Lists,
    /// The distinct labels of each sample.
    pub labels: Vec<u32>,
    /// Where the labels of each sample end.
    pub label_ends: Vec<usize>,
    /// One for each dense layer.
    pub dense: Vec<DenseTape>,
    /// The active neurons of the output layer with their logits, then their deltas.
    pub active: Lists,
    /// The codes of each sample.
    pub codes: Vec<u16>,
    /// Room for the projections of the block.
    pub projected: HashScratch,
    /// The edges to the rows of each layer, the output layer last.
    pub edges: Vec<Edges>,
    /// Sum of the losses.
    pub loss: f64,
    /// Why the block could not be read.
    pub error: Option<Error>,
}

impl Tape {
    /// For dense layers of the given sizes and one output layer.
    pub fn new(units: impl ExactSizeIterator<Item = usize>) -> Self {
        let edges = vec![Edges::default(); units.len() + 1];
        Self {
            first: 0,
            len: 0,
            features: Lists::default(),
            labels: Vec::new(),
            label_ends: Vec::new(),
            dense: units.map(DenseTape::new).collect(),
            active: Lists::default(),
            codes: Vec::new(),
            projected: HashScratch::default(),
            edges,
            loss: 0.0,
            error: None,
        }
    }

    /// Starts a block whose first sample has number `first` in its batch.
    pub fn start(&mut self, first: usize, len: usize) {
        (self.first, self.len) = (first, len);
        self.features.clear();
        self.labels.clear();
        self.label_ends.clear();
        self.active.clear();
        self.loss = 0.0;
        self.error = None;
        for edges in &mut self.edges {
            edges.clear();
        }
    }

    /// Reads the features of `rows`, scaled to norm 1 when `normalize` says so.
    ///
    /// # Errors
    ///
    /// If the arrays were changed during the call.
    pub fn read_features(&mut self, x: &Features<'_>, rows: &[u32], normalize: bool) -> Result<()> {
        for &row in rows {
            let start = self.features.coefs.len();
            x.append_row(row as usize, &mut self.features.ids, &mut self.features.coefs)?;
            self.features.ends.push(self.features.ids.len());
            if normalize {
                scale_to_unit(&mut self.features.coefs[start..]);
            }
        }
        Ok(())
    }

    /// Reads the labels of `rows`; a label that stands twice counts once.
    ///
    /// # Errors
    ///
    /// If the arrays were changed during the call.
    pub fn read_labels(&mut self, y: &IdLists<'_>, rows: &[u32]) -> Result<()> {
        for &row in rows {
            let start = self.labels.len();
            y.append_row(row as usize, &mut self.labels)?;
            let new = &mut self.labels[start..];
            if !new.is_sorted_by(|a, b| a < b) {
                new.sort_unstable();
                let mut kept = start;
                for at in start..self.labels.len() {
                    if kept == start || self.labels[at] != self.labels[kept - 1] {
                        self.labels[kept] = self.labels[at];
                        kept += 1;
                    }
                }
                self.labels.truncate(kept);
            }
            self.label_ends.push(self.labels.len());
        }
        Ok(())
    }

    /// The labels of sample `i` of the block.
    #[must_use]
    pub fn labels_of(&self, i: usize) -> &[u32] {
        let start = if i == 0 { 0 } else { self.label_ends[i - 1] };
        &self.labels[start..self.label_ends[i]]
    }

    /// Edges from every label of the block to its sample, with its target.
    pub fn group_labels(&mut self, loss: Loss) {
        let Self { first, labels, label_ends, active, edges, .. } = self;
        active.ids.extend_from_slice(labels);
        active.ends.extend_from_slice(label_ends);
        for i in 0..active.ends.len() {
            let n = active.range(i).len();
            active.coefs.extend(std::iter::repeat_n(loss.target(n), n));
        }
        if let Some(edges) = edges.last_mut() {
            edges.group(active.iter(*first));
        }
    }
}

/// Zero rows stay as they are.
fn scale_to_unit(values: &mut [f32]) {
    let norm = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if norm > 0.0 {
        for x in values {
            *x = (f64::from(*x) / norm) as f32;
        }
    }
}
