//! The kernels over vectors and rows, once. All are `inline(always)` so that they take on the
//! target features of the thin wrapper that names an instruction set.
//!
//! A tail shorter than a vector is copied to one padded with zeros, so that its entries go
//! through the same instructions as all others.

use super::element::Element;
use super::{Isa, LANES};

/// Rows whose dot products share one read of `x`.
pub(super) const GROUP: usize = 4;

/// Floats between the row in use and the row being fetched: half of a 32 KiB cache. Less leaves
/// memory idle, more drives out what was fetched.
const FETCHED: usize = 4096;

/// How many rows of `width` floats before its use a row is fetched.
#[inline(always)]
fn rows_ahead(width: usize) -> usize {
    (FETCHED / width.max(1)).clamp(GROUP, 64)
}

/// Whether vector number `chunk` of a row begins a line of the cache, where the row does.
#[inline(always)]
pub(super) const fn begins_line<E>(chunk: usize) -> bool {
    (chunk * LANES * size_of::<E>()).is_multiple_of(64)
}

/// `tail` and then zeros.
#[inline(always)]
pub(super) fn padded<E: Element>(tail: &[E]) -> [E; LANES] {
    let mut chunk = [E::default(); LANES];
    chunk[..tail.len()].copy_from_slice(tail);
    chunk
}

/// Row `row` of a matrix with `width` columns.
#[inline(always)]
pub(super) fn row_of<E>(weights: &[E], row: u32, width: usize) -> &[E] {
    &weights[row as usize * width..][..width]
}

#[inline(always)]
pub(super) fn dot_rows<I: Isa, E: Element>(
    isa: I,
    weights: &[E],
    rows: &[u32],
    x: &[f32],
    out: &mut [f32],
) {
    assert_eq!(rows.len(), out.len(), "one output for every row");
    let (groups, rest) = rows.as_chunks::<GROUP>();
    let (group_outs, rest_out) = out.as_chunks_mut::<GROUP>();
    let distance = rows_ahead(x.len()) / GROUP;
    for (k, (group, out)) in groups.iter().zip(group_outs).enumerate() {
        let ahead = groups.get(k + distance).unwrap_or(group);
        *out = dot_group(isa, weights, *group, *ahead, x);
    }
    if let Some(&first) = rest.first() {
        let mut group = [first; GROUP];
        group[..rest.len()].copy_from_slice(rest);
        rest_out.copy_from_slice(&dot_group(isa, weights, group, group, x)[..rest.len()]);
    }
}

/// The dot products of `x` with the rows `group`, fetching the rows `ahead` meanwhile.
#[inline(always)]
fn dot_group<I: Isa, E: Element>(
    isa: I,
    weights: &[E],
    group: [u32; GROUP],
    ahead: [u32; GROUP],
    x: &[f32],
) -> [f32; GROUP] {
    let (x_chunks, x_tail) = x.as_chunks::<LANES>();
    let (first, first_tail) = row_of(weights, group[0], x.len()).as_chunks::<LANES>();
    let (mut near, mut far, mut tails) = ([first; GROUP], [first; GROUP], [first_tail; GROUP]);
    for i in 0..GROUP {
        (near[i], tails[i]) = row_of(weights, group[i], x.len()).as_chunks();
        far[i] = row_of(weights, ahead[i], x.len()).as_chunks().0;
    }
    let mut acc = [isa.splat(0.0); GROUP];
    for (chunk, x) in x_chunks.iter().enumerate() {
        let x = isa.load(x);
        for i in 0..GROUP {
            if begins_line::<E>(chunk) {
                isa.prefetch(&raw const far[i][chunk]);
            }
            acc[i] = isa.mul_add(E::load(isa, &near[i][chunk]), x, acc[i]);
        }
    }
    if !x_tail.is_empty() {
        let x = isa.load(&padded(x_tail));
        for i in 0..GROUP {
            acc[i] = isa.mul_add(E::load(isa, &padded(tails[i])), x, acc[i]);
        }
    }
    isa.sums(acc)
}

#[inline(always)]
pub(super) fn axpy_rows<I: Isa, E: Element>(
    isa: I,
    weights: &[E],
    rows: &[u32],
    coefs: &[f32],
    y: &mut [f32],
) {
    assert_eq!(rows.len(), coefs.len(), "one coefficient for every row");
    let width = y.len();
    let (chunks, tail) = y.as_chunks_mut::<LANES>();
    let terms = Terms { weights, rows, coefs, width };
    let mut at = 0;
    while at < chunks.len() {
        let left = &mut chunks[at..];
        at += if I::REGISTERS > 8
            && let Some(panel) = left.first_chunk_mut::<8>()
        {
            terms.add_to_panel(isa, at, panel)
        } else if let Some(panel) = left.first_chunk_mut::<4>() {
            terms.add_to_panel(isa, at, panel)
        } else if let Some(panel) = left.first_chunk_mut::<2>() {
            terms.add_to_panel(isa, at, panel)
        } else {
            terms.add_to_panel(isa, at, std::array::from_mut(&mut left[0]))
        };
    }
    if !tail.is_empty() {
        let sum = terms.add_to_tail(isa, isa.load(&padded(tail)));
        store_tail(isa, tail, sum);
    }
}

