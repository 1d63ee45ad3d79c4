//! One training step.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::layer::Dense;
use crate::lsh::Due;
use crate::optim::Update;
use crate::sampler::Sampler;
use crate::sparse::{Features, IdLists};
use crate::tape::{BLOCK, Tape};

use super::{Counters, Network, Workspace};

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchReport {
    /// Mean loss of the samples that have labels.
    pub loss: f64,
    /// Samples that have labels.
    pub labelled: usize,
    /// Mean share of the output neurons that a sample computed.
    pub active_fraction: f64,
    /// Learning rate of the step.
    pub lr: f32,
}

impl Network {
    /// Trains on the rows `rows` of `x` and `y`, as one batch.
    ///
    /// # Errors
    ///
    /// If there is no row, a row is out of range, the numbers of rows of `x` and `y` differ, the
    /// arrays change during the call, or the loss or a gradient is not finite. Nothing is then
    /// changed.
    pub fn train_batch(
        &mut self,
        x: &Features<'_>,
        y: &IdLists<'_>,
        rows: &[u32],
    ) -> Result<BatchReport> {
        check_rows(x, y, rows)?;
        self.prepare(rows.len());
        let Counters { steps: step, updates, run, .. } = self.counters;
        let lr = self.config.optimizer.lr() * run.factor(&self.config.schedule, step);
        let update = Update::new(&self.config.optimizer, lr, updates + 1);

        self.forward(x, y, rows)?;
        let loss = self.finish_forward(rows.len(), &update);
        if !loss.is_finite() || !self.workspace.deltas_are_finite() {
            return Err(Error::Diverged { step, lr });
        }
        self.apply(rows.len(), &update);
        self.counters.steps += 1;
        self.counters.updates += 1;
        if let Sampler::Lsh(lsh) = self.output.sampler_mut()
            && lsh.rebuild.due(step + 1) != Due::No
        {
            self.rehash();
        }
        Ok(self.report(loss, lr, rows.len()))
    }

    /// Makes room for a batch of `n` samples.
    fn prepare(&mut self, n: usize) {
        self.output.ensure(&self.kernels);
        let blocks = n.div_ceil(BLOCK);
        self.workspace.blocks = blocks;
        let (hidden, Workspace { tapes, queries, deltas, .. }) =
            (&self.config.hidden, &mut self.workspace);
        if tapes.len() < blocks {
            tapes.resize_with(blocks, || {
                Tape::new(hidden.iter().map(crate::config::HiddenConfig::units))
            });
        }
        for (matrix, units) in
            deltas.iter_mut().zip(hidden.iter().map(crate::config::HiddenConfig::units))
        {
            matrix.reset(n, units);
            queries.reset(n, units);
        }
    }

    /// Phase A: every block on its own, weights frozen. With a sampler that computes all neurons
    /// the blocks stop before the output layer.
    fn forward(&mut self, x: &Features<'_>, y: &IdLists<'_>, rows: &[u32]) -> Result<()> {
        let Self { config, kernels, hidden, output, counters, workspace, .. } = self;
        let (draw, loss) = ((config.seed, counters.steps), config.loss);
        let scale = 1.0 / rows.len() as f32;
        let full = matches!(output.sampler(), Sampler::Full);
        let (hidden, output) = (&*hidden, &*output);
        let tapes = workspace.used();
        let tasks = tapes.par_iter_mut().zip(rows.par_chunks(BLOCK)).enumerate();
        tasks.for_each(|(block, (tape, rows))| {
            tape.start(block * BLOCK, rows.len());
            let read = tape
                .read_features(x, rows, config.input.normalize)
                .and_then(|()| tape.read_labels(y, rows));
            if let Err(error) = read {
                tape.error = Some(error);
                return;
            }
            let dropout = config.input.dropout.unwrap_or(0.0);
            forward_hidden(kernels, hidden, dropout, Some(draw), tape);
            if full {
                tape.group_labels(loss);
            } else {
                output.forward_backward(kernels, (loss, scale), draw, tape);
                backward_hidden(kernels, hidden, tape);
            }
        });
        workspace.used().iter_mut().find_map(|tape| tape.error.take()).map_or(Ok(()), Err)
    }

    /// Phase B: brings the rows of all blocks together. With a sampler that computes all neurons
    /// this is also where the output layer runs. Returns the sum of the losses.
    fn finish_forward(&mut self, n: usize, update: &Update) -> f64 {
        let Self { config, kernels, hidden, output, workspace, .. } = self;
        let Workspace { tapes, blocks, queries, deltas, full, .. } = workspace;
        let tapes = &mut tapes[..*blocks];
        for tape in &*tapes {
            if let Some(dense) = tape.dense.last() {
                queries.copy_block(tape.first, &dense.outputs, tape.len);
            }
        }
        let mut loss = tapes.iter().map(|tape| tape.loss).sum();
        if matches!(output.sampler(), Sampler::Full) {
            let how = (&*kernels, update);
            let scale = 1.0 / n as f32;
            loss = output.step_full(how, (config.loss, scale), (queries, n), tapes, full);
            let queries = &*queries;
            let hidden = &*hidden;
            tapes.par_iter_mut().for_each(|tape| {
                if let Some(dense) = tape.dense.last_mut() {
                    for i in 0..tape.len {
                        dense.deltas.row_mut(i).copy_from_slice(queries.row(tape.first + i));
                    }
                }
                backward_hidden(kernels, hidden, tape);
            });
        }
        for tape in &*tapes {
            for (matrix, dense) in deltas.iter_mut().zip(&tape.dense) {
                matrix.copy_block(tape.first, &dense.deltas, tape.len);
            }
        }
        loss
    }

