//! One optimiser step on the rows that were active.

use rayon::prelude::*;

use crate::config::{ClipConfig, OptimizerConfig, SecondMoment};
use crate::error::{Error, Result};
use crate::layer::BatchInputs;
use crate::optim::{Optimizer, names};
use crate::rows::{Matrix, Numbers, Rows, Stripes};
use crate::simd::LANES;
use crate::sparse::{CsrView, Features, IdLists, are_finite};
use crate::tape::{BLOCK, LayerTape, Tape};

use super::read::{blocks, read, read_active, read_deltas, same_rows};
use super::{Head, HeadConfig, Lent, Room, Weights};

/// The gradient of a batch, as what it is the product of: inputs, and the derivatives by the logits
/// of given neurons.
#[derive(Clone, Copy, Debug)]
pub struct Gradient<'a> {
    /// The inputs, a row for each sample.
    pub x: Features<'a>,
    /// The active neurons of each sample.
    pub ids: IdLists<'a>,
    /// The derivative by the logit of each.
    pub deltas: &'a [f32],
}

/// What Adam remembers, lent as weights and biases are.
#[derive(Debug)]
pub struct Moments<'m> {
    /// First moments.
    pub m: Numbers<'m>,
    /// Second moments: one for each row, or one for each weight.
    pub v: Numbers<'m>,
    /// Both for the biases, where there are any.
    pub of_bias: Option<[&'m mut [f32]; 2]>,
}

/// One step of an optimiser.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Adam, lazy and without weight decay.
    pub optimizer: &'a OptimizerConfig,
    /// The learning rate.
    pub lr: f32,
    /// The number of the step, from 1.
    pub t: u64,
}

impl<'m> Moments<'m> {
    /// The rows that they are, of weights and of biases.
    fn lent(self, config: &HeadConfig, step: &Step<'_>) -> Result<(Lent<'m>, Lent<'m>)> {
        let OptimizerConfig::Adam { second_moment, moments, .. } = *step.optimizer else {
            let found = "another one".to_owned();
            return Err(Error::Config { name: "optimizer", found, wanted: "Adam" });
        };
        let (sizes, dtype) = ((config.units, config.inputs), moments.unwrap_or_default());
        let typed = |name, numbers: Numbers<'m>| {
            let found = numbers.dtype();
            if found == dtype {
                return Rows::lent(name, sizes, numbers);
            }
            let (found, wanted) = (format!("{found:?} numbers"), format!("{dtype:?} ones"));
            Err(Error::Shape { name, found, wanted })
        };
        let m = (names::M, typed("exp_avg", self.m)?);
        let v = match second_moment.unwrap_or_default() {
            SecondMoment::Entry => (names::V, typed("exp_avg_sq", self.v)?),
            SecondMoment::Row => {
                let v = Rows::lent_column("exp_avg_sq", config.units, self.v.into_floats())?;
                (names::V_OF_ROW, v)
            }
        };
        let mut of_bias = Vec::new();
        for (name, numbers) in
            [names::M, names::V].into_iter().zip(self.of_bias.into_iter().flatten())
        {
            of_bias.push((name, Rows::lent_column("moments of bias", config.units, numbers)?));
        }
        if config.bias && of_bias.is_empty() {
            let (found, wanted) = ("none".to_owned(), "two arrays".to_owned());
            return Err(Error::Shape { name: "moments of bias", found, wanted });
        }
        Ok((vec![m, v], of_bias))
    }
}

