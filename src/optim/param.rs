//! Weights with whatever the optimiser remembers of them.

use rayon::prelude::*;

use crate::config::{Dtype, OptimizerConfig, SecondMoment};
use crate::rows::{Numbers, Rows, SHARDS, Shard, Stripes};
use crate::simd::{Kernels, LANES};

use names::{M, SUM, V, V_OF_ROW};

use super::optimizer::{Rule, Update};
use super::row::{Entries, Row, clip, clip_columns};
use super::stored::{Stored, keys};
use super::{adagrad, adam};

/// What is remembered is called.
pub(crate) mod names {
    /// The first moment of each weight.
    pub(crate) const M: &str = "m";
    /// The second moment of each weight.
    pub(crate) const V: &str = "v";
    /// The second moment of each row.
    pub(crate) const V_OF_ROW: &str = "v_of_row";
    /// The sum of squares of each row.
    pub(crate) const SUM: &str = "acc";
}

/// Weights with whatever the optimiser remembers of them.
#[derive(Clone, Debug)]
pub struct Param<'m> {
    weights: Rows<'m>,
    /// What is remembered, with its name: of each weight, or of each row.
    moments: Vec<(&'static str, Rows<'m>)>,
    /// How many of the optimiser's steps the row in each slot has seen; empty if nobody asks.
    stamps: Vec<u32>,
}

impl<'m> Param<'m> {
    /// Takes `weights`; nothing is remembered yet. What is open in an Adam is as in a small layer.
    #[must_use]
    pub fn new(weights: Rows<'m>, optimizer: &OptimizerConfig) -> Self {
        let of_entries = |dtype| weights.zeros_like(dtype);
        let of_rows = || Rows::column(weights.stripes().rows());
        // A bias is small, and a row to itself.
        let is_column = weights.stride() == 1;
        let moments = match *optimizer {
            OptimizerConfig::Adam { second_moment, moments, .. } => {
                let dtype = if is_column { Dtype::F32 } else { moments.unwrap_or_default() };
                let v = match second_moment.unwrap_or_default() {
                    SecondMoment::Row if !is_column => (V_OF_ROW, of_rows()),
                    SecondMoment::Row | SecondMoment::Entry => (V, of_entries(dtype)),
                };
                vec![(M, of_entries(dtype)), v]
            }
            OptimizerConfig::Sgd { momentum, .. } if momentum > 0.0 => {
                vec![(M, of_entries(Dtype::F32))]
            }
            OptimizerConfig::Sgd { .. } => vec![],
            OptimizerConfig::Adagrad { .. } => vec![(SUM, of_rows())],
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

    /// No weights.
    pub(crate) fn none() -> Self {
        Self::lent(Rows::none(), Vec::new())
    }

    /// Weights with what is remembered of them, by the names of [`Param::moments`]; no row has missed
    /// a step.
    pub(crate) const fn lent(weights: Rows<'m>, moments: Vec<(&'static str, Rows<'m>)>) -> Self {
        Self { weights, moments, stamps: Vec::new() }
    }

    /// As many rows as there are `sources`: each a copy of the row it names with what is remembered
    /// of it, and zeros where it names none. Every row must be up to date
    /// ([`Optimizer::flush`](super::Optimizer::flush)).
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[must_use]
    pub fn picked(&self, sources: &[Option<u32>]) -> Param<'static> {
        let weights = self.weights.picked(sources);
        let moments = self.moments.iter().map(|(name, rows)| (*name, rows.picked(sources)));
        let slots = if self.stamps.is_empty() { 0 } else { weights.stripes().slots() };
        Param { moments: moments.collect(), stamps: vec![0; slots], weights }
    }

    /// The weights.
    #[must_use]
    pub const fn weights(&self) -> &Rows<'m> {
        &self.weights
    }

