//! Gradient sums that race: Hogwild (Recht, Re, Wright and Niu, "Hogwild!", NIPS 2011).
//!
//! As in the published SLIDE code, the tasks of a step add to the gradients of all rows without
//! locks, and the optimiser follows when all are done. *The race is a phase, not a type*: weights
//! are never raced on. A relaxed load and a relaxed store make an addition, so two additions at the
//! same time may count as one; nothing else can go wrong, and there is no `unsafe`. Results differ
//! from run to run; this is here to be compared with, not to be used. (Behind sparse inputs, an entry
//! whose gradient is exactly zero counts as not touched: the sums do not tell it from one that was
//! never added to.)

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::rows::{SHARDS, Stripes};

/// A sum for every row of a layer, to which all tasks add.
#[derive(Debug)]
pub struct SharedSums {
    stripes: Stripes,
    stride: usize,
    rows: Vec<AtomicU32>,
    /// Sums of the coefficients alone: the gradients of the biases.
    coefs: Vec<AtomicU32>,
    touched: Vec<AtomicBool>,
}

impl SharedSums {
    /// Zeros for rows of `stride` floats.
    #[must_use]
    pub fn new(stripes: Stripes, stride: usize) -> Self {
        let zeros = |n| std::iter::repeat_with(AtomicU32::default).take(n).collect();
        let slots = stripes.slots();
        Self {
            stripes,
            stride,
            rows: zeros(slots * stride),
            coefs: zeros(slots),
            touched: std::iter::repeat_with(AtomicBool::default).take(slots).collect(),
        }
    }

    /// Adds `coef * x` to the sum of the row at place `local` of `shard`.
    pub fn add(&self, (shard, local): (usize, u32), coef: f32, x: &[f32]) {
        for (sum, x) in self.touch(shard, local, coef).iter().zip(x) {
            add(sum, coef * x);
        }
    }

    /// Adds `coef * values[k]` to entry `columns[k]` of the sum of a row, for all k.
    pub fn add_columns(
        &self,
        (shard, local): (usize, u32),
        coef: f32,
        (columns, values): (&[u32], &[f32]),
    ) {
        let row = self.touch(shard, local, coef);
        for (&column, value) in columns.iter().zip(values) {
            add(&row[column as usize], coef * value);
        }
    }

    /// Marks a row, adds to its coefficients, and returns its sum.
    fn touch(&self, shard: usize, local: u32, coef: f32) -> &[AtomicU32] {
        let slot = shard * self.stripes.per_shard() + local as usize;
        self.touched[slot].store(true, Ordering::Relaxed);
        add(&self.coefs[slot], coef);
        &self.rows[slot * self.stride..][..self.stride]
    }

    /// The next touched row of `shard` from place `from` on: writes its sum over `gradient`, and
    /// returns its place and the sum of its coefficients. All become zero again.
    pub fn take(&self, shard: usize, from: usize, gradient: &mut [f32]) -> Option<(usize, f32)> {
        debug_assert!(shard < SHARDS, "a shard");
        let first = shard * self.stripes.per_shard();
        let touched = &self.touched[first..first + self.stripes.per_shard()];
        let is_touched = |touched: &AtomicBool| touched.load(Ordering::Relaxed);
        let local = from + touched.get(from..)?.iter().position(is_touched)?;
        touched[local].store(false, Ordering::Relaxed);
        let slot = first + local;
        let row = &self.rows[slot * self.stride..][..self.stride];
        for (out, sum) in gradient.iter_mut().zip(row) {
            *out = f32::from_bits(sum.swap(0, Ordering::Relaxed));
        }
        Some((local, f32::from_bits(self.coefs[slot].swap(0, Ordering::Relaxed))))
    }
}

/// Adds in two steps; what another thread stored between them is lost.
fn add(sum: &AtomicU32, x: f32) {
    let before = f32::from_bits(sum.load(Ordering::Relaxed));
    sum.store((before + x).to_bits(), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_loses_nothing() {
        let sums = SharedSums::new(Stripes::new(200), 4);
        sums.add((7, 2), 2.0, &[1.0, 2.0, 3.0, 4.0]);
        sums.add((7, 2), 1.0, &[1.0; 4]);
        sums.add_columns((7, 0), 3.0, (&[3, 1], &[1.0, 2.0]));
        let mut gradient = [9.0; 4];
        assert_eq!(sums.take(7, 0, &mut gradient), Some((0, 3.0)));
        assert_eq!(gradient, [0.0, 6.0, 0.0, 3.0]);
        assert_eq!(sums.take(7, 1, &mut gradient), Some((2, 3.0)));
        assert_eq!(gradient, [3.0, 5.0, 7.0, 9.0]);
        assert_eq!(sums.take(7, 0, &mut gradient), None);
    }

    #[test]
    fn threads_that_race_lose_additions_at_most() {
        let sums = SharedSums::new(Stripes::new(1), 1);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| sums.add((0, 0), 1.0, &[1.0])));
            }
        });
        let mut gradient = [0.0];
        sums.take(0, 0, &mut gradient);
        assert!((1.0..=4000.0).contains(&gradient[0]), "{gradient:?}");
        assert_eq!(gradient[0].fract(), 0.0);
    }
}
