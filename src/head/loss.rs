//! Losses over the active sets that training chooses, with their gradients.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::sparse::Features;
use crate::tape::{BLOCK, Tape};
use crate::targets::Targets;

use super::active::together;
use super::read::{each_block, gradients, mean_length, read};
use super::{Active, Head, Weights, Work};

/// What a batch was found to cost.
#[derive(Debug)]
pub struct Losses {
    /// The loss of each sample; 0 of one without labels.
    pub losses: Vec<f32>,
    /// The active neurons of each sample, labels first, with their logits.
    pub active: Active,
    /// The derivative of the loss of the sample by each of these logits.
    pub deltas: Vec<f32>,
    /// That of the loss of each sample by its inputs.
    pub gradients: Vec<f32>,
}

impl Head {
    /// Chooses the active neurons of each row of `x` as training at `step` does, and computes them
    /// and the loss of each sample. Nothing is changed but the tables, if they were never built.
    ///
    /// # Errors
    ///
    /// If the arrays do not fit or change during the call.
    pub fn losses(
        &mut self,
        weights: Weights<'_>,
        x: &Features<'_>,
        y: &Targets<'_>,
        step: u64,
    ) -> Result<Losses> {
        if y.len() != x.len() {
            let (found, wanted) = (format!("{} rows", y.len()), format!("{} (as input)", x.len()));
            return Err(Error::Shape { name: "target", found, wanted });
        }
        if !self.built {
            self.measure(x)?;
        }
        let mut length = None;
        let result = self.with(weights, true, |Work { config, kernels, layer, room }| {
            let (n, loss, layer) = (x.len(), config.loss, &*layer);
            room.tapes(n.div_ceil(BLOCK), config);
            let (tapes, pool) = (&mut room.tapes, &mut room.pool);
            let tapes = &mut tapes[..n.div_ceil(BLOCK)];
            each_block(tapes, x, (0, n), |tape, first| {
                let mut rows = [0; BLOCK];
                rows.iter_mut().zip(first as u32..).for_each(|(row, number)| *row = number);
                tape.read_targets(y, &rows[..tape.len], loss)
            })?;
            let labels = |tape: &Tape| 0..tape.len;
            pool.refill(tapes.iter().flat_map(|tape| labels(tape).map(|i| tape.labels_of(i))));
            let (draw, pool) = ((config.seed, step), &*pool);
            tapes.par_iter_mut().for_each(|tape| {
                layer.forward_backward(kernels, (loss, 1.0), (draw, pool), tape);
            });
            length = mean_length(kernels, tapes);
            let losses = tapes.iter().flat_map(|tape| &tape.losses[..tape.len]);
            let losses = losses.map(|&loss| loss as f32).collect();
            let active =
                Active::of(tapes, |tape| tape.output.logits.as_deref().unwrap_or_default());
            let deltas = together(tapes, active.ids.len(), |tape| &tape.output.active.coefs);
            Ok(Losses { losses, active, deltas, gradients: gradients(tapes, config.inputs) })
        });
        self.set_length(length.unwrap_or(self.length));
        result
    }

    /// Measures how long inputs are, before the tables are built for the first time.
    fn measure(&mut self, x: &Features<'_>) -> Result<()> {
        let tapes = self.room.tapes(1, &self.config);
        read(&mut tapes[0], x, (0, 0, x.len().min(BLOCK)))?;
        let length = mean_length(&self.kernels, &tapes[..1]);
        self.set_length(length.unwrap_or(self.length));
        Ok(())
    }
}
