//! Prediction: exact by blocked products, or through the hash tables.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::layer::TopK;
use crate::layer::{Inputs, Queries, forward};
use crate::rows::{Matrix, SHARDS};
use crate::sparse::{Features, IdLists, are_finite};
use crate::tape::{BLOCK, Tape};

use super::Network;

/// Labels that are scored for each one asked for, at least, in mode [`Mode::Lsh`].
const CANDIDATES: usize = 10;

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

/// Rows that meet a tile of the weights at a time.
const WIDE: usize = 128;

impl Network {
    /// Finds the best `k` labels of every row: `k` ids and `k` scores (logits) a row, best first,
    /// equal scores in the order of the ids. Where fewer are found (mode `Lsh`), -1 and minus
    /// infinity follow. `go_on` is asked now and then.
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
        let mut room = Exact::new(k);
        self.each_chunk(x, None, go_on, |network, first, tapes| {
            let rows: usize = tapes.iter().map(|tape| tape.len).sum();
            let place = first * k..(first + rows) * k;
            let (ids, scores) = (&mut ids[place.clone()], &mut scores[place]);
            match mode {
                Mode::Exact => room.run(network, tapes, (ids, scores)),
                Mode::Lsh => network.found(tapes, k, (ids, scores)),
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
        let mut scores = vec![0.0; x.len() * units];
        let mut room = Matrix::default();
        self.each_chunk(x, None, go_on, |network, first, tapes| {
            let (queries, rows) = network.queries(tapes, &mut room);
            let out = &mut scores[first * units..(first + rows) * units];
            let tile = |shard: usize, first: usize, count: usize, logits: &[f32]| {
                let rows = out.chunks_mut(units).zip(logits.chunks(logits.len() / rows));
                for (out, logits) in rows {
                    for (i, &logit) in logits[..count].iter().enumerate() {
                        out[(first + i) * SHARDS + shard] = logit;
                    }
                }
            };
            network.output.each_tile(&network.kernels, queries, rows, tile);
        })?;
        Ok(scores)
    }

    /// The best `k` of what the hash tables return for every sample of the tapes.
    fn found(&self, tapes: &mut [Tape], k: usize, (ids, scores): (&mut [i32], &mut [f32])) {
        let out = ids.par_chunks_mut(BLOCK * k).zip(scores.par_chunks_mut(BLOCK * k));
        tapes.par_iter_mut().zip(out).for_each(|(tape, (ids, scores))| {
            self.output.retrieve(&self.kernels, self.config.seed, CANDIDATES * k, tape);
            self.output.score_active(&self.kernels, tape);
            let mut top = TopK::new(k);
            for (i, (ids, scores)) in ids.chunks_mut(k).zip(scores.chunks_mut(k)).enumerate() {
                top.clear();
                let (found, logits) = tape.output.active.of(i);
                for (&id, &score) in found.iter().zip(logits) {
                    top.offer(score, id);
                }
                top.write(ids, scores);
            }
        });
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
        let kernels = self.kernels;
        for layer in self.sampled_mut() {
            layer.ensure(&kernels);
        }
        let network = &*self;
        let n = rows.map_or(x.len(), <[u32]>::len);
        if n > u32::MAX as usize {
            let (found, high) = (n, u32::MAX as usize);
            return Err(Error::Range { name: "rows of X", found, low: 0, high });
        }
        let blocks = n.div_ceil(BLOCK).min(CHUNK);
        let mut tapes: Vec<Tape> = (0..blocks).map(|_| Tape::new(&network.config.hidden)).collect();
        for first in (0..n).step_by(CHUNK * BLOCK) {
            if !go_on() {
                return Err(Error::Stopped);
            }
            let count = (n - first).min(CHUNK * BLOCK);
            let tapes = &mut tapes[..count.div_ceil(BLOCK)];
            tapes.par_iter_mut().enumerate().try_for_each(|(block, tape)| {
                let start = first + block * BLOCK;
                let mut numbers = [0; BLOCK];
                let numbers = &mut numbers[..(first + count - start).min(BLOCK)];
                for (i, number) in numbers.iter_mut().enumerate() {
                    *number = rows.map_or((start + i) as u32, |rows| rows[start + i]);
                }
                tape.start(block * BLOCK, numbers.len());
                let how = (network.config.input.normalize, network.reads_rows(x, numbers));
                tape.features.read(x, numbers, how)?;
                forward(&network.kernels, &network.hidden, None, tape);
                let finite = |i: &usize| is_finite(tape.inputs(network.hidden.len()), *i);
                match (0..tape.len).find(|i| !finite(i)) {
                    Some(i) => Err(Error::Overflow { row: numbers[i] as usize }),
                    None => Ok(()),
                }
            })?;
            work(network, first, tapes);
        }
        Ok(())
    }

    /// The inputs of the output layer of all tapes, and how many there are: brought together in
    /// `room` as dense rows, or as they stand where they are sparse and such rows would be long.
    fn queries<'a>(&self, tapes: &'a [Tape], room: &'a mut Matrix) -> (Queries<'a>, usize) {
        let rows = tapes.iter().map(|tape| tape.len).sum();
        let width = self.output.params().0.weights().width();
        let sparse = self.hidden.last().is_none_or(|layer| layer.sampled().is_some());
        if sparse && width > NARROW {
            return (Queries::Sparse(tapes), rows);
        }
        room.reset(rows, width);
        let mut first = 0;
        for tape in tapes {
            match tape.inputs(self.hidden.len()) {
                Inputs::Dense(outputs) => room.copy_block(first, outputs, tape.len),
                Inputs::Sparse(lists) => {
                    for i in 0..tape.len {
                        let (row, (ids, values)) = (room.row_mut(first + i), lists.of(i));
                        for (&id, value) in ids.iter().zip(values) {
                            row[id as usize] += value;
                        }
                    }
                }
            }
            first += tape.len;
        }
        (Queries::Dense(room), rows)
    }
}

/// Sparse inputs up to this width are scored as dense ones: then a group of rows, and a tile of
/// the weights, are a few megabytes, and products of matrices beat reading single columns.
const NARROW: usize = 1 << 12;

/// Whether the input of sample `i` to the output layer are numbers.
fn is_finite(inputs: Inputs<'_>, i: usize) -> bool {
    let values = match inputs {
        Inputs::Dense(outputs) => outputs.row(i),
        Inputs::Sparse(lists) => lists.of(i).1,
    };
    are_finite(values)
}

/// Room for an exact search: the queries of each group of rows, and their best so far.
pub(super) struct Exact {
    k: usize,
    groups: Vec<(Matrix, Vec<TopK>)>,
}

impl Exact {
    /// Room for the best `k` of each row; it grows with the rows that come.
    pub(super) const fn new(k: usize) -> Self {
        Self { k, groups: Vec::new() }
    }

    /// The best of all labels for every sample of the tapes.
    pub(super) fn run(
        &mut self,
        network: &Network,
        tapes: &[Tape],
        (ids, scores): (&mut [i32], &mut [f32]),
    ) {
        let k = self.k;
        let groups = tapes.chunks(WIDE / BLOCK).len();
        if self.groups.len() < groups {
            self.groups.resize_with(groups, Default::default);
        }
        let out = ids.par_chunks_mut(WIDE * k).zip(scores.par_chunks_mut(WIDE * k));
        let tapes = tapes.par_chunks(WIDE / BLOCK);
        let tasks = self.groups.par_iter_mut().zip(tapes).zip(out);
        tasks.for_each(|(((room, tops), tapes), (ids, scores))| {
            let (queries, rows) = network.queries(tapes, room);
            if tops.len() < rows {
                tops.resize_with(rows, || TopK::new(k));
            }
            let tops = &mut tops[..rows];
            tops.iter_mut().for_each(TopK::clear);
            network.output.exact(&network.kernels, queries, tops);
            for (top, (ids, scores)) in tops.iter().zip(ids.chunks_mut(k).zip(scores.chunks_mut(k)))
            {
                top.write(ids, scores);
            }
        });
    }
}