    /// Phase C: changes every row that was touched.
    fn apply(&mut self, n: usize, update: &Update) {
        let Self { kernels, hidden, output, workspace, .. } = self;
        let Workspace { tapes, blocks, queries, deltas, shards, bias_gradient, .. } = workspace;
        let (how, tapes) = ((&*kernels, update), &tapes[..*blocks]);
        for (i, (layer, deltas)) in hidden.iter_mut().zip(deltas).enumerate() {
            let parts = || tapes.iter().map(move |tape| &tape.edges[i]);
            layer.update(how, parts, (deltas, n), shards, bias_gradient);
        }
        if !matches!(output.sampler(), Sampler::Full) {
            let parts = || tapes.iter().filter_map(|tape| tape.edges.last());
            output.update(how, parts, queries, shards);
        }
    }

    fn report(&self, loss: f64, lr: f32, n: usize) -> BatchReport {
        let (mut labelled, mut active) = (0, 0);
        for tape in &self.workspace.tapes[..self.workspace.blocks] {
            labelled += (0..tape.len).filter(|&i| !tape.labels_of(i).is_empty()).count();
            active += tape.active.ids.len();
        }
        if matches!(self.output.sampler(), Sampler::Full) {
            active = labelled * self.output.units();
        }
        let active_fraction = active as f64 / (n.max(1) * self.output.units()) as f64;
        BatchReport { loss: loss / labelled.max(1) as f64, labelled, active_fraction, lr }
    }
}

impl Workspace {
    /// The tapes of the blocks of this batch.
    fn used(&mut self) -> &mut [Tape] {
        &mut self.tapes[..self.blocks]
    }

    /// Whether the gradients of all dense layers are numbers; with them are those of the rows.
    fn deltas_are_finite(&self) -> bool {
        self.deltas.iter().all(|deltas| {
            deltas.as_slice().chunks(4096).all(|x| x.iter().map(|x| x * 0.0).sum::<f32>() == 0.0)
        })
    }
}

fn check_rows(x: &Features<'_>, y: &IdLists<'_>, rows: &[u32]) -> Result<()> {
    let n = x.len();
    if y.len() != n {
        let (found, wanted) = (format!("{} rows", y.len()), format!("{n} (as X)"));
        return Err(Error::Shape { name: "Y", found, wanted });
    }
    if rows.is_empty() {
        let (found, wanted) = ("no row".to_owned(), "at least one".to_owned());
        return Err(Error::Shape { name: "rows", found, wanted });
    }
    match rows.iter().find(|&&row| row as usize >= n) {
        None => Ok(()),
        Some(row) => {
            let (found, wanted) = (format!("row {row}"), format!("rows below {n}"));
            Err(Error::Shape { name: "rows", found, wanted })
        }
    }
}

/// From the features of a block to the input of the output layer.
pub(super) fn forward_hidden(
    kernels: &crate::simd::Kernels,
    hidden: &[Dense],
    dropout: f32,
    training: Option<(u64, u64)>,
    tape: &mut Tape,
) {
    let Tape { first, len, features, dense, .. } = tape;
    for (i, layer) in hidden.iter().enumerate() {
        let (before, here) = dense.split_at_mut(i);
        match before.last() {
            None => {
                layer.prepare(features, dropout, *first, training);
                layer.forward_sparse(kernels, features, &mut here[0]);
            }
            Some(before) => layer.forward_dense(kernels, &before.outputs, *len, &mut here[0]),
        }
        layer.activate(kernels, (*first, *len), training, &mut here[0]);
    }
}

/// From the gradients of the output layer's input to those of every layer, and the edges to the
/// rows that they change.
fn backward_hidden(kernels: &crate::simd::Kernels, hidden: &[Dense], tape: &mut Tape) {
    let Tape { first, len, features, dense, edges, .. } = tape;
    for (i, layer) in hidden.iter().enumerate().rev() {
        let (before, here) = dense.split_at_mut(i);
        let mut before = before.last_mut();
        layer.backward(kernels, *len, &mut here[0], before.as_deref_mut());
        match before {
            None => edges[i].group(features.iter(*first)),
            Some(before) => {
                let inputs = layer.inputs();
                let rows = (0..*len).map(|i| (i, &before.outputs.row(i)[..inputs.len()]));
                edges[i].group(rows.map(|(i, coefs)| ((*first + i) as u32, inputs, coefs)));
            }
        }
    }
}
