//! Inner products of all rows of one matrix with all rows of another.
//!
//! Both are read where they stand: nothing is transposed or packed. A tile of products, each a
//! vector of partial sums, stays in registers; so every product is summed exactly as
//! [`super::kernels::dot_rows`] sums it, whatever else is asked for beside it.

use super::element::Element;
use super::kernels::GROUP;
use super::{Isa, LANES};

/// A row as whole vectors.
type Row<'a, E> = &'a [[E; LANES]];

#[inline(always)]
pub(super) fn products<I: Isa, E: Element>(
    isa: I,
    weights: &[E],
    x: &[f32],
    stride: usize,
    ahead: &[E],
    out: &mut [f32],
) {
    assert!(stride > 0 && stride.is_multiple_of(LANES), "rows of whole vectors");
    assert_eq!(weights.len() / stride * (x.len() / stride), out.len(), "one output for every pair");
    if out.is_empty() {
        return;
    }
    if x.len() == stride {
        return stream(isa, weights, x, out);
    }
    // The tile's sums, a vector of each of its rows and one of `x` share the register file.
    if I::REGISTERS >= 32 {
        in_tiles::<I, E, 4>(isa, weights, x, stride, ahead, out);
    } else {
        in_tiles::<I, E, 1>(isa, weights, x, stride, ahead, out);
    }
}

/// All rows with a single `x`, which is a stream: every line is read once, and in the order it has
/// in memory. Only so does the hardware fetch ahead at the rate of the memory; with the lines of two
/// rows or four in turn it reads at less than half of that, whatever is asked for ahead.
#[inline(always)]
fn stream<I: Isa, E: Element>(isa: I, weights: &[E], x: &[f32], out: &mut [f32]) {
    let (x, _) = x.as_chunks::<LANES>();
    let (chunks, _) = weights.as_chunks::<LANES>();
    let groups = chunks.chunks(GROUP * x.len());
    for (rows, out) in groups.zip(out.chunks_mut(GROUP)) {
        let mut acc = [isa.splat(0.0); GROUP];
        for (acc, row) in acc.iter_mut().zip(rows.chunks_exact(x.len())) {
            for (w, x) in row.iter().zip(x) {
                *acc = isa.mul_add(E::load(isa, w), isa.load(x), *acc);
            }
        }
        let sums = isa.sums(acc);
        match out.first_chunk_mut::<GROUP>() {
            Some(out) => *out = sums,
            None => out.copy_from_slice(&sums[..out.len()]),
        }
    }
}

/// Takes `WIDE` rows of `x` at a time, then one.
#[inline(always)]
fn in_tiles<I: Isa, E: Element, const WIDE: usize>(
    isa: I,
    weights: &[E],
    x: &[f32],
    stride: usize,
    ahead: &[E],
    out: &mut [f32],
) {
    let rows = weights.len() / stride;
    let (x_chunks, _) = x.as_chunks::<LANES>();
    let (ahead, _) = ahead.as_chunks::<LANES>();
    let vectors = stride / LANES;
    let (wide, narrow) = x_chunks.split_at(x_chunks.len() / (vectors * WIDE) * (vectors * WIDE));
    let (wide_out, narrow_out) = out.split_at_mut(wide.len() / vectors * rows);
    // What is fetched ahead is spread over the first pass.
    let mut ahead = ahead;
    for (x, out) in wide.chunks_exact(vectors * WIDE).zip(wide_out.chunks_exact_mut(rows * WIDE)) {
        all_rows::<I, E, WIDE>(isa, weights, x, std::mem::take(&mut ahead), out);
    }
    for (x, out) in narrow.chunks_exact(vectors).zip(narrow_out.chunks_exact_mut(rows)) {
        all_rows::<I, E, 1>(isa, weights, x, std::mem::take(&mut ahead), out);
    }
}

/// All rows of `weights` with `COUNT` rows of `x`.
#[inline(always)]
fn all_rows<I: Isa, E: Element, const COUNT: usize>(
    isa: I,
    weights: &[E],
    x: Row<'_, f32>,
    ahead: Row<'_, E>,
    out: &mut [f32],
) {
    let vectors = x.len() / COUNT;
    let (chunks, _) = weights.as_chunks::<LANES>();
    let rows = chunks.len() / vectors;
    let mut xs = [x; COUNT];
    for (i, row) in xs.iter_mut().enumerate() {
        *row = &x[i * vectors..][..vectors];
    }
    let groups = rows.div_ceil(GROUP);
    let fetched = ahead.len().div_ceil(groups.max(1)).max(1);
    let mut ahead = ahead.chunks(fetched);
    for first in (0..rows).step_by(GROUP) {
        let count = GROUP.min(rows - first);
        let mut group = [chunks; GROUP];
        for (i, row) in group.iter_mut().enumerate() {
            // Of a group that is not full, the last row stands for those that are not there.
            *row = &chunks[(first + i.min(count - 1)) * vectors..][..vectors];
        }
        let sums = tile::<I, E, COUNT>(isa, group, xs, ahead.next().unwrap_or_default());
        for (i, sums) in sums.iter().enumerate() {
            let out = &mut out[i * rows + first..];
            // A copy of unknown length would be a call.
            match out.first_chunk_mut::<GROUP>() {
                Some(out) if count == GROUP => *out = *sums,
                _ => out[..count].copy_from_slice(&sums[..count]),
            }
        }
    }
}

/// The products of a group of rows with each of `xs`, fetching the lines `ahead` meanwhile.
#[inline(always)]
fn tile<I: Isa, E: Element, const COUNT: usize>(
    isa: I,
    rows: [Row<'_, E>; GROUP],
    xs: [Row<'_, f32>; COUNT],
    ahead: Row<'_, E>,
) -> [[f32; GROUP]; COUNT] {
    for line in ahead {
        isa.prefetch(line);
    }
    let vectors = xs[0].len();
    let rows = [&rows[0][..vectors], &rows[1][..vectors], &rows[2][..vectors], &rows[3][..vectors]];
    let mut acc = [[isa.splat(0.0); GROUP]; COUNT];
    for at in 0..vectors {
        let mut w = [isa.splat(0.0); GROUP];
        for i in 0..GROUP {
            w[i] = E::load(isa, &rows[i][at]);
        }
        for j in 0..COUNT {
            let x = isa.load(&xs[j][at]);
            for i in 0..GROUP {
                acc[j][i] = isa.mul_add(w[i], x, acc[j][i]);
            }
        }
    }
    let mut sums = [[0.0; GROUP]; COUNT];
    for j in 0..COUNT {
        sums[j] = isa.sums(acc[j]);
    }
    sums
}
