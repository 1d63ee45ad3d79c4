//! Adam on one row, in one pass: every number is read once and stored once, in whatever type.
//!
//! What is stored in halves is rounded at random in the registers. The dice are those of
//! [`dice`](super::dice): the first for the weight, the second and third for its moments.

use super::element::Element;
use super::kernels::{begins_line, padded};
use super::words::{Chance, Words};
use super::{Isa, LANES};

/// The constants of one Adam update; see [`Adam::entries`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the mean of the gradient.
    pub beta1: f32,
    /// Decay of the mean of its square.
    pub beta2: f32,
    /// What is left of the mean: `beta1`, or its power where steps were missed.
    pub keep1: f32,
    /// What is left of the mean square: `beta2`, or its power.
    pub keep2: f32,
    /// What is left of the weight: 1, or less with decoupled weight decay.
    pub decay: f32,
    /// Keeps the divisor from zero.
    pub eps: f32,
    /// `1 / (1 - beta1^t)`, which removes the pull of the first mean to its start at zero.
    pub bias1: f32,
    /// `1 / (1 - beta2^t)`, the same for the second mean.
    pub bias2: f32,
}

/// The constants of one Adam update of a row that has one second moment; see [`Adam::row`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamRowStep {
    /// What is left of the mean.
    pub keep: f32,
    /// What the gradient adds to it.
    pub fresh: f32,
    /// What is left of the weight.
    pub decay: f32,
    /// What the mean is multiplied by before it is taken from the weight.
    pub rate: f32,
}

impl AdamStep {
    /// The step of a row that has one second moment `v`, which `square`, the mean square of the
    /// row's gradient, changes on the way.
    #[must_use]
    pub fn of_row(&self, v: &mut f32, square: f32) -> AdamRowStep {
        *v = self.keep2 * *v + (1.0 - self.beta2) * square;
        let rate = self.lr * self.bias1 / ((*v * self.bias2).sqrt() + self.eps);
        // Only with a tiny `eps` and no gradient so far; infinity times a mean of zero is NaN.
        let rate = if rate == f32::INFINITY { f32::MAX } else { rate };
        AdamRowStep { keep: self.keep1, fresh: 1.0 - self.beta1, decay: self.decay, rate }
    }
}

/// A row of weights with what Adam remembers of each.
#[derive(Debug)]
pub struct State<'a, W, M> {
    /// The weights.
    pub w: &'a mut [W],
    /// First moments.
    pub m: &'a mut [M],
    /// Second moments; not read where the row has one.
    pub v: &'a mut [M],
    /// How many numbers behind this row the one begins that will be changed some rows later; 0 where
    /// none will. It is fetched line by line meanwhile, as it takes longer where all lines of a row are
    /// asked for at once.
    pub soon: usize,
}

/// Asks for the line that vector number `chunk` of a row begins, `soon` numbers behind it.
#[inline(always)]
fn fetch<I: Isa, E: Element>(isa: I, soon: usize, chunk: usize, x: &[E; LANES]) {
    if begins_line::<E>(chunk) {
        isa.prefetch(x.as_ptr().wrapping_add(soon));
    }
}

/// Adam on rows of weights `W` with moments `M`.
///
/// `dice` is a key of the row and the step, and the place in the row of the first entry: what is
/// stored in halves is rounded by them; see [`RowKernels::round`](super::RowKernels::round).
#[derive(Clone, Copy, Debug)]
pub struct Adam<W = f32, M = f32> {
    /// `m = keep1 m + (1 - beta1) g`, `v = keep2 v + (1 - beta2) g^2`, then
    /// `w = decay w - lr (m bias1) / (sqrt(v bias2) + eps)`.
    pub entries: AdamEntries<W, M>,
    /// `m = keep m + fresh g`, then `w = decay w - rate m`.
    pub row: AdamRow<W, M>,
}

