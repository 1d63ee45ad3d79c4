//! Many rows of a shard, changed one after another.

use crate::config::Dtype;
use crate::rows::{Shard, Stripes, as_stored, fetch};
use crate::simd::{Adam as Kernel, AdamStep, Bf16, Kernels, State, Stored as Type};

use super::optimizer::{Rule, Update};
use super::param::ParamShard;
use super::stored::{keys, step};

/// How many rows before its turn a row is asked for: it lies in up to three places of memory. Fewer where
/// so many rows would fill too much of the second-level cache. The first so many are asked for at once.
const AHEAD: usize = 12;

/// Bytes of rows that are asked for at a time: an eighth of a second-level cache of 1 MiB.
const FETCHED: usize = 1 << 17;

impl ParamShard<'_> {
    /// Changes the rows at `locals`, all different. `sum` puts the gradient of the next of them where
    /// it is told, zeros in the padding, and returns the sum of its squares.
    ///
    /// The gradient of a row is summed, in the other of two places, before the row that precedes it is
    /// changed: its squares are known by the time that they are needed.
    pub(crate) fn update_rows(
        &mut self,
        (kernels, update): (&Kernels, &Update),
        locals: impl Iterator<Item = usize> + Clone,
        rooms: &mut [Vec<f32>; 2],
        sum: impl FnMut(&mut [f32]) -> f32,
    ) {
        let bytes: usize = [&self.w, &self.m, &self.v].into_iter().map(Shard::row_bytes).sum();
        let ahead = (FETCHED / bytes.max(1)).clamp(2, AHEAD);
        match &update.rule {
            Rule::Adam(adam) if !adam.has_stamps() && !update.clips() => {
                let step = (adam.step(), update.t);
                let moments = self.m.dtype();
                as_stored!(self.w.dtype(), W => match moments {
                    Dtype::F32 => {
                        let flat = self.flat::<W, f32>(&W::of(kernels).adam, step);
                        each(flat, kernels, (locals, ahead), rooms, sum);
                    }
                    Dtype::Bf16 | Dtype::F16 => {
                        let flat = self.flat::<W, Bf16>(&W::of(kernels).adam_light, step);
                        each(flat, kernels, (locals, ahead), rooms, sum);
                    }
                });
            }
            _ => each(Any { shard: self, update }, kernels, (locals, ahead), rooms, sum),
        }
    }

    /// The rows as they are stored, for step number `t`.
    fn flat<'s, W: Type, M: Type>(
        &'s mut self,
        kernel: &'s Kernel<W, M>,
        (step, t): (&'s AdamStep, u64),
    ) -> Flat<'s, W, M> {
        let stride = self.w.stride();
        Flat {
            w: self.w.stored_mut(),
            m: self.m.stored_mut(),
            v: self.v.stored_mut(),
            of_rows: self.of_rows,
            kernel,
            step,
            t,
            stride,
            width: self.width as f32,
            shard: self.shard,
            stripes: self.stripes,
        }
    }
}

/// Rows that can be changed.
pub(super) trait Target {
    /// Asks for the row at place `local` as a whole.
    fn fetch(&self, kernels: &Kernels, local: usize);
    /// Changes the row at the first of the places by its gradient `g`, the sum of whose squares is
    /// `square`. Meanwhile the row at the other place is asked for.
    fn change(
        &mut self,
        kernels: &Kernels,
        places: (usize, Option<usize>),
        g: &mut [f32],
        square: f32,
    );
}

/// A shard, whatever the optimiser is.
struct Any<'a, 's> {
    shard: &'a mut ParamShard<'s>,
    update: &'a Update,
}

impl Target for Any<'_, '_> {
    fn fetch(&self, kernels: &Kernels, local: usize) {
        self.shard.prefetch(kernels, local);
    }

    #[inline]
    fn change(
        &mut self,
        kernels: &Kernels,
        (local, soon): (usize, Option<usize>),
        g: &mut [f32],
        square: f32,
    ) {
        if let Some(soon) = soon {
            self.fetch(kernels, soon);
        }
        self.shard.update_of(kernels, self.update, local, (g, Some(square)));
    }
}

/// A shard of rows of `W` with moments of `M`, all of which take the same step of Adam.
struct Flat<'a, W, M> {
    w: &'a mut [W],
    m: &'a mut [M],
    /// Empty where a row has one.
    v: &'a mut [M],
    /// The second moments of rows; empty where each entry has one.
    of_rows: &'a mut [f32],
    kernel: &'a Kernel<W, M>,
    step: &'a AdamStep,
    t: u64,
    /// Numbers of a row, with the padding and without it.
    stride: usize,
    width: f32,
    shard: usize,
    stripes: Stripes,
}

impl<W: Type, M: Type> Target for Flat<'_, W, M> {
    fn fetch(&self, kernels: &Kernels, local: usize) {
        let place = local * self.stride..(local + 1) * self.stride;
        fetch(kernels, self.w.get(place.clone()));
        fetch(kernels, self.m.get(place.clone()));
        fetch(kernels, self.v.get(place));
    }

    #[inline]
    fn change(
        &mut self,
        kernels: &Kernels,
        (local, soon): (usize, Option<usize>),
        g: &mut [f32],
        square: f32,
    ) {
        if let Some(of_row) = soon.and_then(|soon| self.of_rows.get(soon..=soon)) {
            (kernels.prefetch)(of_row);
        }
        let rounds = W::DTYPE != Dtype::F32 || M::DTYPE != Dtype::F32;
        let id = self.stripes.id(self.shard, local).unwrap_or(u32::MAX);
        let dice = (if rounds { keys(self.t, id).next_u64() } else { 0 }, 0);
        let of_row = self.of_rows.get_mut(local).map(|v| self.step.of_row(v, square / self.width));
        let place = local * self.stride..(local + 1) * self.stride;
        let (w, m) = (&mut self.w[place.clone()], &mut self.m[place.clone()]);
        let v = self.v.get_mut(place).unwrap_or_default();
        let soon = soon.unwrap_or(local).wrapping_sub(local).wrapping_mul(self.stride);
        let row = State { w, m, v, soon };
        step(self.kernel, (self.step, of_row.as_ref()), dice, row, g);
    }
}

/// Changes the rows at `locals` by what `sum` leaves, as [`ParamShard::update_rows`] says.
pub(super) fn each<T: Target>(
    mut target: T,
    kernels: &Kernels,
    (locals, ahead): (impl Iterator<Item = usize> + Clone, usize),
    [gradient, before]: &mut [Vec<f32>; 2],
    mut sum: impl FnMut(&mut [f32]) -> f32,
) {
    let (mut gradient, mut before) = (&mut gradient[..], &mut before[..]);
    locals.clone().take(ahead).for_each(|local| target.fetch(kernels, local));
    let mut coming = locals.clone().skip(ahead);
    let mut last = None;
    for local in locals {
        let square = sum(gradient);
        if let Some((local, square)) = last.replace((local, square)) {
            target.change(kernels, (local, coming.next()), before, square);
        }
        std::mem::swap(&mut gradient, &mut before);
    }
    if let Some((local, square)) = last {
        target.change(kernels, (local, None), before, square);
    }
}
