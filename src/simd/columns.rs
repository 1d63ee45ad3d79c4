//! Kernels over a few columns of rows: what a layer needs whose inputs are sparse.

use super::element::Element;
use super::kernels::{GROUP, padded, row_of, store_tail};
use super::{Isa, LANES};

/// Columns that were checked against the width of a row.
#[derive(Clone, Copy)]
struct Columns<'a> {
    ids: &'a [u32],
    width: usize,
}

/// A vector of checked columns.
#[derive(Clone, Copy)]
pub(super) struct Lanes<'a> {
    ids: &'a [u32; LANES],
    width: usize,
}

impl<'a> Columns<'a> {
    #[inline(always)]
    fn new(ids: &'a [u32], width: usize) -> Self {
        let last = ids.iter().fold(0, |last, &id| last.max(id));
        assert!(ids.is_empty() || (last as usize) < width, "column {last} of {width}");
        assert!(i32::try_from(width).is_ok(), "columns are signed in gather instructions");
        Self { ids, width }
    }

    /// Whole vectors, and what is left.
    #[inline(always)]
    fn split(self) -> (impl Iterator<Item = Lanes<'a>> + Clone, &'a [u32]) {
        let (chunks, tail) = self.ids.as_chunks::<LANES>();
        (chunks.iter().map(move |ids| Lanes { ids, width: self.width }), tail)
    }
}

impl Lanes<'_> {
    /// The columns, all of them below the length of `row` and of 2^31.
    #[inline(always)]
    pub(super) fn of<E>(&self, row: &[E]) -> &[u32; LANES] {
        assert!(row.len() >= self.width, "a row of {} columns", self.width);
        self.ids
    }
}

/// The entries of `row` at `lanes`, read without vectors.
#[inline(always)]
pub(super) fn one_by_one<E: Element>(row: &[E], lanes: Lanes<'_>) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    for (out, &j) in out.iter_mut().zip(lanes.of(row)) {
        *out = row[j as usize].widen();
    }
    out
}

/// The entries of `row` at `tail`, and then zeros.
#[inline(always)]
fn gathered_tail<E: Element>(row: &[E], tail: &[u32]) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    for (out, &j) in out.iter_mut().zip(tail) {
        *out = row[j as usize].widen();
    }
    out
}

#[inline(always)]
pub(super) fn dot_columns<I: Isa, E: Element>(
    isa: I,
    (weights, stride): (&[E], usize),
    rows: &[u32],
    columns: &[u32],
    values: &[f32],
    out: &mut [f32],
) {
    assert_eq!(rows.len(), out.len(), "one output for every row");
    assert_eq!(columns.len(), values.len(), "one value for every column");
    let (lanes, tail) = Columns::new(columns, stride).split();
    let (chunks, values_tail) = values.as_chunks::<LANES>();
    for (rows, out) in rows.chunks(GROUP).zip(out.chunks_mut(GROUP)) {
        let mut group = [row_of(weights, rows[0], stride); GROUP];
        for (row, &id) in group.iter_mut().zip(rows) {
            *row = row_of(weights, id, stride);
        }
        let mut acc = [isa.splat(0.0); GROUP];
        for (lanes, x) in lanes.clone().zip(chunks) {
            let x = isa.load(x);
            for i in 0..GROUP {
                acc[i] = isa.mul_add(E::gather(isa, group[i], lanes), x, acc[i]);
            }
        }
        if !tail.is_empty() {
            let x = isa.load(&padded(values_tail));
            for i in 0..GROUP {
                acc[i] = isa.mul_add(isa.load(&gathered_tail(group[i], tail)), x, acc[i]);
            }
        }
        out.copy_from_slice(&isa.sums(acc)[..rows.len()]);
    }
}

#[inline(always)]
pub(super) fn axpy_columns<I: Isa, E: Element>(
    isa: I,
    (weights, stride): (&[E], usize),
    rows: &[u32],
    coefs: &[f32],
    columns: &[u32],
    out: &mut [f32],
) {
    assert_eq!(rows.len(), coefs.len(), "one coefficient for every row");
    assert_eq!(columns.len(), out.len(), "one output for every column");
    let (lanes, tail) = Columns::new(columns, stride).split();
    let (chunks, out_tail) = out.as_chunks_mut::<LANES>();
    for (&row, &coef) in rows.iter().zip(coefs) {
        let (row, coef) = (row_of(weights, row, stride), isa.splat(coef));
        for (lanes, out) in lanes.clone().zip(chunks.iter_mut()) {
            isa.store(out, isa.mul_add(coef, E::gather(isa, row, lanes), isa.load(out)));
        }
        if !tail.is_empty() {
            let sum = isa.load(&padded(out_tail));
            let sum = isa.mul_add(coef, isa.load(&gathered_tail(row, tail)), sum);
            store_tail(isa, out_tail, sum);
        }
    }
}
