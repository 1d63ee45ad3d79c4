//! One training step.

use std::time::Instant;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::layer::{BatchInputs, Hidden, backward, backward_hidden, forward};
use crate::optim::Optimizer;
use crate::phases::Phase;
use crate::sampler::Sampler;
use crate::sparse::{Features, are_finite};
use crate::tape::{BLOCK, DenseTape, LayerTape, Tape};
use crate::targets::Targets;

use super::{Counters, LayerRoom, Network, Workspace};

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
    /// changed, but for one case: where the output layer computes all neurons by blocked products
    /// (the sampler is full, the layer before it dense, and there are more than 64) it changes its rows while it finds the
    /// gradients of its inputs. If the loss is finite and the gradients of a hidden layer are not,
    /// the weights, biases and moments of the output layer have then made the step; hidden layers
    /// and counters have not. (To know it before would take a third product over all rows.)
    pub fn train_batch(
        &mut self,
        x: &Features<'_>,
        y: &Targets<'_>,
        rows: &[u32],
    ) -> Result<BatchReport> {
        check_rows(x, y, rows, self.output.units())?;
        self.prepare(rows.len());
        let Counters { steps: step, updates, run, .. } = self.counters;
        let factor = run.factor(&self.config.schedule, step) * self.rate_factor;
        let lr = self.config.optimizer.lr() * factor;

        self.forward(x, y, rows)?;
        for (optimizer, lr) in self.optimizers.iter_mut().zip(self.config.rates()) {
            optimizer.begin(lr * factor, updates + 1);
        }
        let loss = self.finish_forward(rows.len());
        if !loss.is_finite() || !self.workspace.deltas_are_finite() {
            self.optimizers.iter_mut().for_each(Optimizer::cancel);
            return Err(Error::Diverged { step, lr });
        }
        self.apply(rows.len());
        self.counters.steps = step + 1;
        self.counters.updates = updates + 1;
        if self.optimizers.iter().any(Optimizer::is_dense) {
            self.settle();
        }
        self.rehash_what_is_due(step + 1);
        Ok(self.report(loss, lr, rows.len()))
    }

    fn rehash_what_is_due(&mut self, steps: u64) {
        let (clock, kernels) = (Instant::now(), self.kernels);
        let rehashed = self.sampled_mut().map(|layer| layer.rehash_if_due(&kernels, steps));
        if rehashed.fold(false, |any, rehashed| any | rehashed) {
            self.workspace.add_rehash(clock);
        }
    }

    /// Makes room for a batch of `n` samples.
    fn prepare(&mut self, n: usize) {
        let kernels = self.kernels;
        for layer in self.sampled_mut() {
            layer.ensure(&kernels);
        }
        let blocks = n.div_ceil(BLOCK);
        self.workspace.blocks = blocks;
        let (hidden, Workspace { tapes, layers, .. }) = (&self.hidden, &mut self.workspace);
        if tapes.len() < blocks {
            tapes.resize_with(blocks, || Tape::new(&self.config.hidden));
        }
        for (i, room) in layers.iter_mut().enumerate() {
            if let Hidden::Dense(layer) = &hidden[i] {
                room.deltas.reset(n, layer.units());
                // A sampled layer reads it; the output layer is one.
                if hidden.get(i + 1).is_none_or(|next| next.sampled().is_some()) {
                    room.outputs.reset(n, layer.units());
                }
            }
        }
    }

    /// Whether the first layer reads `rows` of `x` as rows and not as lists. It may differ from batch
    /// to batch: it changes no bit of what is computed.
    pub(super) fn reads_rows(&self, x: &Features<'_>, rows: &[u32]) -> bool {
        let dense = matches!(self.hidden.first(), Some(Hidden::Dense(layer)) if !layer.races());
        dense && x.are_dense(rows)
    }

    /// Whether the output layer is computed by blocked products: when it computes all neurons, they
    /// are not few, and its inputs are dense.
    fn is_full(&self) -> bool {
        self.takes_all() && !self.output.has_few()
    }

    /// Whether the output layer computes all neurons and its inputs are dense.
    fn takes_all(&self) -> bool {
        let dense = matches!(self.hidden.last(), Some(Hidden::Dense(_)));
        dense && matches!(self.output.sampler(), Sampler::Full)
    }

    /// Phase A: every block on its own, weights frozen. Where all neurons are computed by blocked
    /// products, the blocks stop before the output layer.
    fn forward(&mut self, x: &Features<'_>, y: &Targets<'_>, rows: &[u32]) -> Result<()> {
        let (full, dense) = (self.is_full(), self.reads_rows(x, rows));
        let Self { config, kernels, hidden, output, counters, workspace, .. } = self;
        let (draw, loss) = ((config.seed, counters.steps), config.loss);
        let scale = 1.0 / rows.len() as f32;
        let (hidden, output) = (&*hidden, &*output);
        if matches!(output.sampler(), Sampler::InBatch { .. }) {
            workspace.fill_pool(y, rows)?;
        }
        let Workspace { tapes, blocks, pool, .. } = &mut *workspace;
        let (tapes, pool) = (&mut tapes[..*blocks], &*pool);
        let tasks = tapes.par_iter_mut().zip(rows.par_chunks(BLOCK)).enumerate();
        tasks.for_each(|(block, (tape, rows))| {
            tape.start(block * BLOCK, rows.len());
            let read = tape
                .features
                .read(x, rows, (config.input.normalize, dense))
                .and_then(|()| tape.read_targets(y, rows, loss));
            if let Err(error) = read {
                tape.error = Some(error);
                return;
            }
            let (share, samples) = (config.input.dropout, (tape.first, tape.len));
            tape.features.drop_out(share, draw, samples);
            tape.watch.lap(Phase::Read);
            forward(kernels, hidden, Some(draw), tape);
            tape.watch.lap(Phase::Hidden);
            if full {
                tape.group_labels(output.stripes());
            } else {
                output.forward_backward(kernels, (loss, scale), (draw, pool), tape);
                backward(kernels, hidden, output, tape);
            }
        });
        workspace.used().iter_mut().find_map(|tape| tape.error.take()).map_or(Ok(()), Err)
    }

    /// Phase B: brings the rows of all blocks together. Where the output layer is computed by
    /// blocked products, this is where it runs. Returns the sum of the losses.
    fn finish_forward(&mut self, n: usize) -> f64 {
        let full = self.is_full();
        let Self { config, kernels, hidden, output, optimizers, workspace, .. } = self;
        let Workspace { tapes, blocks, layers, full: room, phases, .. } = workspace;
        let tapes = &mut tapes[..*blocks];
        for tape in &*tapes {
            for (room, dense) in layers.iter_mut().zip(dense_tapes(tape)) {
                if let Some(dense) = dense
                    && room.outputs.stride() > 0
                {
                    room.outputs.copy_block(tape.first, &dense.outputs, tape.len);
                }
            }
        }
        let mut loss = tapes.iter().map(Tape::loss).sum();
        if full
            && let Some(LayerRoom { outputs, .. }) = layers.last_mut()
            && let Some(optimizer) = optimizers.last()
        {
            let clock = Instant::now();
            let how = (&*kernels, optimizer.update());
            let scale = 1.0 / n as f32;
            loss = output.step_full(how, (config.loss, scale), (outputs, n), tapes, room);
            let spent = clock.elapsed().as_secs_f64() * rayon::current_num_threads() as f64;
            phases.add(Phase::Full, spent);
            let (outputs, hidden) = (&*outputs, &*hidden);
            tapes.par_iter_mut().for_each(|tape| {
                if let Some(LayerTape::Dense(dense)) = tape.hidden.last_mut() {
                    for i in 0..tape.len {
                        dense.deltas.row_mut(i).copy_from_slice(outputs.row(tape.first + i));
                    }
                }
                tape.watch.start();
                backward_hidden(kernels, hidden, tape);
            });
        }
        for tape in &*tapes {
            for (room, dense) in layers.iter_mut().zip(dense_tapes(tape)) {
                if let Some(dense) = dense {
                    room.deltas.copy_block(tape.first, &dense.deltas, tape.len);
                }
            }
        }
        loss
    }

    /// Phase C: changes every row that was touched.
    fn apply(&mut self, n: usize) {
        let (full, all) = (self.is_full(), self.takes_all());
        let Self { kernels, hidden, output, optimizers, workspace, .. } = self;
        let Workspace { tapes, blocks, layers, update, bias_gradient, few, phases, .. } = workspace;
        let tapes = &mut tapes[..*blocks];
        for tape in &mut *tapes {
            phases.merge(&tape.watch.take());
        }
        let tapes = &*tapes;
        for (i, (layer, optimizer)) in hidden.iter_mut().zip(&*optimizers).enumerate() {
            let parts = || tapes.iter().map(move |tape| &tape.edges[i]);
            let read = (&layers[i].deltas, batch_inputs(tapes, layers, i), n);
            let room = (&mut *update, &mut *bias_gradient);
            layer.update((kernels, optimizer.update()), (parts, tapes, i), read, room);
            let spent = update.take_phases();
            phases.add(Phase::Transpose, spent.of(Phase::Transpose));
            phases.add(Phase::HiddenUpdate, spent.of(Phase::Update));
        }
        if let Some(optimizer) = optimizers.last().filter(|_| !full) {
            let parts = || tapes.iter().filter_map(|tape| tape.edges.last());
            let inputs = batch_inputs(tapes, layers, layers.len());
            let how = (&*kernels, optimizer.update());
            match inputs {
                BatchInputs::Dense(inputs) if all => {
                    let clock = Instant::now();
                    output.update_few(how, tapes, (inputs, n), few);
                    phases.add(Phase::Update, clock.elapsed().as_secs_f64());
                    phases.rows_updated += output.units() as u64;
                }
                _ => output.update(how, parts, inputs, update),
            }
            phases.merge(&update.take_phases());
        }
    }

    fn report(&mut self, loss: f64, lr: f32, n: usize) -> BatchReport {
        let full = self.is_full();
        let Workspace { tapes, blocks, hidden_active, .. } = &mut self.workspace;
        let (mut labelled, mut computed) = (0, 0);
        for tape in &tapes[..*blocks] {
            labelled += (0..tape.len).filter(|&i| !tape.labels_of(i).is_empty()).count();
            computed += tape.output.active.ids.len();
            for (active, tape) in hidden_active.iter_mut().zip(&tape.hidden) {
                if let LayerTape::Sampled(tape) = tape {
                    *active += tape.active.ids.len() as u64;
                }
            }
        }
        if full {
            computed = labelled * self.output.units();
        }
        let active_fraction = computed as f64 / (n.max(1) * self.output.units()) as f64;
        BatchReport { loss: loss / labelled.max(1) as f64, labelled, active_fraction, lr }
    }
}