#[inline(always)]
pub(super) fn sum_rows<I: Isa>(
    isa: I,
    weights: &[f32],
    rows: &[u32],
    coefs: &[f32],
    y: &mut [f32],
) -> f32 {
    assert_eq!(rows.len(), coefs.len(), "one coefficient for every row");
    let width = y.len();
    let (chunks, tail) = y.as_chunks_mut::<LANES>();
    let (blocks, rest) = chunks.as_chunks_mut::<4>();
    let terms = Terms { weights, rows, coefs, width };
    let mut squares = [isa.splat(0.0); 4];
    let mut at = 0;
    for block in blocks {
        let sums = terms.sum::<I, 4>(isa, at);
        for i in 0..4 {
            isa.store(&mut block[i], sums[i]);
            squares[i] = isa.mul_add(sums[i], sums[i], squares[i]);
        }
        at += 4;
    }
    for chunk in rest {
        let [sum] = terms.sum(isa, at);
        isa.store(chunk, sum);
        squares[0] = isa.mul_add(sum, sum, squares[0]);
        at += 1;
    }
    if !tail.is_empty() {
        let sum = terms.add_to_tail(isa, isa.splat(0.0));
        store_tail(isa, tail, sum);
        squares[1] = isa.mul_add(sum, sum, squares[1]);
    }
    isa.sum(isa.add(isa.add(squares[0], squares[1]), isa.add(squares[2], squares[3])))
}

/// `coefs[k] * weights[rows[k]]`, to be summed over k.
struct Terms<'a, E> {
    weights: &'a [E],
    rows: &'a [u32],
    coefs: &'a [f32],
    width: usize,
}

impl<E: Element> Terms<'_, E> {
    /// Adds the terms' chunks from number `at` on to `panel`, which stays in registers over all
    /// rows. Returns the size of the panel.
    #[inline(always)]
    fn add_to_panel<I: Isa, const P: usize>(
        &self,
        isa: I,
        at: usize,
        panel: &mut [[f32; LANES]; P],
    ) -> usize {
        let mut acc = [isa.splat(0.0); P];
        for i in 0..P {
            acc[i] = isa.load(&panel[i]);
        }
        let distance = rows_ahead(self.width);
        for (k, (&row, &coef)) in self.rows.iter().zip(self.coefs).enumerate() {
            let near = &self.chunks(row)[at..][..P];
            let far = &self.chunks(*self.rows.get(k + distance).unwrap_or(&row))[at..][..P];
            let coef = isa.splat(coef);
            for i in 0..P {
                isa.prefetch(&raw const far[i]);
                acc[i] = isa.mul_add(coef, E::load(isa, &near[i]), acc[i]);
            }
        }
        for i in 0..P {
            isa.store(&mut panel[i], acc[i]);
        }
        P
    }

    /// The sums of the terms' chunks from number `at` on.
    #[inline(always)]
    fn sum<I: Isa, const P: usize>(&self, isa: I, at: usize) -> [I::V; P] {
        let mut acc = [isa.splat(0.0); P];
        for (&row, &coef) in self.rows.iter().zip(self.coefs) {
            let (chunks, coef) = (&self.chunks(row)[at..][..P], isa.splat(coef));
            for i in 0..P {
                acc[i] = isa.mul_add(coef, E::load(isa, &chunks[i]), acc[i]);
            }
        }
        acc
    }

    /// Adds what the terms have behind their last whole vector.
    #[inline(always)]
    fn add_to_tail<I: Isa>(&self, isa: I, mut acc: I::V) -> I::V {
        for (&row, &coef) in self.rows.iter().zip(self.coefs) {
            let (_, tail) = row_of(self.weights, row, self.width).as_chunks::<LANES>();
            acc = isa.mul_add(isa.splat(coef), E::load(isa, &padded(tail)), acc);
        }
        acc
    }

    /// The whole vectors of one row.
    #[inline(always)]
    fn chunks(&self, row: u32) -> &[[E; LANES]] {
        row_of(self.weights, row, self.width).as_chunks().0
    }
}

/// Writes as many lanes as `tail` holds.
#[inline(always)]
pub(super) fn store_tail<I: Isa>(isa: I, tail: &mut [f32], v: I::V) {
    let mut chunk = [0.0; LANES];
    isa.store(&mut chunk, v);
    tail.copy_from_slice(&chunk[..tail.len()]);
}

