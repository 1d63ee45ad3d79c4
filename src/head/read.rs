//! What a head reads: the inputs of a block, and active sets that are given.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::rows::Matrix;
use crate::simd::Kernels;
use crate::sparse::{Features, IdLists};
use crate::tape::{BLOCK, LayerTape, Tape};

/// Starts a block of samples, of which the first has number `first` in its batch, and reads its
/// inputs from the rows of `x` from `row` on.
///
/// # Errors
///
/// If the arrays were changed during the call.
pub(super) fn read(
    tape: &mut Tape,
    x: &Features<'_>,
    (first, row, n): (usize, usize, usize),
) -> Result<()> {
    tape.start(first, n);
    match tape.hidden.last_mut() {
        Some(LayerTape::Dense(dense)) => {
            let Features::Dense(x) = x else { return Err(Error::Changed { name: "input" }) };
            for i in 0..n {
                dense.outputs.row_mut(i)[..x.columns()].copy_from_slice(x.row(row + i));
            }
        }
        Some(LayerTape::Sampled(sampled)) => {
            let active = &mut sampled.active;
            for i in 0..n {
                x.append_row(row + i, &mut active.ids, &mut active.coefs)?;
                active.ends.push(active.ids.len());
            }
            sampled.deltas.clear();
            sampled.deltas.resize(active.ids.len(), 0.0);
        }
        None => {}
    }
    Ok(())
}

/// Puts the lists of `ids` from row `row` on in the place of the active sets of the block.
///
/// # Errors
///
/// If the arrays were changed during the call.
pub(super) fn read_active(tape: &mut Tape, ids: &IdLists<'_>, row: usize) -> Result<()> {
    let active = &mut tape.output.active;
    for i in 0..tape.len {
        ids.append_row(row + i, &mut active.ids)?;
        active.ends.push(active.ids.len());
    }
    Ok(())
}

/// Puts `deltas`, one for each of `ids`, beside the active sets of the block.
///
/// # Errors
///
/// If the arrays were changed during the call.
pub(super) fn read_deltas(
    tape: &mut Tape,
    (ids, deltas): (&IdLists<'_>, &[f32]),
    row: usize,
) -> Result<()> {
    for i in 0..tape.len {
        let deltas = deltas.get(ids.bounds(row + i)?).ok_or(Error::Changed { name: "deltas" })?;
        tape.output.active.coefs.extend_from_slice(deltas);
    }
    Ok(())
}

/// Refuses active sets of more or fewer samples than there are.
pub(super) fn same_rows(x: usize, ids: usize) -> Result<()> {
    if x == ids {
        return Ok(());
    }
    let (found, wanted) = (format!("{ids} rows"), format!("{x} (as input)"));
    Err(Error::Shape { name: "indptr", found, wanted })
}

/// Reads `count` rows of `x` from row `start` on into tapes, one for each block, and does `work` with
/// each of these and the place in the batch of its first sample; all at once.
///
/// # Errors
///
/// If the arrays were changed during the call, or `work` fails.
pub(super) fn each_block(
    tapes: &mut [Tape],
    x: &Features<'_>,
    (start, count): (usize, usize),
    work: impl Fn(&mut Tape, usize) -> Result<()> + Sync,
) -> Result<()> {
    let blocks: Vec<(usize, usize)> = blocks(count).collect();
    tapes.par_iter_mut().zip(&blocks).try_for_each(|(tape, &(first, n))| {
        read(tape, x, (first, start + first, n))?;
        work(tape, first)
    })
}

/// Blocks of `n` samples, each with its first sample and how many it has.
pub(super) fn blocks(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).step_by(BLOCK).map(move |first| (first, BLOCK.min(n - first)))
}

/// The mean length of the inputs of some tapes, where there are any that are not zero.
pub(super) fn mean_length(kernels: &Kernels, tapes: &[Tape]) -> Option<f32> {
    let length = |x: &[f32]| f64::from((kernels.dot)(x, x)).sqrt();
    let of_tape = |tape: &Tape| match tape.hidden.last() {
        Some(LayerTape::Dense(dense)) => {
            let rows = |matrix: &Matrix| (0..tape.len).map(|i| length(matrix.row(i))).sum::<f64>();
            rows(&dense.outputs)
        }
        Some(LayerTape::Sampled(sampled)) => {
            (0..tape.len).map(|i| length(sampled.active.of(i).1)).sum()
        }
        None => 0.0,
    };
    let n: usize = tapes.iter().map(|tape| tape.len).sum();
    let mean = (tapes.iter().map(of_tape).sum::<f64>() / n.max(1) as f64) as f32;
    (mean.is_finite() && mean > 0.0).then_some(mean)
}

/// The gradients of the inputs of some tapes, as they stand there: of dense inputs a row of `width`
/// for each sample, of sparse ones a number for each that is given.
pub(super) fn gradients(tapes: &[Tape], width: usize) -> Vec<f32> {
    let mut all = Vec::new();
    for tape in tapes {
        match tape.hidden.last() {
            Some(LayerTape::Dense(dense)) => {
                (0..tape.len).for_each(|i| all.extend_from_slice(&dense.deltas.row(i)[..width]));
            }
            Some(LayerTape::Sampled(sampled)) => all.extend_from_slice(&sampled.deltas),
            None => {}
        }
    }
    all
}