    /// The weights.
    pub const fn weights_mut(&mut self) -> &mut Rows<'m> {
        &mut self.weights
    }

    /// The weights; what was remembered is dropped.
    #[must_use]
    pub fn into_weights(self) -> Rows<'m> {
        self.weights
    }

    /// What the optimiser remembers, by name: `m` and `v` of each weight, `v_of_row` or `acc` of
    /// each row. Second moments and accumulators, which cannot be negative, are all but `m`.
    #[must_use]
    pub fn moments(&self) -> &[(&'static str, Rows<'m>)] {
        &self.moments
    }

    /// What the optimiser remembers, by name.
    pub fn moments_mut(&mut self) -> &mut [(&'static str, Rows<'m>)] {
        &mut self.moments
    }

    /// How many of the optimiser's steps each row has seen since all were up to date, in the order
    /// of the ids; empty where nobody asks.
    #[must_use]
    pub fn seen(&self) -> Vec<u32> {
        let stripes = self.weights.stripes();
        let ids = 0..if self.stamps.is_empty() { 0 } else { stripes.rows() as u32 };
        ids.map(|id| self.stamps[stripes.slot(id) as usize]).collect()
    }

    /// Takes what [`Param::seen`] gave; whether it is of as many rows.
    pub fn set_seen(&mut self, seen: &[u32]) -> bool {
        let stripes = self.weights.stripes();
        let fits = seen.len() == if self.stamps.is_empty() { 0 } else { stripes.rows() };
        for (id, &seen) in (0..).zip(seen).filter(|_| fits) {
            self.stamps[stripes.slot(id) as usize] = seen;
        }
        fits
    }

    /// Every shard, to be changed by one task each.
    #[must_use]
    pub fn shards_mut(&mut self) -> [ParamShard<'_>; SHARDS] {
        let (stripes, width) = (self.weights.stripes(), self.weights.width());
        let mut weights = self.weights.parts_mut().into_iter();
        let (mut m, mut v, mut of_rows) = (None, None, None);
        for (name, rows) in &mut self.moments {
            match *name {
                M => m = Some(rows.parts_mut().into_iter()),
                V => v = Some(rows.parts_mut().into_iter()),
                _ => of_rows = Some(rows.shards_mut().into_iter()),
            }
        }
        let mut stamps = self.stamps.chunks_mut(stripes.per_shard().max(1));
        std::array::from_fn(|shard| ParamShard {
            w: weights.next().unwrap_or_default(),
            m: m.as_mut().and_then(Iterator::next).unwrap_or_default(),
            v: v.as_mut().and_then(Iterator::next).unwrap_or_default(),
            of_rows: of_rows.as_mut().and_then(Iterator::next).unwrap_or_default(),
            stamps: stamps.next().unwrap_or_default(),
            width,
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
                    rule.flush(kernels, (update, seen), rows.stored(local));
                }
            }
            rows.stamps.fill(0);
        });
    }
}

