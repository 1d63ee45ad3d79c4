//! A pass over the data.

use std::time::Instant;

use crate::error::{Error, Result};
use crate::layer::{Hidden, Sampled};
use crate::phases::Phases;
use crate::rng::{Rng, Stream};
use crate::sparse::Features;
use crate::targets::Targets;

use super::Network;

/// How to go through the data.
#[derive(Clone, Copy, Debug)]
pub struct EpochOptions<'a> {
    /// Samples of a step; the last step of an epoch may have fewer.
    pub batch_size: usize,
    /// Whether the rows are put in random order, another in each epoch.
    pub shuffle: bool,
    /// The rows to train on; all when not given.
    pub rows: Option<&'a [i64]>,
}

/// How far an epoch has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Rows done.
    pub done: usize,
    /// Rows of the epoch.
    pub total: usize,
    /// Mean loss so far.
    pub loss: f64,
}

/// What an epoch did.
#[derive(Clone, Debug, Default)]
pub struct EpochReport {
    /// Mean loss of the samples that have labels.
    pub loss: f64,
    /// Mean share of the output neurons that a sample computed.
    pub active_fraction: f64,
    /// Learning rate of the last step.
    pub lr: f32,
    /// Steps done.
    pub steps: u64,
    /// Samples done.
    pub samples: u64,
    /// Samples done that have labels: those that the loss is a mean of.
    pub labelled: u64,
    /// Time taken.
    pub seconds: f64,
    /// Of which re-inserting rows.
    pub rehash_seconds: f64,
    /// Mean share of the neurons that a sample computed, of each sampled hidden layer.
    pub hidden_active: Vec<f64>,
}

/// Where an epoch stands that is trained in pieces, and what its steps have summed up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cursor {
    /// Samples done: where in the order of the epoch the next piece begins.
    pub samples: u64,
    /// Steps done.
    pub steps: u64,
    /// Samples done that have labels.
    pub labelled: u64,
    /// Sum of their losses.
    pub loss: f64,
    /// Sum of the shares of the output neurons that the samples computed.
    pub active: f64,
    /// Active neurons of each hidden layer in all samples; 0 for those that are not sampled.
    pub hidden_active: Vec<u64>,
    /// Learning rate of the last step.
    pub lr: f32,
}

impl Cursor {
    fn mean_loss(&self) -> f64 {
        self.loss / self.labelled.max(1) as f64
    }
}

impl Network {
    /// Trains on every row once. `on_batch` is called after each step; the epoch ends cleanly,
    /// with [`Error::Stopped`], when it returns false.
    ///
    /// # Errors
    ///
    /// If the numbers of rows differ, a row is out of range, the arrays change during the call,
    /// or the loss is not finite. What was learned before stays.
    pub fn train_epoch(
        &mut self,
        x: &Features<'_>,
        y: &Targets<'_>,
        options: EpochOptions<'_>,
        on_batch: impl FnMut(Progress) -> bool,
    ) -> Result<EpochReport> {
        self.train_piece(x, y, options, (&mut Cursor::default(), usize::MAX), on_batch)
    }

    /// Trains on the rows of an epoch from `cursor` on, `most` steps at most, and moves the cursor
    /// behind them. Pieces come to the same bits as the whole epoch, if nothing else is trained on
    /// between them. The report is of the epoch so far; its times are those of the piece.
    ///
    /// # Errors
    ///
    /// As [`Network::train_epoch`]; and if the cursor is not one of this epoch.
    pub fn train_piece(
        &mut self,
        x: &Features<'_>,
        y: &Targets<'_>,
        options: EpochOptions<'_>,
        (cursor, most): (&mut Cursor, usize),
        mut on_batch: impl FnMut(Progress) -> bool,
    ) -> Result<EpochReport> {
        let clock = Instant::now();
        let rehash_before = self.workspace.rehash_seconds;
        let mut order = self.order(x, y, &options)?;
        let (size, done) = (options.batch_size.max(1), cursor.samples as usize);
        let fits = done <= order.len() && done.is_multiple_of(size) || done == order.len();
        if !fits || done > 0 && self.counters.epochs == 0 {
            let (found, wanted) =
                (format!("{done} rows"), "whole batches of this epoch".to_owned());
            return Err(Error::Shape { name: "cursor", found, wanted });
        }
        if done == 0 {
            self.workspace.phases = Phases::default();
            self.counters.epochs += 1;
        }
        if options.shuffle {
            let epoch = self.counters.epochs - 1;
            Rng::new(self.config.seed, Stream::Shuffle, epoch, 0).shuffle(&mut order);
        }
        self.workspace.hidden_active.fill(0);
        let before = self.workspace.hidden_active.iter_mut().zip(&cursor.hidden_active);
        before.for_each(|(active, before)| *active = *before);
        for rows in order[done..].chunks(size).take(most) {
            let batch = self.train_batch(x, y, rows)?;
            cursor.loss += batch.loss * batch.labelled as f64;
            cursor.labelled += batch.labelled as u64;
            cursor.active += batch.active_fraction * rows.len() as f64;
            cursor.samples += rows.len() as u64;
            cursor.lr = batch.lr;
            cursor.steps += 1;
            cursor.hidden_active.clone_from(&self.workspace.hidden_active);
            let (done, loss) = (cursor.samples as usize, cursor.mean_loss());
            if !on_batch(Progress { done, total: order.len(), loss }) {
                return Err(Error::Stopped);
            }
        }
        Ok(EpochReport {
            seconds: clock.elapsed().as_secs_f64(),
            rehash_seconds: self.workspace.rehash_seconds - rehash_before,
            ..self.report_of(cursor)
        })
    }

    /// What the epoch has done so far, but for times.
    fn report_of(&self, cursor: &Cursor) -> EpochReport {
        let n = cursor.samples.max(1) as f64;
        let sampled = self.hidden.iter().map(Hidden::sampled).zip(&self.workspace.hidden_active);
        let share = |(layer, &active): (Option<&Sampled<'static>>, &u64)| {
            layer.map(|layer| active as f64 / (n * layer.units() as f64))
        };
        EpochReport {
            loss: cursor.mean_loss(),
            active_fraction: cursor.active / n,
            lr: cursor.lr,
            steps: cursor.steps,
            samples: cursor.samples,
            labelled: cursor.labelled,
            hidden_active: sampled.filter_map(share).collect(),
            ..EpochReport::default()
        }
    }

    fn order(
        &self,
        x: &Features<'_>,
        y: &Targets<'_>,
        options: &EpochOptions<'_>,
    ) -> Result<Vec<u32>> {
        let n = x.len();
        if y.len() != n {
            let (found, wanted) = (format!("{} rows", y.len()), format!("{n} (as X)"));
            return Err(Error::Shape { name: "Y", found, wanted });
        }
        let last = u32::MAX as usize;
        if n > last {
            return Err(Error::Range { name: "rows of X", found: n, low: 0, high: last });
        }
        options.rows.map_or_else(|| Ok((0..n as u32).collect()), |rows| row_numbers(rows, n))
    }
}

/// Row numbers that are checked to be below `n`.
pub(super) fn row_numbers(rows: &[i64], n: usize) -> Result<Vec<u32>> {
    let checked = rows.iter().map(|&row| match u32::try_from(row) {
        Ok(row) if (row as usize) < n => Ok(row),
        _ => Err(Error::Shape {
            name: "rows",
            found: format!("row {row}"),
            wanted: format!("rows from 0 to {}", n as i64 - 1),
        }),
    });
    checked.collect()
}
