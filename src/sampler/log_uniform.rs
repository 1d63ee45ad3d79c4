//! Random neurons of which those with low ids are more likely, drawn without replacement.
//!
//! Ids are taken to be sorted by frequency, and P(i) = log((i + 2) / (i + 1)) / log(units + 1) is
//! close to Zipf's law. Draws come at the times of a Poisson process of rate 1 until there are as
//! many different ids as wanted, and one more. Id i first comes at a time that is exponential with
//! rate P(i), independent of all others, so the ids that were drawn are those with the earliest
//! times, and the last one, which is dropped, came at a time t. Given the times of all others, i is
//! drawn when it comes before t: with probability 1 - exp(-t P(i)). Divided by that, every neuron
//! counts once on average, exactly (Cohen and Kaplan, "Summarizing data using bottom-k sketches",
//! PODC 2007); 1 - (1 - P(i))^tries, as usual elsewhere, is that but for terms of order 1 / tries.

use crate::rng::Rng;

use super::Scratch;

/// The distribution.
#[derive(Clone, Copy, Debug)]
pub struct LogUniform {
    log_units: f64,
}

impl LogUniform {
    /// Over ids below `units`.
    #[must_use]
    pub fn new(units: usize) -> Self {
        Self { log_units: (units as f64 + 1.0).ln() }
    }

    /// P(i).
    #[must_use]
    pub fn p(self, id: u32) -> f64 {
        (1.0 / (f64::from(id) + 1.0)).ln_1p() / self.log_units
    }

    /// The log of the probability that `id` was drawn by `time`.
    #[must_use]
    pub fn log_q(self, id: u32, time: f64) -> f32 {
        (-(-time * self.p(id)).exp_m1()).ln() as f32
    }

    /// Appends `missing` neurons of `units` that do not stand in `active[start..]` yet. Those are
    /// marked, and so are the new ones. Appends all that are left when there are fewer. Returns
    /// the time of the first neuron that was not taken.
    pub(super) fn draw(
        self,
        missing: usize,
        (start, units): (usize, usize),
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) -> f64 {
        let free = units - (active.len() - start);
        if missing == 0 {
            return 0.0;
        }
        // The last of many different ids are a long time in coming: then it is cheaper to draw
        // the time of each.
        if missing >= free / 4 {
            return self.draw_times(missing, units, rng, scratch, active);
        }
        let (end, mut time) = (active.len() + missing, 0.0);
        loop {
            time -= unit(rng).ln();
            let id = ((unit(rng) * self.log_units).exp() as u32).clamp(1, units as u32) - 1;
            if scratch.votes[id as usize] == 0 {
                if active.len() == end {
                    return time;
                }
                scratch.votes[id as usize] = 1;
                active.push(id);
            }
        }
    }

    /// The same from the time of every neuron.
    fn draw_times(
        self,
        missing: usize,
        units: usize,
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) -> f64 {
        let Scratch { votes, clocks, .. } = scratch;
        clocks.clear();
        let free = (0..units as u32).filter(|&id| votes[id as usize] == 0);
        clocks.extend(free.map(|id| (-unit(rng).ln() / self.p(id), id)));
        let mut time = f64::INFINITY;
        if missing < clocks.len() {
            time = clocks.select_nth_unstable_by(missing, |a, b| a.0.total_cmp(&b.0)).1.0;
            clocks.truncate(missing);
        }
        for &(_, id) in clocks.iter() {
            votes[id as usize] = 1;
            active.push(id);
        }
        time
    }
}

/// Uniform in (0, 1], with 53 bits.
fn unit(rng: &mut Rng) -> f64 {
    ((rng.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64
}
