//! Active sets without losses: those that a layer chooses, and those that are given.

use rayon::prelude::*;

use crate::error::Result;
use crate::layer::{inputs, into_inputs};
use crate::sparse::{CsrView, Features, IdLists};
use crate::tape::{BLOCK, Tape};

use super::read::{each_block, gradients, read_active, read_deltas, same_rows};
use super::{Gradient, Head, Weights, Work};

/// Active neurons of some samples.
#[derive(Debug, Default)]
pub struct Active {
    /// Where the neurons of each sample start, and the end of the last.
    pub indptr: Vec<i64>,
    /// The neurons.
    pub ids: Vec<i64>,
    /// Their logits.
    pub logits: Vec<f32>,
}

impl Active {
    /// Those of some tapes, with what `logits` says of each.
    pub(super) fn of(tapes: &[Tape], logits: impl Fn(&Tape) -> &[f32] + Sync) -> Self {
        let mut indptr = vec![0];
        let mut total = 0;
        for tape in tapes {
            let ends = &tape.output.active.ends;
            indptr.extend(ends.iter().map(|end| (total + end) as i64));
            total += ends.last().copied().unwrap_or_default();
        }
        let mut ids = vec![0; total];
        each(
            tapes,
            &mut ids,
            |tape| tape.output.active.ids.len(),
            |tape, out| {
                out.iter_mut()
                    .zip(&tape.output.active.ids)
                    .for_each(|(to, &id)| *to = i64::from(id));
            },
        );
        Self { indptr, ids, logits: together(tapes, total, logits) }
    }
}

/// What `of` says of each tape, one after another; `total` numbers in all.
pub(super) fn together(
    tapes: &[Tape],
    total: usize,
    of: impl Fn(&Tape) -> &[f32] + Sync,
) -> Vec<f32> {
    let mut all = vec![0.0; total];
    each(tapes, &mut all, |tape| of(tape).len(), |tape, out| out.copy_from_slice(of(tape)));
    all
}

/// Cuts `all` into a piece for each tape, as long as `len` says, and has them filled side by side.
fn each<T: Send>(
    tapes: &[Tape],
    mut all: &mut [T],
    len: impl Fn(&Tape) -> usize,
    fill: impl Fn(&Tape, &mut [T]) + Sync,
) {
    let mut pieces = Vec::with_capacity(tapes.len());
    for tape in tapes {
        pieces.push((tape, all.split_off_mut(..len(tape)).unwrap_or_default()));
    }
    pieces.into_par_iter().for_each(|(tape, out)| fill(tape, out));
}

impl Head {
    /// The neurons that each row of `x` makes active, ascending: in training those of step `step`,
    /// with what is drawn at random; without a step those that the tables find.
    ///
    /// # Errors
    ///
    /// If the arrays do not fit or change during the call.
    pub fn activate(
        &mut self,
        weights: Weights<'_>,
        x: &Features<'_>,
        step: Option<u64>,
    ) -> Result<Active> {
        self.with(weights, true, |Work { config, kernels, layer, room }| {
            let tapes = room.tapes(x.len().div_ceil(BLOCK), config);
            let layer = &*layer;
            each_block(tapes, x, (0, x.len()), |tape, first| {
                let Tape { len, features, hidden, output, .. } = tape;
                let inputs = inputs(features, hidden.last());
                let draw = step.map(|step| (config.seed, step, first));
                layer.forward(kernels, (inputs, *len), draw, output);
                Ok(())
            })?;
            Ok(Active::of(tapes, |tape| &tape.output.active.coefs))
        })
    }

    /// The logits of given neurons.
    ///
    /// # Errors
    ///
    /// If the arrays do not fit or change during the call.
    pub fn logits(
        &mut self,
        weights: Weights<'_>,
        x: &Features<'_>,
        ids: &IdLists<'_>,
    ) -> Result<Vec<f32>> {
        same_rows(x.len(), ids.len())?;
        self.with(weights, false, |Work { config, kernels, layer, room }| {
            let tapes = room.tapes(x.len().div_ceil(BLOCK), config);
            let layer = &*layer;
            each_block(tapes, x, (0, x.len()), |tape, first| {
                read_active(tape, ids, first)?;
                layer.score_active(kernels, tape);
                Ok(())
            })?;
            Ok(tapes.iter().flat_map(|tape| tape.output.active.coefs.iter().copied()).collect())
        })
    }

    /// The gradients of the inputs, of which only the pattern is looked at, from those of the logits
    /// of given neurons.
    ///
    /// # Errors
    ///
    /// If the arrays do not fit or change during the call.
    pub fn back(
        &mut self,
        weights: Weights<'_>,
        Gradient { x, ids, deltas }: &Gradient<'_>,
    ) -> Result<Vec<f32>> {
        same_rows(x.len(), ids.len())?;
        CsrView::new(*ids, deltas)?;
        self.with(weights, false, |Work { config, kernels, layer, room }| {
            let tapes = room.tapes(x.len().div_ceil(BLOCK), config);
            let layer = &*layer;
            each_block(tapes, x, (0, x.len()), |tape, first| {
                read_active(tape, ids, first)?;
                read_deltas(tape, (ids, deltas), first)?;
                let Tape { len, hidden, output, .. } = tape;
                let active = &mut output.active;
                active.slots.clear();
                active.slots.extend(active.ids.iter().map(|&id| layer.stripes().slot(id)));
                let active = (&*active, &active.coefs[..]);
                for i in 0..*len {
                    into_inputs(hidden, i, |columns, out| {
                        layer.input_gradients(kernels, active, (i, columns), out);
                    });
                }
                Ok(())
            })?;
            Ok(gradients(tapes, config.inputs))
        })
    }
}
