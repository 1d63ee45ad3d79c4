//! A row as it is stored, with what Adam remembers of it.

use crate::rng::{Rng, Stream};
use crate::rows::Numbers;
use crate::simd::{Adam, AdamRowStep, AdamStep, Kernels, State, Stored as Type};

/// A row as it is stored, with what Adam remembers of it.
#[derive(Debug)]
pub(super) struct Stored<'a> {
    pub(super) w: Numbers<'a>,
    pub(super) m: Numbers<'a>,
    /// The second moment of each entry; no numbers where the row has one.
    pub(super) v: Numbers<'a>,
    /// The second moment of the row, if it has one.
    pub(super) v_of_row: Option<&'a mut f32>,
    /// Numbers of the row without padding.
    pub(super) width: usize,
    pub(super) id: u32,
}

impl Stored<'_> {
    /// One step of Adam, number `t`, by the gradient `g`, which may come with the sum of its squares;
    /// by zeros without one.
    #[inline]
    pub(super) fn change(
        &mut self,
        kernels: &Kernels,
        step: &AdamStep,
        t: u64,
        g: Option<(&[f32], Option<f32>)>,
    ) {
        /// As many zeros as are needed at a time.
        const ZEROS: [f32; Numbers::STRETCH] = [0.0; Numbers::STRETCH];
        let width = self.width as f32;
        let of_row = self.v_of_row.as_deref_mut().map(|v| {
            let square = g.map_or(0.0, |(g, square)| square.unwrap_or_else(|| (kernels.dot)(g, g)));
            step.of_row(v, square / width)
        });
        let key = if self.rounds() { keys(t, self.id).next_u64() } else { 0 };
        let Some((g, _)) = g else {
            for first in (0..self.w.len()).step_by(ZEROS.len()) {
                let g = &ZEROS[..ZEROS.len().min(self.w.len() - first)];
                self.change_part(kernels, (step, of_row.as_ref()), (key, first), g);
            }
            return;
        };
        self.change_part(kernels, (step, of_row.as_ref()), (key, 0), g);
    }

    /// Changes the entries from place `first` on, as many as there are gradients.
    #[inline]
    fn change_part(
        &mut self,
        kernels: &Kernels,
        how: (&AdamStep, Option<&AdamRowStep>),
        (key, first): (u64, usize),
        g: &[f32],
    ) {
        let dice = (key, first as u32);
        let v = self.v.part(first, g.len());
        let (w, m) = (self.w.part(first, g.len()), self.m.part(first, g.len()));
        match w {
            Numbers::F32(w) => run(kernels, how, dice, (w, m, v), g),
            Numbers::Bf16(w) => run(kernels, how, dice, (w, m, v), g),
            Numbers::F16(w) => run(kernels, how, dice, (w, m, v), g),
        }
    }

    const fn rounds(&self) -> bool {
        self.w.rounds() || self.m.rounds()
    }

    /// Multiplies weights and moments, where a factor is given; after step `t`, of which the row
    /// was no part.
    pub(super) fn scale(
        self,
        kernels: &Kernels,
        t: u64,
        decay: Option<f32>,
        means: Option<[f32; 2]>,
    ) {
        let mut keys = keys(t, self.id);
        let mut scale = |numbers: Numbers<'_>, factor: f32| {
            let key = keys.next_u64();
            numbers.change(kernels, key, |_, x| (kernels.scale)(factor, x));
        };
        if let Some(decay) = decay {
            scale(self.w, decay);
        }
        if let Some([of_m, of_v]) = means {
            scale(self.m, of_m);
            scale(self.v, of_v);
            if let Some(v) = self.v_of_row {
                *v *= of_v;
            }
        }
    }
}

/// What the rounding of row `id` in step `t` depends on.
pub(super) const fn keys(t: u64, id: u32) -> Rng {
    Rng::new(0, Stream::Rounding, t, id as u64)
}

#[inline]
fn run<W: Type>(
    kernels: &Kernels,
    how: (&AdamStep, Option<&AdamRowStep>),
    dice: (u64, u32),
    (w, m, v): (&mut [W], Numbers<'_>, Numbers<'_>),
    g: &[f32],
) {
    let kernels = W::of(kernels);
    match m {
        Numbers::F32(m) => {
            let row = State { w, m, v: v.into_floats(), soon: 0 };
            step(&kernels.adam, how, dice, row, g);
        }
        m => {
            let (m, v) = (m.into_halves(), v.into_halves());
            step(&kernels.adam_light, how, dice, State { w, m, v, soon: 0 }, g);
        }
    }
}

pub(super) fn step<W, M>(
    kernels: &Adam<W, M>,
    (step, of_row): (&AdamStep, Option<&AdamRowStep>),
    dice: (u64, u32),
    row: State<'_, W, M>,
    g: &[f32],
) {
    match of_row {
        Some(step) => (kernels.row)(step, dice, row, g),
        None => (kernels.entries)(step, dice, row, g),
    }
}
