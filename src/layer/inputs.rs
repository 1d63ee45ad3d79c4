//! What a layer reads, and where the gradients of what it read go.

use crate::lsh::Vectors;
use crate::rows::Matrix;
use crate::tape::{BLOCK, FeatureTape, LayerTape, Lists, Tape};

/// The inputs of a block of samples.
#[derive(Clone, Copy, Debug)]
pub enum Inputs<'a> {
    /// Few of many: the features, or the outputs of a sampled layer.
    Sparse(&'a Lists),
    /// All: the outputs of a dense layer, or the features where they stand as rows; a row for each
    /// sample.
    Dense(&'a Matrix),
}

impl<'a> Inputs<'a> {
    /// The inputs of the first `n` samples, to be hashed.
    #[must_use]
    pub fn vectors(self, n: usize) -> Vectors<'a> {
        match self {
            Self::Dense(rows) => {
                Vectors::Dense { values: rows.as_slice(), stride: rows.stride(), n }
            }
            Self::Sparse(Lists { ids, coefs, ends, .. }) => {
                Vectors::Sparse { ids, values: coefs, ends }
            }
        }
    }

    /// A number that depends on the values of sample `i` and not on where it stands: equal samples
    /// get equal random neurons, different ones different.
    #[must_use]
    pub fn key(self, i: usize) -> u64 {
        let values = match self {
            Self::Sparse(lists) => lists.of(i).1,
            Self::Dense(rows) => rows.row(i),
        };
        // Multiplication by an odd number loses nothing; the generator mixes the result.
        values.iter().fold(0, |key: u64, x| {
            (key ^ u64::from(x.to_bits())).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
        })
    }
}

/// The inputs of a whole batch.
#[derive(Clone, Copy, Debug)]
pub enum BatchInputs<'a> {
    /// The inputs of layer `layer` as they stand in the tapes.
    Sparse {
        /// A tape for every [`BLOCK`] samples.
        tapes: &'a [Tape],
        /// Number of the layer.
        layer: usize,
    },
    /// A row for each sample.
    Dense(&'a Matrix),
}

impl<'a> BatchInputs<'a> {
    /// Ids and values of the inputs of sample `sample`, where they are sparse.
    #[must_use]
    pub fn sparse(self, sample: u32) -> (&'a [u32], &'a [f32]) {
        let Self::Sparse { tapes, layer } = self else { return (&[], &[]) };
        let tape = &tapes[sample as usize / BLOCK];
        match tape.inputs(layer) {
            Inputs::Sparse(lists) => lists.of(sample as usize % BLOCK),
            Inputs::Dense(_) => (&[], &[]),
        }
    }
}

impl Tape {
    /// The inputs of layer `layer`, the output layer being the last.
    #[must_use]
    pub fn inputs(&self, layer: usize) -> Inputs<'_> {
        inputs(&self.features, self.hidden[..layer].last())
    }
}

/// What the layer after `before` reads; the first layer reads the features.
#[must_use]
pub fn inputs<'a>(features: &'a FeatureTape, before: Option<&'a LayerTape>) -> Inputs<'a> {
    match before {
        None => features.rows().map_or(Inputs::Sparse(&features.lists), Inputs::Dense),
        Some(LayerTape::Sampled(tape)) => Inputs::Sparse(&tape.active),
        Some(LayerTape::Dense(tape)) => Inputs::Dense(&tape.outputs),
    }
}
