//! A sampled layer as the output of a network: its loss and retrieval.

use crate::config::Loss;
use crate::lsh::Index;
use crate::phases::Phase;
use crate::rng::{Rng, Stream};
use crate::sampler::{Drawn, Pool, Query};
use crate::simd::Kernels;
use crate::sparse::are_finite;
use crate::tape::{BLOCK, LayerTape, Tape};

use super::Sampled;
use super::hidden::into_inputs;
use super::inputs::{Inputs, inputs};
use super::oracle::AllLogits;

/// Room for the logits of a block against a tile of rows.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) transposed: Vec<f32>,
    pub(super) logits: Vec<f32>,
    pub(super) slots: Vec<u32>,
    pub(super) all: AllLogits,
}

impl Sampled<'_> {
    /// Chooses the active neurons of every sample of a block, computes them, their loss and their
    /// deltas (times `scale`), and the gradients of the outputs of the last hidden layer, while the
    /// rows of the sample are in the cache.
    pub fn forward_backward(
        &self,
        kernels: &Kernels,
        (loss, scale): (Loss, f32),
        ((seed, step), pool): ((u64, u64), &Pool),
        tape: &mut Tape,
    ) {
        let Tape { first, len, features, hidden, output, labels, targets, label_ends, .. } = tape;
        let watch = &mut tape.watch;
        self.hash(kernels, inputs(features, hidden.last()), *len, output);
        watch.lap(Phase::Codes);
        if *len > 1 {
            let block = (*first / BLOCK) as u64;
            let rng = &mut Rng::new(seed, Stream::SharedNegatives, step, block);
            self.scratch.with(|scratch| {
                self.sampler.share(self.units(), rng, scratch, &mut output.shared);
            });
        } else {
            // One sample alone shares with nobody.
            output.shared.refill(|_| {});
        }
        watch.lap(Phase::Tables);
        let starts = std::iter::once(&0).chain(&*label_ends);
        let labelled = starts.zip(&*label_ends).filter(|(start, end)| start < end).count();
        // A product with zero is not zero where a number is infinite, so a sample that has taken
        // nothing would reach rows.
        if let Inputs::Dense(inputs) = inputs(features, hidden.last())
            && labelled > 1
            && self.sampler.shares()
            && !self.races()
            && !output.shared.ids().is_empty()
            && are_finite(&inputs.as_slice()[..*len * inputs.stride()])
        {
            output.products.apart = true;
            self.shared_logits(kernels, (inputs, *len), output);
            watch.lap(Phase::Logits);
        }
        let mut label_start = 0;
        for (i, &label_end) in label_ends.iter().enumerate() {
            let inputs = inputs(features, hidden.last());
            let mut rng = Rng::new(seed, Stream::Sampler, step, (*first + i) as u64);
            let start = output.active.ids.len();
            let range = std::mem::replace(&mut label_start, label_end)..label_end;
            let (labels, targets) = (&labels[range.clone()], &targets[range]);
            let codes = self.codes_of(&output.codes, i);
            let ids = &mut output.active.ids;
            // A sample without labels has no loss, so nothing of it need be computed.
            let drawn = if labels.is_empty() {
                output.shared.pass();
                Drawn::default()
            } else {
                let exact = &mut |n, out: &mut Vec<u32>| self.best(kernels, (inputs, i), n, out);
                let units = self.units();
                let (pool, shared) = (Some(pool), &mut output.shared);
                let query = &mut Query { labels, codes, units, pool, shared, exact };
                self.scratch.with(|scratch| self.sampler.choose(query, &mut rng, scratch, ids))
            };
            output.active.ends.push(output.active.ids.len());
            watch.lap(Phase::Tables);
            self.sums(kernels, inputs, i, output);
            if output.products.apart {
                output.read_shared(i);
            }
            watch.lap(Phase::Logits);
            let (ids, deltas) = (&output.active.ids[start..], &mut output.active.coefs[start..]);
            if let Some(logits) = &mut output.logits {
                logits.extend_from_slice(deltas);
            }
            if loss.is_softmax() {
                let ids = (ids, labels.len());
                let length = self.query_length(kernels, inputs, i);
                self.sampler.correct(&drawn, ids, Some(pool), length, deltas);
            }
            let weight = tape.weights[i];
            tape.losses[i] = loss.backward(kernels, deltas, targets, (weight, scale));
            watch.lap(Phase::Loss);
            if output.products.apart {
                output.write_shared(i);
            }
            into_inputs(hidden, i, |columns, out| {
                let (own, active) = (output.own(i), &output.active);
                let edges = (&active.slots[own.clone()], &active.coefs[own]);
                self.row_gradients(kernels, edges, columns, out);
            });
            watch.lap(Phase::Backward);
        }
        if let Some(LayerTape::Dense(before)) = hidden.last_mut()
            && output.products.apart
        {
            self.shared_gradients(kernels, *len, &output.products, &mut before.deltas);
            watch.lap(Phase::Backward);
        }
        let own: usize = (0..*len).map(|i| output.own(i).len()).sum();
        let shared = if output.products.apart { output.shared.ids().len() } else { 0 };
        watch.phases.rows_read += (own + shared) as u64;
        watch.phases.rows_computed += output.active.ids.len() as u64;
    }

    /// Length of the input of sample `i` as it is hashed, with its coordinate for the bias.
    pub(super) fn query_length(&self, kernels: &Kernels, inputs: Inputs<'_>, i: usize) -> f32 {
        let x = match inputs {
            Inputs::Dense(inputs) => inputs.row(i),
            Inputs::Sparse(lists) => lists.of(i).1,
        };
        let unit = self.sampler.index().map_or(1.0, Index::bias_unit);
        let unit = if self.bias.is_some() { unit } else { 0.0 };
        unit.mul_add(unit, (kernels.dot)(x, x)).sqrt()
    }

    /// Looks up a block in the tables: appends the neurons found for each sample, without labels or fill;
    /// as many as in training, and at least `least` where there are so many.
    /// What is found for a sample does not depend on where it stands.
    pub fn retrieve(&self, kernels: &Kernels, seed: u64, least: usize, tape: &mut Tape) {
        let Tape { len, features, hidden, output, .. } = tape;
        let inputs = inputs(features, hidden.last());
        self.hash(kernels, inputs, *len, output);
        for i in 0..*len {
            let mut rng = Rng::new(seed, Stream::Probe, 0, inputs.key(i));
            let codes = self.codes_of(&output.codes, i);
            let ids = &mut output.active.ids;
            let exact = &mut |n, out: &mut Vec<u32>| self.best(kernels, (inputs, i), n, out);
            let (labels, shared) = (&[][..], &mut output.shared);
            let units = self.units();
            let query = &mut Query { labels, codes, units, pool: None, shared, exact };
            self.scratch.with(|scratch| {
                self.sampler.retrieve(query, least, &mut rng, scratch, ids);
            });
            output.active.ends.push(output.active.ids.len());
        }
    }

    /// Computes the logits of the active neurons of every sample, as they stand in the tape.
    pub fn score_active(&self, kernels: &Kernels, tape: &mut Tape) {
        let Tape { len, features, hidden, output, .. } = tape;
        output.active.slots.clear();
        output.active.coefs.clear();
        let inputs: Inputs<'_> = inputs(features, hidden.last());
        for i in 0..*len {
            self.sums(kernels, inputs, i, output);
        }
    }
}