impl Head {
    /// Changes every row that occurs in `gradients`, by their sum. The rows wait to be inserted into
    /// the tables again.
    ///
    /// # Errors
    ///
    /// If the arrays do not fit, or change before the first row is changed.
    pub fn apply<'m>(
        &mut self,
        weights: Weights<'m>,
        moments: Moments<'m>,
        step: &Step<'_>,
        gradients: &[Gradient<'_>],
    ) -> Result<()> {
        step.optimizer.check()?;
        let moments = moments.lent(&self.config, step)?;
        let mut optimizer = Optimizer::new(step.optimizer, ClipConfig::default());
        optimizer.begin(step.lr, step.t);
        self.on(weights, moments, |head, mut layer| {
            let Self { config, kernels, room, .. } = head;
            let read = room.collect(config, layer.stripes(), gradients);
            let changed = read.map(|n| {
                let Room { tapes, inputs, update, .. } = room;
                let parts = || tapes[..n].iter().filter_map(|tape| tape.edges.last());
                let inputs = batch(config, &tapes[..n], inputs);
                layer.update((kernels, optimizer.update()), parts, inputs, update);
            });
            (layer, changed)
        })
    }

    /// The Euclidean norm of the sum of `gradients`, over weights and biases.
    ///
    /// # Errors
    ///
    /// If the arrays do not fit or change during the call.
    pub fn norm(&mut self, gradients: &[Gradient<'_>]) -> Result<f64> {
        let Self { config, kernels, room, .. } = self;
        let stripes = Stripes::in_order(config.units);
        let n = room.collect(config, stripes, gradients)?;
        let Room { tapes, inputs, update, .. } = room;
        let parts = || tapes[..n].iter().filter_map(|tape| tape.edges.last());
        let read = batch(config, &tapes[..n], inputs);
        let sizes = (config.inputs.next_multiple_of(LANES), stripes.per_shard());
        let [of_rows, of_biases] = update.squares(kernels, sizes, parts, read);
        Ok((of_rows + if config.bias { of_biases } else { 0.0 }).sqrt())
    }
}

impl Room {
    /// Reads the samples of all gradients, those of each from a new block on, and groups the rows
    /// that they touch; returns the number of blocks.
    fn collect(
        &mut self,
        config: &HeadConfig,
        stripes: Stripes,
        gradients: &[Gradient<'_>],
    ) -> Result<usize> {
        for gradient in gradients {
            same_rows(gradient.x.len(), gradient.ids.len())?;
            CsrView::new(gradient.ids, gradient.deltas)?;
        }
        let mut parts = Vec::new();
        for gradient in gradients {
            parts.extend(blocks(gradient.x.len()).map(|block| (gradient, block)));
        }
        self.tapes(parts.len(), config);
        let Self { tapes, common, inputs, .. } = self;
        let tasks = tapes.par_iter_mut().zip(common).zip(&parts).enumerate();
        tasks.try_for_each(|(block, ((tape, common), &(gradient, (row, n))))| {
            read(tape, &gradient.x, (block * BLOCK, row, n))?;
            read_active(tape, &gradient.ids, row)?;
            read_deltas(tape, (&gradient.ids, gradient.deltas), row)?;
            let Tape { first, hidden, output, edges, .. } = tape;
            if let Some(edges) = edges.last_mut() {
                let active = &mut output.active;
                match hidden.last() {
                    // Zero times what is not finite would not be zero.
                    Some(LayerTape::Dense(x))
                        if are_finite(&x.outputs.as_slice()[..n * x.outputs.stride()]) =>
                    {
                        common.group((stripes, *first), active, edges);
                    }
                    _ => edges.group(stripes, active.iter(*first)),
                }
            }
            Ok::<_, Error>(())
        })?;
        inputs.reshape(parts.len() * BLOCK, config.inputs);
        for tape in &tapes[..parts.len()] {
            if let Some(LayerTape::Dense(dense)) = tape.hidden.last() {
                inputs.copy_block(tape.first, &dense.outputs, tape.len);
            }
        }
        Ok(parts.len())
    }
}

/// What the layer read in a batch.
const fn batch<'a>(config: &HeadConfig, tapes: &'a [Tape], inputs: &'a Matrix) -> BatchInputs<'a> {
    if config.sparse { BatchInputs::Sparse { tapes, layer: 1 } } else { BatchInputs::Dense(inputs) }
}