/// One shard of a parameter.
#[derive(Debug)]
pub struct ParamShard<'a> {
    pub(super) w: Shard<'a>,
    pub(super) m: Shard<'a>,
    pub(super) v: Shard<'a>,
    /// What is kept of each row.
    pub(super) of_rows: &'a mut [f32],
    stamps: &'a mut [u32],
    pub(super) width: usize,
    pub(super) shard: usize,
    pub(super) stripes: Stripes,
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
        for rows in [&self.w, &self.m, &self.v] {
            rows.prefetch(kernels, local);
        }
        if let Some(line) = self.of_rows.get(local..local + LANES) {
            (kernels.prefetch)(line);
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
        self.update_of(kernels, update, local, (gradient, None));
    }

    /// The same where the sum of the squares of the gradient may be known already.
    pub(crate) fn update_of(
        &mut self,
        kernels: &Kernels,
        update: &Update,
        local: usize,
        (gradient, square): (&mut [f32], Option<f32>),
    ) {
        let square = if update.clips() { None } else { square };
        clip(kernels, &update.clip, gradient);
        match &update.rule {
            Rule::Adam(adam) => {
                let seen = self.stamp(update, local);
                let gradient = (&*gradient, square);
                adam.change(kernels, (update, seen), &mut self.stored(local), gradient);
            }
            Rule::Sgd(_) => self.each_stretch(kernels, update, local, &Row::new(update), gradient),
            Rule::Adagrad { eps } => {
                let (how, g) = ((update.lr, *eps), (&*gradient, self.width));
                let rate = adagrad::rate(kernels, how, g, &mut self.of_rows[local]);
                self.each_stretch(kernels, update, local, &Row::Adagrad(rate), gradient);
            }
        }
    }

    /// Changes the row at place `local` by its `gradient`, which is as long as the stride and zero
    /// everywhere but at the `columns`, all different.
    ///
    /// To the optimiser each of these entries is a row of its own that was touched; the other
    /// entries rest. Where one number is kept for a row - stamps (Adam other than lazy, or with
    /// weight decay), its second moment or the accumulator of Adagrad - the whole row is updated.
    pub fn update_columns(
        &mut self,
        kernels: &Kernels,
        update: &Update,
        local: usize,
        columns: &[u32],
        gradient: &mut [f32],
    ) {
        if !self.stamps.is_empty() || !self.of_rows.is_empty() {
            self.update(kernels, update, local, gradient);
            return;
        }
        clip_columns(&update.clip, columns, gradient);
        let row = Row::new(update);
        let Stored { w, m, v, id, .. } = self.stored(local);
        let key = keys(update.t, id).next_u64();
        let gradient = columns.iter().map(|&j| gradient[j as usize]);
        change_places(kernels, (&row, key), [w, m, v], columns, gradient);
    }

    /// Changes rows of a single number, as biases are: those at the places `locals`, all different,
    /// by their `gradients`, many at a time.
    pub fn update_numbers(
        &mut self,
        kernels: &Kernels,
        update: &Update,
        locals: &[u32],
        gradients: &mut [f32],
    ) {
        if update.clips() || !self.stamps.is_empty() || !self.of_rows.is_empty() {
            for (&local, gradient) in locals.iter().zip(gradients.chunks_mut(1)) {
                self.update(kernels, update, local as usize, gradient);
            }
            return;
        }
        let numbers = [self.w.all_mut(), self.m.all_mut(), self.v.all_mut()];
        let gradients = gradients.iter().copied();
        // Numbers of single rows are floats, which are not rounded.
        change_places(kernels, (&Row::new(update), 0), numbers, locals, gradients);
    }

    /// The steps that the row at place `local` has seen; it sees the current one now.
    fn stamp(&mut self, update: &Update, local: usize) -> u32 {
        let stamp = self.stamps.get_mut(local);
        stamp.map_or(0, |stamp| std::mem::replace(stamp, update.history.now()))
    }

    /// The row at place `local` with what Adam remembers of it.
    fn stored(&mut self, local: usize) -> Stored<'_> {
        Stored {
            id: self.stripes.id(self.shard, local).unwrap_or(u32::MAX),
            w: self.w.row_mut(local),
            m: self.m.row_mut(local),
            v: self.v.row_mut(local),
            v_of_row: self.of_rows.get_mut(local),
            width: self.width,
        }
    }

    /// Does `row` to the row at place `local`, stretch by stretch; its moments, if it has any, are
    /// floats.
    fn each_stretch(
        &mut self,
        kernels: &Kernels,
        update: &Update,
        local: usize,
        row: &Row<'_>,
        gradient: &[f32],
    ) {
        let Stored { w, m, id, .. } = self.stored(local);
        let key = if w.rounds() { keys(update.t, id).next_u64() } else { 0 };
        let m = m.into_floats();
        w.change(kernels, key, |first, w| {
            let last = first + w.len();
            let m = m.get_mut(first..last).unwrap_or_default();
            let g = &gradient[first..last];
            row.change(kernels, &mut Entries { w, m, v: &mut [] }, g);
        });
    }
}

/// Does `row` to the numbers at `places`, all different, each of which has a gradient.
fn change_places(
    kernels: &Kernels,
    (row, key): (&Row<'_>, u64),
    [mut w, mut m, mut v]: [Numbers<'_>; 3],
    places: &[u32],
    mut gradients: impl Iterator<Item = f32>,
) {
    let mut room = [[0.0; Numbers::STRETCH]; 4];
    for places in places.chunks(Numbers::STRETCH) {
        let [w_room, m_room, v_room, g] = room.each_mut().map(|room| &mut room[..places.len()]);
        w.gather(places, w_room);
        m.gather(places, m_room);
        v.gather(places, v_room);
        g.iter_mut().zip(&mut gradients).for_each(|(g, gradient)| *g = gradient);
        row.change(kernels, &mut Entries { w: w_room, m: m_room, v: v_room }, g);
        w.scatter((key, 0), places, w_room);
        m.scatter((key, 1), places, m_room);
        v.scatter((key, 2), places, v_room);
    }
}
