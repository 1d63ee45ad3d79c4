//! Prediction: exact by blocked products, or through the hash tables.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::layer::{Inputs, forward};
use crate::rows::{Matrix, SHARDS};
use crate::sparse::{Features, IdLists, are_finite};
use crate::tape::{BLOCK, Tape};

use super::Network;
use super::exact::{Exact, Searched};

/// How the best labels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every label is scored.
    Exact,
    /// Only the labels that the hash tables return are scored.
    Lsh,
}

/// Blocks that are read at a time; callers are asked between these whether to go on.
const CHUNK: usize = 64;

impl Network {
    /// Finds the best `k` labels of every row: `k` ids and `k` scores (logits) a row, best first,
    /// equal scores in the order of the ids. Where fewer are found (mode `Lsh`), -1 and minus
    /// infinity follow. `go_on` is asked now and then.
    ///
    /// In mode `Lsh` a single block of rows, [`BLOCK`] at most, is worked on by the calling thread
    /// alone, which need not be one of a pool: to wake others takes longer than they would save.
    ///
    /// # Errors
    ///
    /// If `k` is not between 1 and the number of labels, mode `Lsh` is asked of a network without
    /// tables, the arrays change during the call, or `go_on` says no.
    pub fn predict(
        &mut self,
        x: &Features<'_>,
        (k, mode): (usize, Mode),
        go_on: impl FnMut() -> bool,
    ) -> Result<(Vec<i32>, Vec<f32>)> {
        let units = self.output.units();
        if k == 0 || k > units {
            return Err(Error::Range { name: "k", found: k, low: 1, high: units });
        }
        if mode == Mode::Lsh && self.output.sampler().index().is_none() {
            let found = "\"lsh\" on a network without hash tables".to_owned();
            return Err(Error::Config { name: "mode", found, wanted: "\"exact\"" });
        }
        let mut ids = vec![-1; x.len() * k];
        let mut scores = vec![f32::NEG_INFINITY; x.len() * k];
        if mode == Mode::Exact || x.len() > BLOCK {
            self.ready();
        }
        let mut room = Exact::new(k);
        self.each_chunk(x, None, go_on, |network, first, tapes| {
            let rows: usize = tapes.iter().map(|tape| tape.len).sum();
            let place = first * k..(first + rows) * k;
            let (ids, scores) = (&mut ids[place.clone()], &mut scores[place]);
            match mode {
                Mode::Exact => room.run(network.searched(), tapes, (ids, scores)),
                Mode::Lsh => network.searched().found(network.config.seed, tapes, k, (ids, scores)),
            }
        })?;
        Ok((ids, scores))
    }

    /// The logits of given labels: one for every id of `candidates`, a list a row.
    ///
    /// # Errors
    ///
    /// If the numbers of rows differ, the arrays change during the call, or `go_on` says no.
    pub fn score(
        &mut self,
        x: &Features<'_>,
        candidates: &IdLists<'_>,
        go_on: impl FnMut() -> bool,
    ) -> Result<Vec<f32>> {
        if candidates.len() != x.len() {
            let (found, wanted) = (format!("{} rows", candidates.len()), format!("{}", x.len()));
            return Err(Error::Shape { name: "candidates", found, wanted });
        }
        let (columns, units) = (candidates.columns(), self.output.units());
        if columns > units {
            let (found, wanted) = (format!("{columns} labels"), format!("at most {units}"));
            return Err(Error::Shape { name: "candidates", found, wanted });
        }
        self.ready();
        let mut scores = Vec::with_capacity(candidates.nnz());
        let mut error = None;
        self.each_chunk(x, None, go_on, |network, first, tapes| {
            let read = |(block, tape): (usize, &mut Tape)| {
                for i in 0..tape.len {
                    let row = first + block * BLOCK + i;
                    let active = &mut tape.output.active;
                    candidates.append_row(row, &mut active.ids)?;
                    active.ends.push(active.ids.len());
                }
                network.output.score_active(&network.kernels, tape);
                Ok(())
            };
            let done: Result<()> = tapes.par_iter_mut().enumerate().map(read).collect();
            error = error.take().or(done.err());
            scores.extend(tapes.iter().flat_map(|tape| &tape.output.active.coefs));
        })?;
        error.map_or(Ok(scores), Err)
    }

