//! The neurons with the highest logits, found by computing all: what samplers are measured
//! against, and a sampler themselves.

use crate::simd::Kernels;

use super::Sampled;
use super::inputs::Inputs;

/// Room for the logits of all neurons for one sample.
#[derive(Debug, Default)]
pub(super) struct AllLogits {
    slots: Vec<u32>,
    logits: Vec<f32>,
    order: Vec<u32>,
}

impl Sampled<'_> {
    /// Appends the `n` neurons with the highest logits for sample `i`, in the order of their ids;
    /// of equal logits the lower ids.
    pub(super) fn best(
        &self,
        kernels: &Kernels,
        (inputs, i): (Inputs<'_>, usize),
        n: usize,
        out: &mut Vec<u32>,
    ) {
        self.rooms.with(|room| {
            let AllLogits { slots, logits, order } = &mut room.all;
            let units = self.units() as u32;
            if slots.is_empty() {
                slots.extend((0..units).map(|id| self.stripes().slot(id)));
            }
            logits.resize(slots.len(), 0.0);
            self.row_sums(kernels, (inputs, i), slots, logits);
            order.clear();
            order.extend(0..units);
            let n = n.min(order.len());
            let descending = |&a: &u32, &b: &u32| {
                logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b))
            };
            if n < order.len() {
                order.select_nth_unstable_by(n, descending);
            }
            order[..n].sort_unstable();
            out.extend_from_slice(&order[..n]);
        });
    }
}
