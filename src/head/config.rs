//! What a head is, as data: the JSON that the Python side writes.

use serde::{Deserialize, Serialize};

use crate::config::{Loss, SamplerConfig};
use crate::error::{Error, Result};

/// What a head is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadConfig {
    /// Numbers that a sample puts in.
    pub inputs: usize,
    /// Number of neurons.
    pub units: usize,
    /// Whether every neuron has a bias.
    pub bias: bool,
    /// Which neurons a sample computes in training.
    pub sampler: SamplerConfig,
    /// What is minimised.
    pub loss: Loss,
    /// Every random choice is a function of this number.
    pub seed: u64,
    /// Whether few of the inputs are given, by their ids.
    pub sparse: bool,
}

impl HeadConfig {
    /// Reads the JSON form.
    ///
    /// # Errors
    ///
    /// If it is not JSON, or has missing, unknown or mistyped fields.
    pub fn from_json(json: &str) -> Result<Self> {
        Ok(serde_json::from_str(json)?)
    }

    /// Writes the JSON form.
    ///
    /// # Errors
    ///
    /// None: a tree of numbers, strings and enums can be written.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// Checks every value and fills in those that are open.
    ///
    /// # Errors
    ///
    /// If a value is outside what it may be; the error names it.
    pub(super) fn resolve(mut self) -> Result<Self> {
        for (name, found) in [("in_features", self.inputs), ("out_features", self.units)] {
            let (low, high) = (1, i32::MAX as usize);
            if !(low..=high).contains(&found) {
                return Err(Error::Range { name, found, low, high });
            }
        }
        self.sampler.check(self.units)?;
        let dense = (!self.sparse).then_some(self.inputs);
        self.sampler.resolve(dense, self.units, self.seed);
        // Values that were left open may not go with those that were given.
        self.sampler.check(self.units)?;
        Ok(self)
    }
}