    /// The logits of all labels, row after row. Meant for small problems: this is the one place
    /// where a matrix of rows times labels is made.
    ///
    /// # Errors
    ///
    /// If the arrays change during the call, or `go_on` says no.
    pub fn scores(&mut self, x: &Features<'_>, go_on: impl FnMut() -> bool) -> Result<Vec<f32>> {
        let units = self.output.units();
        self.ready();
        let mut scores = vec![0.0; x.len() * units];
        let mut rooms = Vec::new();
        self.each_chunk(x, None, go_on, |network, first, tapes| {
            rooms.resize_with(tapes.len(), Matrix::default);
            let out = scores[first * units..].par_chunks_mut(BLOCK * units);
            let tasks = tapes.par_chunks(1).zip(&mut rooms).zip(out);
            tasks.for_each(|((tape, room), out)| {
                let queries = network.searched().queries(tape, room);
                let layer = &network.output;
                layer.each_tile(&network.kernels, queries, 0..SHARDS, |tile, query, logits| {
                    let out = &mut out[query * units..][..units];
                    for (i, &logit) in logits.iter().enumerate() {
                        out[(tile.first + i) * SHARDS + tile.shard] = logit;
                    }
                });
            });
        })?;
        Ok(scores)
    }

    /// The output layer, to be searched.
    pub(super) const fn searched(&self) -> Searched<'_> {
        Searched { kernels: &self.kernels, layer: &self.output, number: self.hidden.len() }
    }

    /// Makes room for every thread of the current pool.
    pub(super) fn ready(&mut self) {
        let kernels = self.kernels;
        self.sampled_mut().for_each(|layer| layer.ensure(&kernels));
    }

    /// Brings chunks of rows up to the input of the output layer and hands them to `work`, with
    /// the number of their first row.
    pub(super) fn each_chunk(
        &mut self,
        x: &Features<'_>,
        rows: Option<&[u32]>,
        mut go_on: impl FnMut() -> bool,
        mut work: impl FnMut(&Self, usize, &mut [Tape]),
    ) -> Result<()> {
        let n = rows.map_or(x.len(), <[u32]>::len);
        if n > u32::MAX as usize {
            let (found, high) = (n, u32::MAX as usize);
            return Err(Error::Range { name: "rows of X", found, low: 0, high });
        }
        let mut tapes = std::mem::take(&mut self.workspace.prediction);
        let blocks = n.div_ceil(BLOCK).min(CHUNK);
        while tapes.len() < blocks {
            tapes.push(Tape::new(&self.config.hidden));
        }
        let mut chunks = || {
            for first in (0..n).step_by(CHUNK * BLOCK) {
                if !go_on() {
                    return Err(Error::Stopped);
                }
                let count = (n - first).min(CHUNK * BLOCK);
                let tapes = &mut tapes[..count.div_ceil(BLOCK)];
                let read = |(block, tape): (usize, &mut Tape)| {
                    let start = first + block * BLOCK;
                    let mut numbers = [0; BLOCK];
                    let numbers = &mut numbers[..(first + count - start).min(BLOCK)];
                    for (i, number) in numbers.iter_mut().enumerate() {
                        *number = rows.map_or((start + i) as u32, |rows| rows[start + i]);
                    }
                    tape.start(block * BLOCK, numbers.len());
                    self.read_block(x, numbers, tape)
                };
                if let [tape] = tapes {
                    read((0, tape))?;
                } else {
                    tapes.par_iter_mut().enumerate().try_for_each(read)?;
                }
                work(self, first, tapes);
            }
            Ok(())
        };
        let done = chunks();
        self.workspace.prediction = tapes;
        done
    }

    /// Takes rows `numbers` up to the input of the output layer.
    fn read_block(&self, x: &Features<'_>, numbers: &[u32], tape: &mut Tape) -> Result<()> {
        let how = (self.config.input.normalize, self.reads_rows(x, numbers));
        tape.features.read(x, numbers, how)?;
        forward(&self.kernels, &self.hidden, None, tape);
        let finite = |i: &usize| is_finite(tape.inputs(self.hidden.len()), *i);
        match (0..tape.len).find(|i| !finite(i)) {
            Some(i) => Err(Error::Overflow { row: numbers[i] as usize }),
            None => Ok(()),
        }
    }
}

/// Whether the input of sample `i` to the output layer are numbers.
fn is_finite(inputs: Inputs<'_>, i: usize) -> bool {
    let values = match inputs {
        Inputs::Dense(outputs) => outputs.row(i),
        Inputs::Sparse(lists) => lists.of(i).1,
    };
    are_finite(values)
}