impl Workspace {
    /// Brings the labels of a batch together.
    fn fill_pool(&mut self, y: &Targets<'_>, rows: &[u32]) -> Result<()> {
        let Self { pool, labels, label_ends, .. } = self;
        labels.clear();
        label_ends.clear();
        for &row in rows {
            y.labels().append_row(row as usize, labels)?;
            label_ends.push(labels.len());
        }
        let mut start = 0;
        pool.refill(label_ends.iter().map(|&end| &labels[std::mem::replace(&mut start, end)..end]));
        Ok(())
    }

    /// The tapes of the blocks of this batch.
    fn used(&mut self) -> &mut [Tape] {
        &mut self.tapes[..self.blocks]
    }

    /// Whether the gradients of all hidden layers are numbers; with them are those of the rows.
    fn deltas_are_finite(&self) -> bool {
        let of_tape = |tape: &Tape| {
            tape.hidden.iter().all(|layer| match layer {
                LayerTape::Dense(_) => true,
                LayerTape::Sampled(tape) => are_finite(&tape.deltas),
            })
        };
        self.layers.iter().all(|room| are_finite(room.deltas.as_slice()))
            && self.tapes[..self.blocks].iter().all(of_tape)
    }
}

/// The tapes of the hidden layers, where they are dense.
fn dense_tapes(tape: &Tape) -> impl Iterator<Item = Option<&DenseTape>> {
    tape.hidden.iter().map(|layer| match layer {
        LayerTape::Dense(tape) => Some(tape),
        LayerTape::Sampled(_) => None,
    })
}

/// What layer `layer` read in this batch.
fn batch_inputs<'a>(tapes: &'a [Tape], layers: &'a [LayerRoom], layer: usize) -> BatchInputs<'a> {
    match tapes.first().and_then(|tape| tape.hidden[..layer].last()) {
        Some(LayerTape::Dense(_)) => BatchInputs::Dense(&layers[layer - 1].outputs),
        _ => BatchInputs::Sparse { tapes, layer },
    }
}

fn check_rows(x: &Features<'_>, y: &Targets<'_>, rows: &[u32], units: usize) -> Result<()> {
    let (n, columns) = (x.len(), y.labels().columns());
    if columns > units {
        let (found, wanted) = (format!("{columns} labels"), format!("at most {units}"));
        return Err(Error::Shape { name: "Y", found, wanted });
    }
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
