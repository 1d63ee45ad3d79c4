//! Weights with whatever the optimiser remembers of them.

use rayon::prelude::*;

use crate::config::OptimizerConfig;
use crate::rng::{Rng, Stream};
use crate::rows::{Rows, SHARDS, Shard, Stripes};
use crate::simd::Kernels;

use super::optimizer::{Rule, Update};
use super::row::{Entries, Row, clip, clip_columns};
use super::{adagrad, adam};

/// The name of what is kept of each row, not of each weight.
const SUM: &str = "acc";

/// Weights with whatever the optimiser remembers of them.
#[derive(Clone, Debug)]
pub struct Param {
    weights: Rows,
    /// What is remembered, with its name: of each weight, or of each row.
    moments: Vec<(&'static str, Rows)>,
    /// How many of the optimiser's steps the row in each slot has seen; empty if nobody asks.
    stamps: Vec<u32>,
}

impl Param {
    /// Takes `weights`; nothing is remembered yet.
    #[must_use]
    pub fn new(weights: Rows, optimizer: &OptimizerConfig) -> Self {
        let moments = match *optimizer {
            OptimizerConfig::Adam { .. } => {
                vec![("m", weights.zeros_like()), ("v", weights.zeros_like())]
            }
            OptimizerConfig::Sgd { momentum, .. } if momentum > 0.0 => {
                vec![("m", weights.zeros_like())]
            }
            OptimizerConfig::Sgd { .. } => vec![],
            OptimizerConfig::Adagrad { .. } => {
                vec![(SUM, Rows::column(weights.stripes().rows()))]
            }
        };
        let stamped = match *optimizer {
            OptimizerConfig::Adam { weight_decay, mode, .. } => {
                adam::has_stamps(mode, weight_decay)
            }
            OptimizerConfig::Sgd { .. } | OptimizerConfig::Adagrad { .. } => false,
        };
        let stamps = vec![0; if stamped { weights.stripes().slots() } else { 0 }];
        Self { weights, moments, stamps }
    }

    /// The weights.
    #[must_use]
    pub const fn weights(&self) -> &Rows {
        &self.weights
    }

    /// The weights.
    pub const fn weights_mut(&mut self) -> &mut Rows {
        &mut self.weights
    }

    /// The weights; what was remembered is dropped.
    #[must_use]
    pub fn into_weights(self) -> Rows {
        self.weights
    }

    /// What the optimiser remembers, by name: `m` and `v` of each weight, or `acc` of each row.
    /// Second moments and accumulators, which cannot be negative, are all but `m`.
    #[must_use]
    pub fn moments(&self) -> &[(&'static str, Rows)] {
        &self.moments
    }

    /// What the optimiser remembers, by name.
    pub fn moments_mut(&mut self) -> &mut [(&'static str, Rows)] {
        &mut self.moments
    }

    /// Every shard, to be changed by one task each.
    #[must_use]
    pub fn shards_mut(&mut self) -> [ParamShard<'_>; SHARDS] {
        let (stripes, width) = (self.weights.stripes(), self.weights.width());
        let stride = self.weights.stride();
        let mut weights = self.weights.parts_mut().into_iter();
        let of_rows = self.moments.first().is_some_and(|(name, _)| *name == SUM);
        let mut moments = self.moments.iter_mut().map(|(_, rows)| rows.shards_mut().into_iter());
        let mut sums = if of_rows { moments.next() } else { None };
        let (mut first, mut second) = (moments.next(), moments.next());
        let mut stamps = self.stamps.chunks_mut(stripes.per_shard().max(1));
        std::array::from_fn(|shard| ParamShard {
            w: weights.next().unwrap_or_default(),
            m: first.as_mut().and_then(Iterator::next).unwrap_or_default(),
            v: second.as_mut().and_then(Iterator::next).unwrap_or_default(),
            sums: sums.as_mut().and_then(Iterator::next).unwrap_or_default(),
            stamps: stamps.next().unwrap_or_default(),
            width,
            stride,
            shard,
            stripes,
        })
    }

    /// Brings every row up to date with `update`, and sets all stamps back.
    pub(super) fn flush(&mut self, kernels: &Kernels, update: &Update) {
        let Rule::Adam(rule) = update.rule else { return };
        if self.stamps.is_empty() {
            return;
        }
        self.shards_mut().into_par_iter().enumerate().for_each(|(shard, mut rows)| {
            for local in 0..rows.stripes.len(shard) {
                let seen = rows.stamps[local];
                if seen < update.history.now() {
                    rows.each_stretch(kernels, update, local, |_, entries| {
                        rule.flush(kernels, &update.history, seen, entries);
                    });
                }
            }
            rows.stamps.fill(0);
        });
    }
}

/// One shard of a parameter.
#[derive(Debug)]
pub struct ParamShard<'a> {
    w: Shard<'a>,
    m: &'a mut [f32],
    v: &'a mut [f32],
    sums: &'a mut [f32],
    stamps: &'a mut [u32],
    width: usize,
    stride: usize,
    shard: usize,
    stripes: Stripes,
}

impl ParamShard<'_> {
    /// The weights of the shard.
    ///
    /// # Panics
    ///
    /// If they are not stored as `f32`; see [`ParamShard::tile`]. Biases always are.
    #[must_use]
    pub const fn weights(&self) -> &[f32] {
        self.w.as_slice()
    }

