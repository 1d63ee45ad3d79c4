//! Gradient descent, with momentum or without.
//!
//! The convention is that of `torch.optim.SGD`: the momentum is a sum of gradients, and the
//! learning rate is applied to it. The momentum of a row that is not touched rests: it neither
//! decays nor moves the row.

use crate::simd::{Kernels, MomentumStep};

use super::row::Entries;

/// The settings of gradient descent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sgd {
    pub(super) momentum: f32,
    pub(super) nesterov: bool,
}

impl Sgd {
    /// Changes entries by their gradient.
    pub(super) fn change(self, kernels: &Kernels, lr: f32, entries: &mut Entries<'_>, g: &[f32]) {
        let Self { momentum, nesterov } = self;
        if momentum > 0.0 {
            let step = MomentumStep { lr, momentum, nesterov };
            (kernels.momentum)(&step, entries.w, entries.m, g);
        } else {
            (kernels.axpy)(-lr, g, entries.w);
        }
    }
}
