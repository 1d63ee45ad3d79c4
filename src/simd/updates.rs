//! Kernels that change a row: what optimisers do, entry by entry.

use super::element::Element;
use super::kernels::{padded, store_tail};
use super::words::{Chance, Words};
use super::{Isa, LANES, MomentumStep};

#[inline(always)]
pub(super) fn momentum<I: Isa>(
    isa: I,
    step: &MomentumStep,
    w: &mut [f32],
    m: &mut [f32],
    g: &[f32],
) {
    assert_eq!([w.len(), m.len()], [g.len(); 2], "weights and momentum as long as the gradient");
    let (w_chunks, w_tail) = w.as_chunks_mut::<LANES>();
    let (m_chunks, m_tail) = m.as_chunks_mut::<LANES>();
    let (g_chunks, g_tail) = g.as_chunks::<LANES>();
    for ((w, m), g) in w_chunks.iter_mut().zip(m_chunks).zip(g_chunks) {
        momentum_chunk(isa, step, w, m, g);
    }
    if !g_tail.is_empty() {
        let (mut w, mut m) = (padded(w_tail), padded(m_tail));
        momentum_chunk(isa, step, &mut w, &mut m, &padded(g_tail));
        w_tail.copy_from_slice(&w[..w_tail.len()]);
        m_tail.copy_from_slice(&m[..m_tail.len()]);
    }
}

/// One vector of [`momentum`].
#[inline(always)]
fn momentum_chunk<I: Isa>(
    isa: I,
    step: &MomentumStep,
    w: &mut [f32; LANES],
    m: &mut [f32; LANES],
    g: &[f32; LANES],
) {
    let gradient = isa.load(g);
    let keep = isa.splat(step.momentum);
    let mean = isa.mul_add(keep, isa.load(m), gradient);
    let direction = if step.nesterov { isa.mul_add(keep, mean, gradient) } else { mean };
    isa.store(m, mean);
    isa.store(w, isa.mul_add(isa.splat(-step.lr), direction, isa.load(w)));
}

#[inline(always)]
pub(super) fn clip<I: Isa>(isa: I, limit: f32, x: &mut [f32]) {
    let (chunks, tail) = x.as_chunks_mut::<LANES>();
    let (low, high) = (isa.splat(-limit), isa.splat(limit));
    // The second operand of both is what may be NaN, and stays so.
    for x in chunks {
        isa.store(x, isa.min(high, isa.max(low, isa.load(x))));
    }
    if !tail.is_empty() {
        let cut = isa.min(high, isa.max(low, isa.load(&padded(tail))));
        store_tail(isa, tail, cut);
    }
}

#[inline(always)]
pub(super) fn widen<I: Isa, E: Element>(isa: I, x: &[E], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "vectors of one length");
    let (chunks, tail) = x.as_chunks::<LANES>();
    let (out_chunks, out_tail) = out.as_chunks_mut::<LANES>();
    for (x, out) in chunks.iter().zip(out_chunks) {
        isa.store(out, E::load(isa, x));
    }
    for (x, out) in tail.iter().zip(out_tail) {
        *out = x.widen();
    }
}

#[inline(always)]
pub(super) fn round<I: Words, E: Element>(isa: I, dice: (u64, u32), x: &[f32], out: &mut [E]) {
    assert_eq!(x.len(), out.len(), "vectors of one length");
    let (chunks, tail) = x.as_chunks::<LANES>();
    let (out_chunks, out_tail) = out.as_chunks_mut::<LANES>();
    let mut chance = Chance::new(isa, dice);
    for (x, out) in chunks.iter().zip(out_chunks) {
        let [dice, ..] = chance.next();
        E::store(isa, out, isa.load(x), dice);
    }
    if !tail.is_empty() {
        let mut rounded = [E::default(); LANES];
        let [dice, ..] = chance.next();
        E::store(isa, &mut rounded, isa.load(&padded(tail)), dice);
        out_tail.copy_from_slice(&rounded[..tail.len()]);
    }
}