/// The signature of [`Adam::entries`].
pub type AdamEntries<W, M> = fn(step: &AdamStep, dice: (u64, u32), row: State<'_, W, M>, g: &[f32]);

/// The signature of [`Adam::row`].
pub type AdamRow<W, M> = fn(step: &AdamRowStep, dice: (u64, u32), row: State<'_, W, M>, g: &[f32]);

#[inline(always)]
pub(super) fn entries<I: Words, W: Element, M: Element>(
    isa: I,
    step: &AdamStep,
    dice: (u64, u32),
    State { w, m, v, soon }: State<'_, W, M>,
    g: &[f32],
) {
    let fits = |length: usize| length == g.len();
    let fit = fits(w.len()) && fits(m.len()) && fits(v.len());
    assert!(fit, "weights and means as long as the gradient");
    let (w_chunks, w_tail) = w.as_chunks_mut::<LANES>();
    let (m_chunks, m_tail) = m.as_chunks_mut::<LANES>();
    let (v_chunks, v_tail) = v.as_chunks_mut::<LANES>();
    let (g_chunks, g_tail) = g.as_chunks::<LANES>();
    let mut chance = Chance::new(isa, dice);
    let chunks = w_chunks.iter_mut().zip(m_chunks).zip(v_chunks).zip(g_chunks);
    for (chunk, (((w, m), v), g)) in chunks.enumerate() {
        fetch(isa, soon, chunk, w);
        fetch(isa, soon, chunk, m);
        fetch(isa, soon, chunk, v);
        entries_chunk(isa, step, &mut chance, (w, m, v), g);
    }
    if !g_tail.is_empty() {
        let (mut w, mut m, mut v) = (padded(w_tail), padded(m_tail), padded(v_tail));
        entries_chunk(isa, step, &mut chance, (&mut w, &mut m, &mut v), &padded(g_tail));
        w_tail.copy_from_slice(&w[..w_tail.len()]);
        m_tail.copy_from_slice(&m[..m_tail.len()]);
        v_tail.copy_from_slice(&v[..v_tail.len()]);
    }
}

/// One vector of [`entries`].
#[inline(always)]
fn entries_chunk<I: Words, W: Element, M: Element>(
    isa: I,
    step: &AdamStep,
    chance: &mut Chance<I>,
    (w, m, v): (&mut [W; LANES], &mut [M; LANES], &mut [M; LANES]),
    g: &[f32; LANES],
) {
    let dice = chance.next();
    let gradient = isa.load(g);
    let fresh = isa.mul(isa.splat(1.0 - step.beta1), gradient);
    let mean = isa.mul_add(isa.splat(step.keep1), M::load(isa, m), fresh);
    let fresh = isa.mul(isa.mul(isa.splat(1.0 - step.beta2), gradient), gradient);
    let square = isa.mul_add(isa.splat(step.keep2), M::load(isa, v), fresh);
    let root = isa.sqrt(isa.mul(square, isa.splat(step.bias2)));
    let move_by = isa.mul(mean, isa.splat(step.lr * step.bias1));
    let move_by = isa.div(move_by, isa.add(root, isa.splat(step.eps)));
    M::store(isa, m, mean, dice[1]);
    M::store(isa, v, square, dice[2]);
    let kept = isa.mul(W::load(isa, w), isa.splat(step.decay));
    W::store(isa, w, isa.sub(kept, move_by), dice[0]);
}

#[inline(always)]
pub(super) fn row<I: Words, W: Element, M: Element>(
    isa: I,
    step: &AdamRowStep,
    dice: (u64, u32),
    State { w, m, soon, .. }: State<'_, W, M>,
    g: &[f32],
) {
    // One by one: an array of lengths would be stored, and loaded as a vector before it is there.
    assert!(w.len() == g.len() && m.len() == g.len(), "weights and means as long as the gradient");
    let (w_chunks, w_tail) = w.as_chunks_mut::<LANES>();
    let (m_chunks, m_tail) = m.as_chunks_mut::<LANES>();
    let (g_chunks, g_tail) = g.as_chunks::<LANES>();
    let mut chance = Chance::new(isa, dice);
    for (chunk, ((w, m), g)) in w_chunks.iter_mut().zip(m_chunks).zip(g_chunks).enumerate() {
        fetch(isa, soon, chunk, w);
        fetch(isa, soon, chunk, m);
        row_chunk(isa, step, &mut chance, (w, m), g);
    }
    if !g_tail.is_empty() {
        let (mut w, mut m) = (padded(w_tail), padded(m_tail));
        row_chunk(isa, step, &mut chance, (&mut w, &mut m), &padded(g_tail));
        w_tail.copy_from_slice(&w[..w_tail.len()]);
        m_tail.copy_from_slice(&m[..m_tail.len()]);
    }
}

/// One vector of [`row`].
#[inline(always)]
fn row_chunk<I: Words, W: Element, M: Element>(
    isa: I,
    step: &AdamRowStep,
    chance: &mut Chance<I>,
    (w, m): (&mut [W; LANES], &mut [M; LANES]),
    g: &[f32; LANES],
) {
    let dice = chance.next();
    let fresh = isa.mul(isa.splat(step.fresh), isa.load(g));
    let mean = isa.mul_add(isa.splat(step.keep), M::load(isa, m), fresh);
    M::store(isa, m, mean, dice[1]);
    let kept = isa.mul(W::load(isa, w), isa.splat(step.decay));
    W::store(isa, w, isa.mul_add(isa.splat(-step.rate), mean, kept), dice[0]);
}