    /// The weights of `count` rows from place `first` on, as floats; `room` is used where they are
    /// not stored so.
    #[must_use]
    pub fn tile<'b>(
        &'b self,
        kernels: &Kernels,
        (first, count): (usize, usize),
        room: &'b mut Vec<f32>,
    ) -> &'b [f32] {
        self.w.tile(kernels, (first, count), room)
    }

    /// Asks for the row at place `local`, which will be changed soon.
    pub fn prefetch(&self, kernels: &Kernels, local: usize) {
        self.w.prefetch(kernels, local);
        let place = local * self.stride..(local + 1) * self.stride;
        for floats in [&*self.m, &*self.v] {
            if let Some(row) = floats.get(place.clone()) {
                (kernels.prefetch)(row);
            }
        }
    }

    /// Changes the row at place `local` by its `gradient`, which is as long as the stride, zero in
    /// the padding, and clipped on the way.
    pub fn update(
        &mut self,
        kernels: &Kernels,
        update: &Update,
        local: usize,
        gradient: &mut [f32],
    ) {
        clip(kernels, &update.clip, gradient);
        let row = match update.rule {
            Rule::Adagrad { eps } => {
                let (how, g) = ((update.lr, eps), (&*gradient, self.width));
                Row::Adagrad(adagrad::rate(kernels, how, g, &mut self.sums[local]))
            }
            Rule::Adam(_) | Rule::Sgd(_) => Row::new(update, self.stamp(update, local)),
        };
        self.each_stretch(kernels, update, local, |first, entries| {
            let g = &gradient[first..][..entries.w.len()];
            row.change(kernels, entries, g);
        });
    }

    /// Changes the row at place `local` by its `gradient`, which is as long as the stride and zero
    /// everywhere but at the `columns`, all different.
    ///
    /// To the optimiser each of these entries is a row of its own that was touched; the other
    /// entries rest. Where one number is kept for a row - stamps (Adam other than lazy, or with
    /// weight decay) or the accumulator of Adagrad - the whole row is updated.
    pub fn update_columns(
        &mut self,
        kernels: &Kernels,
        update: &Update,
        local: usize,
        columns: &[u32],
        gradient: &mut [f32],
    ) {
        if !self.stamps.is_empty() || matches!(update.rule, Rule::Adagrad { .. }) {
            self.update(kernels, update, local, gradient);
            return;
        }
        clip_columns(&update.clip, columns, gradient);
        let (row, key) = (Row::new(update, 0), self.key(update, local));
        let place = local * self.stride..(local + 1) * self.stride;
        let m = self.m.get_mut(place.clone()).unwrap_or_default();
        let v = self.v.get_mut(place).unwrap_or_default();
        let mut room = [[0.0; Shard::STRETCH]; 3];
        self.w.change_columns((local, key), columns, |columns, w| {
            let [m_room, v_room, g_room] = room.each_mut().map(|room| &mut room[..columns.len()]);
            gather(m, columns, m_room);
            gather(v, columns, v_room);
            gather(gradient, columns, g_room);
            row.change(kernels, &mut Entries { w, m: m_room, v: v_room }, g_room);
            scatter(m_room, columns, m);
            scatter(v_room, columns, v);
        });
    }

    /// The steps that the row at place `local` has seen; it sees the current one now.
    fn stamp(&mut self, update: &Update, local: usize) -> u32 {
        let stamp = self.stamps.get_mut(local);
        stamp.map_or(0, |stamp| std::mem::replace(stamp, update.history.now()))
    }

    /// What the rounding of the row at place `local` depends on.
    fn key(&self, update: &Update, local: usize) -> u64 {
        let id = self.stripes.id(self.shard, local).unwrap_or(u32::MAX);
        Rng::new(0, Stream::Rounding, update.t, u64::from(id)).next_u64()
    }

    /// Hands the row at place `local` to `change`, in stretches with the place of their first
    /// entry.
    #[inline]
    fn each_stretch(
        &mut self,
        kernels: &Kernels,
        update: &Update,
        local: usize,
        mut change: impl FnMut(usize, &mut Entries<'_>),
    ) {
        let key = if self.w.rounds() { self.key(update, local) } else { 0 };
        let place = local * self.stride..(local + 1) * self.stride;
        let m = self.m.get_mut(place.clone()).unwrap_or_default();
        let v = self.v.get_mut(place).unwrap_or_default();
        self.w.change(kernels, (local, key), |first, w| {
            let last = first + w.len();
            let m = m.get_mut(first..last).unwrap_or_default();
            let v = v.get_mut(first..last).unwrap_or_default();
            change(first, &mut Entries { w, m, v });
        });
    }
}

/// `out[k] = from[columns[k]]`; nothing where there is nothing to take from.
fn gather(from: &[f32], columns: &[u32], out: &mut [f32]) {
    if !from.is_empty() {
        out.iter_mut().zip(columns).for_each(|(x, &j)| *x = from[j as usize]);
    }
}

/// `to[columns[k]] = values[k]`; nothing where there is nothing to put it.
fn scatter(values: &[f32], columns: &[u32], to: &mut [f32]) {
    if !to.is_empty() {
        values.iter().zip(columns).for_each(|(x, &j)| to[j as usize] = *x);
    }
}
