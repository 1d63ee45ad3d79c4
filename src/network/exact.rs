//! Exact search over all labels: groups of rows, and pieces of the layer, shared out to threads.

use rayon::prelude::*;

use crate::layer::{Inputs, Queries, Sampled, TopK};
use crate::rows::{Matrix, SHARDS};
use crate::simd::Kernels;
use crate::tape::{BLOCK, Tape};

/// Rows that meet a tile of the weights at a time.
const WIDE: usize = 128;

/// Tasks for each thread, so that all end at about the same time.
const TASKS: usize = 8;

/// A layer that is searched, which comes after `number` others.
#[derive(Clone, Copy)]
pub(crate) struct Searched<'a> {
    pub(crate) kernels: &'a Kernels,
    pub(crate) layer: &'a Sampled<'a>,
    pub(crate) number: usize,
}

/// Room for an exact search: the queries of each group of rows, and their best so far.
#[derive(Debug)]
pub(crate) struct Exact {
    k: usize,
    queries: Vec<Matrix>,
    /// Those of each group, one for each piece of the layer.
    tops: Vec<Vec<TopK>>,
}

impl Exact {
    /// Room for the best `k` of each row; it grows with the rows that come.
    pub(crate) const fn new(k: usize) -> Self {
        Self { k, queries: Vec::new(), tops: Vec::new() }
    }

    /// The best of all labels for every sample of the tapes.
    ///
    /// Where there are fewer groups of rows than threads could work on, the layer is cut into
    /// pieces. What comes out is the same: scores and ids have one order, whoever compares them.
    pub(crate) fn run(
        &mut self,
        searched: Searched<'_>,
        tapes: &[Tape],
        (ids, scores): (&mut [i32], &mut [f32]),
    ) {
        let Self { k, queries, tops } = self;
        let k = *k;
        let groups = tapes.chunks(WIDE / BLOCK);
        let wanted = (TASKS * rayon::current_num_threads()).div_ceil(groups.len().max(1));
        let pieces = wanted.next_power_of_two().min(SHARDS);
        let shards = SHARDS / pieces;
        queries.resize_with(groups.len(), Matrix::default);
        tops.resize_with(groups.len() * pieces, Vec::new);
        let queries: Vec<Queries<'_>> =
            groups.zip(&mut *queries).map(|(tapes, room)| searched.queries(tapes, room)).collect();
        tops.par_iter_mut().with_max_len(1).enumerate().for_each(|(task, tops)| {
            let (group, piece) = (task / pieces, task % pieces);
            tops.resize_with(queries[group].len(), || TopK::new(k));
            for top in &mut *tops {
                top.reset(k);
            }
            let shards = piece * shards..(piece + 1) * shards;
            searched.layer.exact(searched.kernels, queries[group], shards, tops);
        });
        let out = ids.par_chunks_mut(WIDE * k).zip(scores.par_chunks_mut(WIDE * k));
        tops.par_chunks_mut(pieces).zip(out).for_each(|(tops, (ids, scores))| {
            let Some((first, others)) = tops.split_first_mut() else { return };
            let out = ids.chunks_mut(k).zip(scores.chunks_mut(k));
            for (i, (top, (ids, scores))) in first.iter_mut().zip(out).enumerate() {
                for other in &*others {
                    top.merge(&other[i]);
                }
                top.write(ids, scores);
            }
        });
    }
}

impl Searched<'_> {
    /// The inputs of the layer of some tapes: brought together in `room` as dense rows, or as
    /// they stand where they are sparse and such rows would be long.
    pub(super) fn queries<'a>(self, tapes: &'a [Tape], room: &'a mut Matrix) -> Queries<'a> {
        let rows = tapes.iter().map(|tape| tape.len).sum();
        let width = self.layer.params().0.weights().width();
        let sparse = |tape: &Tape| matches!(tape.inputs(self.number), Inputs::Sparse(_));
        if width > NARROW && tapes.iter().any(sparse) {
            return Queries::Sparse(tapes);
        }
        room.reset(rows, width);
        let mut first = 0;
        for tape in tapes {
            match tape.inputs(self.number) {
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
        Queries::Dense(room, rows)
    }
}

/// Sparse inputs up to this width are scored as dense ones: then a group of rows, and a tile of
/// the weights, are a few megabytes, and products of matrices beat reading single columns.
const NARROW: usize = 1 << 12;
