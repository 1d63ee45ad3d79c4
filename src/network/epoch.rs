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
        mut on_batch: impl FnMut(Progress) -> bool,
    ) -> Result<EpochReport> {
        let clock = Instant::now();
        let rehash_before = self.workspace.rehash_seconds;
        self.workspace.phases = Phases::default();
        let mut order = self.order(x, y, &options)?;
        if options.shuffle {
            let epoch = self.counters.epochs;
            Rng::new(self.config.seed, Stream::Shuffle, epoch, 0).shuffle(&mut order);
        }
        self.counters.epochs += 1;
        self.workspace.hidden_active.fill(0);
        let (mut loss, mut labelled, mut active, mut done) = (0.0, 0, 0.0, 0);
        let mut report = EpochReport::default();
        for rows in order.chunks(options.batch_size.max(1)) {
            let batch = self.train_batch(x, y, rows)?;
            loss += batch.loss * batch.labelled as f64;
            labelled += batch.labelled;
            active += batch.active_fraction * rows.len() as f64;
            done += rows.len();
            report.lr = batch.lr;
            report.steps += 1;
            let mean = loss / labelled.max(1) as f64;
            if !on_batch(Progress { done, total: order.len(), loss: mean }) {
                return Err(Error::Stopped);
            }
        }
        let n = done.max(1) as f64;
        report.samples = done as u64;
        report.labelled = labelled as u64;
        report.loss = loss / labelled.max(1) as f64;
        report.active_fraction = active / n;
        report.seconds = clock.elapsed().as_secs_f64();
        report.rehash_seconds = self.workspace.rehash_seconds - rehash_before;
        let sampled = self.hidden.iter().map(Hidden::sampled).zip(&self.workspace.hidden_active);
        let share = |(layer, &active): (Option<&Sampled>, &u64)| {
            layer.map(|layer| active as f64 / (n * layer.units() as f64))
        };
        report.hidden_active = sampled.filter_map(share).collect();
        Ok(report)
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
