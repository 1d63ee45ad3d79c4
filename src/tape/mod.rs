//! What a block of samples leaves behind on its way through the network.
//!
//! A block is what one task works on. Tapes are kept from step to step, so that a step allocates
//! nothing once the buffers have grown to the size of its batches.

mod features;

use std::ops::Range;

use crate::config::{HiddenConfig, Loss};
use crate::error::{Error, Result};
use crate::lsh::HashScratch;
use crate::phases::Stopwatch;
use crate::rows::{Matrix, Stripes};
use crate::sampler::Shared;
use crate::targets::Targets;
use crate::touched::Edges;

pub use features::FeatureTape;

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

    /// Ids of sample `i`.
    #[must_use]
    pub fn ids_of(&self, i: usize) -> &[u32] {
        &self.ids[self.range(i)]
    }

    /// Ids and coefficients of sample `i`.
    #[must_use]
    pub fn of(&self, i: usize) -> (&[u32], &[f32]) {
        let range = self.range(i);
        (&self.ids[range.clone()], &self.coefs[range])
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
        self.with(&self.coefs, first)
    }

    /// The same with other coefficients in the place of its own.
    pub fn with<'a>(
        &'a self,
        coefs: &'a [f32],
        first: usize,
    ) -> impl Iterator<Item = (u32, &'a [u32], &'a [f32])> + Clone {
        (0..self.ends.len()).map(move |i| {
            let range = self.range(i);
            ((first + i) as u32, &self.ids[range.clone()], &coefs[range])
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

/// What a sampled layer keeps of a block.
#[derive(Clone, Debug, Default)]
pub struct SampledTape {
    /// The active neurons with their outputs. In the output layer: their logits, then their deltas.
    pub active: Lists,
    /// d activation / d pre-activation of each.
    pub slopes: Vec<f32>,
    /// Gradients of each: of the outputs on the way back, then of the pre-activations.
    pub deltas: Vec<f32>,
    /// Factor that scaled each sample to the norm of the layer.
    pub scales: [f32; BLOCK],
    /// The codes of each sample.
    pub codes: Vec<u16>,
    /// Room for hashing the block.
    pub hashing: HashScratch,
    /// Random neurons that the samples of the block share.
    pub shared: Shared,
    /// Their products with the samples, where they are computed apart from the others.
    pub products: SharedTape,
    /// The logits as they came out of the products, where somebody wants them.
    pub logits: Option<Vec<f32>>,
}

/// The neurons that a block shares, as a matrix beside its lists.
#[derive(Clone, Debug, Default)]
pub struct SharedTape {
    /// Whether they are computed by products of matrices; else as all others are.
    pub apart: bool,
    /// Where their rows are in memory.
    pub slots: Vec<u32>,
    /// A line for each sample: the logits of all of them, then their deltas, 0 where the sample did
    /// not take one.
    pub values: Matrix,
    /// Room for some of their rows.
    pub rows: Vec<f32>,
    /// Room for the products of these.
    pub sums: Vec<f32>,
}

impl SampledTape {
    /// Where those of the active neurons of sample `i` stand that are computed for it alone; what
    /// is computed for the block follows.
    #[must_use]
    pub fn own(&self, i: usize) -> Range<usize> {
        let Range { start, end } = self.active.range(i);
        start..end - if self.products.apart { self.shared.count(i) } else { 0 }
    }

    fn clear(&mut self) {
        self.active.clear();
        self.slopes.clear();
        self.deltas.clear();
        self.products.apart = false;
        if let Some(logits) = &mut self.logits {
            logits.clear();
        }
    }
}

/// What a hidden layer keeps of a block.
#[derive(Clone, Debug)]
pub enum LayerTape {
    /// Of a dense layer.
    Dense(DenseTape),
    /// Of a sampled one.
    Sampled(Box<SampledTape>),
}

impl LayerTape {
    fn new(config: &HiddenConfig) -> Self {
        match config {
            HiddenConfig::Dense(layer) => Self::Dense(DenseTape::new(layer.units)),
            HiddenConfig::Sampled(_) => Self::Sampled(Box::default()),
        }
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
    pub features: FeatureTape,
    /// The distinct labels of each sample.
    pub labels: Vec<u32>,
    /// The target of each label.
    pub targets: Vec<f32>,
    /// Where the labels of each sample end.
    pub label_ends: Vec<usize>,
    /// The weight of each sample.
    pub weights: [f32; BLOCK],
    /// Room to sort the labels of a sample with their grades.
    pairs: Vec<u64>,
    /// One for each hidden layer.
    pub hidden: Vec<LayerTape>,
    /// That of the output layer.
    pub output: SampledTape,
    /// The edges to the rows of each layer, the output layer last.
    pub edges: Vec<Edges>,
    /// The loss of each sample.
    pub losses: [f64; BLOCK],
    /// Why the block could not be read.
    pub error: Option<Error>,
    /// Where the time of the block went.
    pub watch: Stopwatch,
}

impl Tape {
    /// For the given hidden layers and one output layer.
    #[must_use]
    pub fn new(hidden: &[HiddenConfig]) -> Self {
        let edges = vec![Edges::default(); hidden.len() + 1];
        Self {
            first: 0,
            len: 0,
            features: FeatureTape::default(),
            labels: Vec::new(),
            targets: Vec::new(),
            label_ends: Vec::new(),
            weights: [1.0; BLOCK],
            pairs: Vec::new(),
            hidden: hidden.iter().map(LayerTape::new).collect(),
            output: SampledTape::default(),
            edges,
            losses: [0.0; BLOCK],
            error: None,
            watch: Stopwatch::default(),
        }
    }

    /// Sum of the losses.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.losses.iter().sum()
    }

    /// Starts a block whose first sample has number `first` in its batch.
    pub fn start(&mut self, first: usize, len: usize) {
        (self.first, self.len) = (first, len);
        self.labels.clear();
        self.targets.clear();
        self.label_ends.clear();
        self.output.clear();
        for tape in &mut self.hidden {
            if let LayerTape::Sampled(tape) = tape {
                tape.clear();
            }
        }
        self.losses = [0.0; BLOCK];
        self.error = None;
        self.watch.start();
        for edges in &mut self.edges {
            edges.clear();
        }
    }

    /// Reads the labels of `rows`, their targets and the weights of the samples; a label that
    /// stands twice counts once.
    ///
    /// # Errors
    ///
    /// If the arrays were changed during the call.
    pub fn read_targets(&mut self, y: &Targets<'_>, rows: &[u32], loss: Loss) -> Result<()> {
        for (i, &row) in rows.iter().enumerate() {
            let start = self.labels.len();
            y.append_row(row as usize, &mut self.labels, &mut self.targets)?;
            self.sort_labels(start);
            loss.to_targets(&mut self.targets[start..]);
            self.weights[i] = y.weight(row as usize)?;
            self.label_ends.push(self.labels.len());
        }
        Ok(())
    }

    /// Puts the labels from `start` on in ascending order, each once, with its greatest grade.
    fn sort_labels(&mut self, start: usize) {
        let Self { labels, targets, pairs, .. } = self;
        if labels[start..].is_sorted_by(|a, b| a < b) {
            return;
        }
        // Grades are not negative, so their bits are in the order of their values; minus zero,
        // whose bits are the greatest, becomes zero by adding zero.
        pairs.clear();
        let given = labels.drain(start..).zip(targets.drain(start..));
        pairs.extend(
            given.map(|(label, grade)| u64::from(label) << 32 | u64::from((grade + 0.0).to_bits())),
        );
        pairs.sort_unstable();
        for group in pairs.chunk_by(|a, b| a >> 32 == b >> 32) {
            let best = group[group.len() - 1];
            labels.push((best >> 32) as u32);
            targets.push(f32::from_bits(best as u32));
        }
    }

    /// The targets of the labels of sample `i` of the block.
    #[must_use]
    pub fn targets_of(&self, i: usize) -> &[f32] {
        let start = if i == 0 { 0 } else { self.label_ends[i - 1] };
        &self.targets[start..self.label_ends[i]]
    }

    /// The labels of sample `i` of the block.
    #[must_use]
    pub fn labels_of(&self, i: usize) -> &[u32] {
        let start = if i == 0 { 0 } else { self.label_ends[i - 1] };
        &self.labels[start..self.label_ends[i]]
    }

    /// Edges from every label of the block to its sample, with its target; the labels are rows in
    /// `stripes`.
    pub fn group_labels(&mut self, stripes: Stripes) {
        let Self { first, labels, targets, label_ends, output, edges, .. } = self;
        let active = &mut output.active;
        active.ids.extend_from_slice(labels);
        active.coefs.extend_from_slice(targets);
        active.ends.extend_from_slice(label_ends);
        if let Some(edges) = edges.last_mut() {
            edges.group(stripes, active.iter(*first));
        }
    }
}
