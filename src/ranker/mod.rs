//! A linear classifier for each label over the sparse features, to order and extend a shortlist.
//!
//! A hidden layer of a few hundred units cannot tell apart what differs in rare features alone. A
//! classifier over the features themselves can, but one for each label cannot be asked for every
//! row. So the network finds a shortlist, and classifiers order it. They are trained against what
//! the network takes for right and is wrong: each sees the rows of its label, and those in whose
//! shortlist the label stands without being theirs (the "matcher-aware negatives" of Yu et al.,
//! "PECOS", JMLR 2022, section 4). Their own inverted index finds labels that the network misses
//! ([`Postings`]). The loss is the squared hinge, one against the rest.

mod dual;
mod fit;
mod instances;
mod postings;
mod score;

use crate::error::{Error, Result};

pub use fit::{fit, refit};
pub use postings::Postings;

/// Most features, and most labels.
const MOST_COLUMNS: usize = i32::MAX as usize;

/// How classifiers are trained.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What an error costs beside the length of the weights, C of liblinear.
    pub cost: f32,
    /// Passes over the rows of a label end when no dual variable could move by a greater gradient.
    pub tolerance: f32,
    /// Most passes.
    pub passes: usize,
    /// Weights nearer to zero are left out.
    pub threshold: f32,
    /// Of the order of rows, and of random negatives.
    pub seed: u64,
}

/// Weights and biases of all labels, those of a label by ascending feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Classifiers {
    n_features: usize,
    /// Where the weights of each label begin, and where the last end.
    bounds: Vec<usize>,
    features: Vec<u32>,
    weights: Vec<f32>,
    biases: Vec<f32>,
}

impl Classifiers {
    fn none(n_features: usize) -> Self {
        Self { n_features, bounds: vec![0], features: vec![], weights: vec![], biases: vec![] }
    }

    fn push(&mut self, weights: &[(u32, f32)], bias: f32) {
        self.features.extend(weights.iter().map(|&(feature, _)| feature));
        self.weights.extend(weights.iter().map(|&(_, weight)| weight));
        self.bounds.push(self.features.len());
        self.biases.push(bias);
    }

    /// Appends a label of others.
    fn push_of(&mut self, others: &Self, label: usize) {
        let (features, weights) = others.of(label);
        self.features.extend_from_slice(features);
        self.weights.extend_from_slice(weights);
        self.bounds.push(self.features.len());
        self.biases.push(others.biases[label]);
    }

    /// Puts them together from arrays, such as those of a file.
    ///
    /// # Errors
    ///
    /// If their lengths disagree, `bounds` fall, a feature is out of range or not above the one
    /// before it, or a number is not finite.
    pub fn from_parts(
        n_features: usize,
        bounds: Vec<usize>,
        features: Vec<u32>,
        weights: Vec<f32>,
        biases: Vec<f32>,
    ) -> Result<Self> {
        if n_features > MOST_COLUMNS {
            let (name, found, high) = ("n_features", n_features, MOST_COLUMNS);
            return Err(Error::Range { name, found, low: 0, high });
        }
        let shape = |name, found: usize, wanted: usize| {
            let (found, wanted) = (format!("{found} numbers"), wanted.to_string());
            Err(Error::Shape { name, found, wanted })
        };
        if bounds.len() != biases.len() + 1 {
            return shape("bounds", bounds.len(), biases.len() + 1);
        }
        if weights.len() != features.len() {
            return shape("weights", weights.len(), features.len());
        }
        let falls = |name, row, found: usize, wanted| {
            Err(Error::Indptr { name, row, found: found as i64, wanted })
        };
        let (first, last) = (bounds[0], bounds[biases.len()]);
        if first != 0 || last != features.len() {
            let (row, found) = if first == 0 { (biases.len(), last) } else { (0, first) };
            return falls("bounds", row, found, "0 first and the number of weights last");
        }
        for (label, bound) in bounds.array_windows().enumerate() {
            let [start, end] = *bound;
            if end < start || end > features.len() {
                return falls("bounds", label, end, "bounds that never fall");
            }
            let own = &features[start..end];
            let wrong = own.iter().find(|&&feature| feature as usize >= n_features);
            if let Some(&feature) = wrong {
                let (id, last) = (i64::from(feature), n_features as i64 - 1);
                return Err(Error::Column { name: "features", row: label, id, last });
            }
            if let Some([feature, _]) = own.array_windows().find(|[a, b]| a >= b) {
                let wanted = "features that ascend";
                return falls("features", label, *feature as usize, wanted);
            }
        }
        for (name, values) in [("weights", &weights), ("biases", &biases)] {
            if let Some(row) = values.iter().position(|value| !value.is_finite()) {
                return Err(Error::Value { name, row, value: values[row] });
            }
        }
        Ok(Self { n_features, bounds, features, weights, biases })
    }

    /// Number of labels.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.biases.len()
    }

    /// Whether there is no label.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.biases.is_empty()
    }

    /// Number of features.
    #[must_use]
    pub const fn n_features(&self) -> usize {
        self.n_features
    }

    /// Where the weights of each label begin, and where the last end.
    #[must_use]
    pub fn bounds(&self) -> &[usize] {
        &self.bounds
    }

    /// The features of all weights.
    #[must_use]
    pub fn features(&self) -> &[u32] {
        &self.features
    }

    /// All weights.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The bias of each label.
    #[must_use]
    pub fn biases(&self) -> &[f32] {
        &self.biases
    }

    /// Features and weights of a label.
    fn of(&self, label: usize) -> (&[u32], &[f32]) {
        let range = self.bounds[label]..self.bounds[label + 1];
        (&self.features[range.clone()], &self.weights[range])
    }
}

#[cfg(test)]
mod tests;
