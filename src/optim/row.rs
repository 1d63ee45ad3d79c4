//! What happens to entries of a row that are held as floats: of a whole row, of a stretch of one
//! that is stored in halves, or of a few columns. (Adam changes a whole row as it is stored.)

use crate::config::ClipConfig;
use crate::simd::Kernels;

use super::adam::Adam;
use super::optimizer::{Rule, Update};
use super::sgd::Sgd;

/// Entries of a row, with what is remembered of each.
#[derive(Debug)]
pub(super) struct Entries<'a> {
    pub(super) w: &'a mut [f32],
    pub(super) m: &'a mut [f32],
    pub(super) v: &'a mut [f32],
}

/// What one step does to the entries of one row.
#[derive(Debug)]
pub(super) enum Row<'a> {
    /// On a row that has missed nothing.
    Adam(&'a Adam),
    Sgd(Sgd, f32),
    /// The factor on the gradient.
    Adagrad(f32),
}

impl<'a> Row<'a> {
    /// The step `update`, of an optimiser other than Adagrad.
    pub(super) const fn new(update: &'a Update) -> Self {
        match &update.rule {
            Rule::Adam(adam) => Self::Adam(adam),
            Rule::Sgd(sgd) => Self::Sgd(*sgd, update.lr),
            Rule::Adagrad { .. } => Self::Adagrad(update.lr),
        }
    }

    /// Changes entries by their gradient.
    #[inline]
    pub(super) fn change(&self, kernels: &Kernels, entries: &mut Entries<'_>, g: &[f32]) {
        match self {
            Self::Adam(adam) => adam.change_entries(kernels, entries, g),
            Self::Sgd(sgd, lr) => sgd.change(kernels, *lr, entries, g),
            Self::Adagrad(rate) => (kernels.axpy)(-rate, g, entries.w),
        }
    }
}

/// Cuts the entries of a row's gradient, then scales it down to the norm.
pub(super) fn clip(kernels: &Kernels, clip: &ClipConfig, g: &mut [f32]) {
    if let Some(limit) = clip.value {
        (kernels.clip)(limit, g);
    }
    if let Some(limit) = clip.norm
        && let Some(factor) = too_long(limit, (kernels.dot)(g, g))
    {
        (kernels.scale)(factor, g);
    }
}

/// The same for the entries at `columns`, all others being zero.
pub(super) fn clip_columns(clip: &ClipConfig, columns: &[u32], g: &mut [f32]) {
    if let Some(limit) = clip.value {
        for &j in columns {
            let g = &mut g[j as usize];
            *g = if *g > limit { limit } else { *g };
            *g = if *g < -limit { -limit } else { *g };
        }
    }
    if let Some(limit) = clip.norm {
        let square = columns.iter().map(|&j| g[j as usize] * g[j as usize]).sum();
        if let Some(factor) = too_long(limit, square) {
            for &j in columns {
                g[j as usize] *= factor;
            }
        }
    }
}

/// What brings a gradient whose squared length is `square` down to `limit`; none if it is no
/// longer than that.
fn too_long(limit: f32, square: f32) -> Option<f32> {
    let length = square.sqrt();
    (length > limit).then(|| limit / length)
}
