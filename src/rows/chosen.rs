//! Products of matrices with chosen rows.

use crate::config::Dtype;
use crate::simd::{Kernels, Stored};

use super::{Matrix, Rows};

/// Rows that are asked for before they are copied.
const AHEAD: usize = 4;

impl Rows<'_> {
    /// Copies the rows in `slots`, as floats, to `out`, one after another with their padding.
    /// Meanwhile the first rows of `next` are asked for.
    pub fn gather(&self, kernels: &Kernels, slots: &[u32], next: &[u32], out: &mut [f32]) {
        let stride = self.stride;
        let mut coming = slots.iter().chain(next).skip(AHEAD);
        for (&slot, out) in slots.iter().zip(out.chunks_exact_mut(stride)) {
            if let Some(&slot) = coming.next() {
                self.prefetch(kernels, slot);
            }
            let place = slot as usize * stride..(slot as usize + 1) * stride;
            as_stored!(self.dtype, E => (E::of(kernels).widen)(&self.stored::<E>()[place], out));
        }
    }

    /// Asks for the row in `slot`.
    fn prefetch(&self, kernels: &Kernels, slot: u32) {
        // Two halves lie where one float would, so this asks for the same lines.
        let floats: &[f32] = bytemuck::cast_slice(self.lines.as_slice());
        let stride = self.stride * self.dtype.bytes() / Dtype::F32.bytes();
        if let Some(row) = floats.get(slot as usize * stride..(slot as usize + 1) * stride) {
            (kernels.prefetch)(row);
        }
    }

    /// Adds to each of `n` rows of `out`, as far apart as those of `self`, the sum over k of
    /// `coefs[k]` times the row in `slots[k]`, in the order of [`Rows::axpy_rows`]; `coefs` has a line
    /// for each row of `out`, and comes with the distance between two.
    pub fn multiply_chosen(
        &self,
        kernels: &Kernels,
        (coefs, n): ((&[f32], usize), usize),
        slots: &[u32],
        out: &mut [f32],
    ) {
        let (dims, stride) = ([n, self.stride], self.stride);
        as_stored!(self.dtype, E => {
            (E::of(kernels).gemm_rows)(dims, coefs, (self.stored(), stride), slots, (out, stride));
        });
    }

    /// Adds the product of the `n` rows of `coefs`, an entry for each row of `self`, with `self` to
    /// `out`, whose rows are as far apart as those of `self`: to each row what
    /// [`Rows::axpy_rows`] adds for all rows in the order of their ids.
    pub fn multiply(&self, kernels: &Kernels, (coefs, n): (&Matrix, usize), out: &mut [f32]) {
        const PART: usize = 1024;
        let mut slots = [0; PART];
        for first in (0..self.stripes.rows()).step_by(PART) {
            let slots = &mut slots[..PART.min(self.stripes.rows() - first)];
            for (slot, id) in slots.iter_mut().zip(first as u32..) {
                *slot = self.stripes.slot(id);
            }
            let coefs = (&coefs.as_slice()[first..], coefs.stride());
            self.multiply_chosen(kernels, (coefs, n), slots, out);
        }
    }
}