#[inline(always)]
pub(super) fn dot<I: Isa>(isa: I, x: &[f32], y: &[f32]) -> f32 {
    assert_eq!(x.len(), y.len(), "vectors of one length");
    let (x_chunks, x_tail) = x.as_chunks::<LANES>();
    let (y_chunks, y_tail) = y.as_chunks::<LANES>();
    // Four sums at once, since each addition waits for the one before it.
    let mut acc = [isa.splat(0.0); 4];
    let (x_blocks, x_rest) = x_chunks.as_chunks::<4>();
    let (y_blocks, y_rest) = y_chunks.as_chunks::<4>();
    for (x, y) in x_blocks.iter().zip(y_blocks) {
        for i in 0..4 {
            acc[i] = isa.mul_add(isa.load(&x[i]), isa.load(&y[i]), acc[i]);
        }
    }
    for (x, y) in x_rest.iter().zip(y_rest) {
        acc[0] = isa.mul_add(isa.load(x), isa.load(y), acc[0]);
    }
    if !x_tail.is_empty() {
        acc[1] = isa.mul_add(isa.load(&padded(x_tail)), isa.load(&padded(y_tail)), acc[1]);
    }
    isa.sum(isa.add(isa.add(acc[0], acc[1]), isa.add(acc[2], acc[3])))
}

#[inline(always)]
pub(super) fn axpy<I: Isa>(isa: I, a: f32, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "vectors of one length");
    let (x_chunks, x_tail) = x.as_chunks::<LANES>();
    let (y_chunks, y_tail) = y.as_chunks_mut::<LANES>();
    let a = isa.splat(a);
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        isa.store(y, isa.mul_add(a, isa.load(x), isa.load(y)));
    }
    if !x_tail.is_empty() {
        let sum = isa.mul_add(a, isa.load(&padded(x_tail)), isa.load(&padded(y_tail)));
        store_tail(isa, y_tail, sum);
    }
}

/// Asks for every line of `x`, and waits for none.
#[inline(always)]
pub(super) fn prefetch<I: Isa>(isa: I, x: &[f32]) {
    let (chunks, _) = x.as_chunks::<LANES>();
    for chunk in chunks {
        isa.prefetch(chunk);
    }
    // Where `x` does not begin with a line, its last numbers lie in one more.
    if let Some(last) = x.last() {
        isa.prefetch(last);
    }
}

#[inline(always)]
pub(super) fn scale<I: Isa>(isa: I, a: f32, x: &mut [f32]) {
    let (chunks, tail) = x.as_chunks_mut::<LANES>();
    for x in chunks {
        isa.store(x, isa.mul(isa.splat(a), isa.load(x)));
    }
    for x in tail {
        *x *= a;
    }
}

#[inline(always)]
pub(super) fn max<I: Isa>(isa: I, x: &[f32]) -> f32 {
    let (chunks, tail) = x.as_chunks::<LANES>();
    let mut greatest = isa.splat(f32::NEG_INFINITY);
    for x in chunks {
        greatest = isa.max(greatest, isa.load(x));
    }
    let mut lanes = [0.0; LANES];
    isa.store(&mut lanes, greatest);
    lanes.iter().chain(tail).fold(f32::NEG_INFINITY, |a, &b| if a > b { a } else { b })
}

#[inline(always)]
pub(super) fn exp_sum<I: Isa>(isa: I, shift: f32, x: &mut [f32]) -> f32 {
    let (chunks, tail) = x.as_chunks_mut::<LANES>();
    let shift = isa.splat(shift);
    let mut sum = isa.splat(0.0);
    for x in chunks {
        let power = exp(isa, isa.sub(isa.load(x), shift));
        isa.store(x, power);
        sum = isa.add(sum, power);
    }
    if !tail.is_empty() {
        let mut chunk = [f32::NEG_INFINITY; LANES]; // whose exponential adds nothing
        chunk[..tail.len()].copy_from_slice(tail);
        let power = exp(isa, isa.sub(isa.load(&chunk), shift));
        store_tail(isa, tail, power);
        sum = isa.add(sum, power);
    }
    isa.sum(sum)
}

/// `exp(x) = 2^n exp(r)`, where n is the integer nearest to `x / ln 2`, so `|r| <= ln(2) / 2`.
#[inline(always)]
fn exp<I: Isa>(isa: I, x: I::V) -> I::V {
    /// Below this the result is not a normal number.
    const LOWEST: f32 = -87.3;
    /// Above this `2^n` is not a finite number.
    const HIGHEST: f32 = 88.37;
    // `n * LN_2_HIGH` is exact: the constant has nine bits and n at most eight.
    const LN_2_HIGH: f32 = 355.0 / 512.0;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // `(exp(r) - 1 - r) / r^2` by interpolation at the five Chebyshev nodes of the range of r.
    const SERIES: [f32; 5] = [0.5, 0.166_665_76, 0.041_666_552, 0.008_363_233, 0.001_392_625];

    let clamped = isa.min(isa.splat(HIGHEST), isa.max(isa.splat(LOWEST), x));
    let n = isa.round(isa.mul(clamped, isa.splat(std::f32::consts::LOG2_E)));
    let r = isa.mul_add(n, isa.splat(-LN_2_HIGH), clamped);
    let r = isa.mul_add(n, isa.splat(-LN_2_LOW), r);
    let mut series = isa.splat(SERIES[4]);
    for i in (0..4).rev() {
        series = isa.mul_add(series, r, isa.splat(SERIES[i]));
    }
    let above_one = isa.mul_add(isa.mul(r, r), series, r);
    let power = isa.scale_by_power(isa.add(above_one, isa.splat(1.0)), n);
    isa.zero_below(x, isa.splat(LOWEST), power)
}
