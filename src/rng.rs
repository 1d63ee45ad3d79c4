//! Counter-based randomness: a generator is a pure function of what it is for.
//!
//! Nothing is drawn from shared state, so a sample gets the same numbers whichever thread works on
//! it and in whatever order. The mixing is that of `SplitMix64` (Steele, Lea and Flood, "Fast
//! splittable pseudorandom number generators", OOPSLA 2014).

/// What the numbers are for; two purposes never share a sequence.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// Initial weights; the step is the layer, the item the row.
    Weights,
    /// Projections of a hash family; the item is the coordinate, or what part of a transform.
    Projection,
    /// Order of the rows in an epoch; the step is the epoch.
    Shuffle,
    /// Dropout of input features; the item is the sample.
    InputDropout,
    /// Dropout of hidden units; the item is the sample, the layer is mixed into it.
    HiddenDropout,
    /// Choice of active neurons; the item is the sample.
    Sampler,
    /// Choice of active neurons outside training; the item is the row.
    Probe,
    /// Where the empty bins of a hash family look; the step is the generation, the item the bin.
    Densify,
    /// Which ids of a full bucket are kept; the step is the table, the item the bucket.
    Reservoir,
    /// Rounding of changed weights; the item is the row.
    Rounding,
    /// Random neurons that a block of samples shares; the item is the block, the layer is mixed into
    /// it.
    SharedNegatives,
    /// Order of the rows of a classifier, and its random negatives; the step is the pass, the item
    /// the label.
    Ranker,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finisher of `SplitMix64`: every bit of the result depends on every bit of `z`.
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A small generator for one purpose.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The generator of (`seed`, `stream`, `step`, `item`).
    #[must_use]
    pub const fn new(seed: u64, stream: Stream, step: u64, item: u64) -> Self {
        let key = mix(seed.wrapping_add(GOLDEN)) ^ (stream as u64).wrapping_mul(GOLDEN);
        let key = mix(key) ^ step.wrapping_mul(0xd6e8_feb8_6659_fd93);
        Self { state: mix(mix(key) ^ item.wrapping_mul(0xa076_1d64_78bd_642f)) }
    }

    /// 64 random bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number below `n`, which must not be zero (Lemire's multiplication; bias below `n / 2^32`).
    #[inline]
    pub const fn below(&mut self, n: u32) -> u32 {
        (((self.next_u64() >> 32) * n as u64) >> 32) as u32
    }

    /// Uniform in [0, 1).
    #[inline]
    pub fn uniform(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 * (1.0 / 16_777_216.0)
    }

    /// +1 or -1.
    #[inline]
    pub const fn sign(&mut self) -> f32 {
        if self.next_u64() >> 63 == 0 { 1.0 } else { -1.0 }
    }

    /// Two independent standard normal numbers (Box and Muller).
    pub fn normals(&mut self) -> [f32; 2] {
        let u = ((self.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        let angle = std::f64::consts::TAU * (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let radius = (-2.0 * u.ln()).sqrt();
        [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
    }

    /// Fills `out` with normal numbers of mean 0 and standard deviation `std`.
    pub fn fill_normal(&mut self, std: f32, out: &mut [f32]) {
        for pair in out.chunks_mut(2) {
            for (out, x) in pair.iter_mut().zip(self.normals()) {
                *out = std * x;
            }
        }
    }

    /// Fills `out` with numbers that are uniform in [-`bound`, `bound`).
    pub fn fill_uniform(&mut self, bound: f32, out: &mut [f32]) {
        for out in out {
            *out = bound * (2.0 * self.uniform() - 1.0);
        }
    }

    /// Puts `items` in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u32 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_purpose_gives_the_same_numbers_and_another_purpose_others() {
        let draw = |stream, step, item| Rng::new(7, stream, step, item).next_u64();
        assert_eq!(draw(Stream::Sampler, 3, 5), draw(Stream::Sampler, 3, 5));
        assert_ne!(draw(Stream::Sampler, 3, 5), draw(Stream::Sampler, 5, 3));
        assert_ne!(draw(Stream::Sampler, 3, 5), draw(Stream::Shuffle, 3, 5));
    }

    #[test]
    fn below_is_uniform_by_chi_square() {
        let (bins, draws) = (50, 100_000_u32);
        let mut counts = vec![0_u32; bins];
        let mut rng = Rng::new(1, Stream::Probe, 0, 0);
        for _ in 0..draws {
            counts[rng.below(bins as u32) as usize] += 1;
        }
        let expected = f64::from(draws) / bins as f64;
        let chi: f64 = counts.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
        // 49 degrees of freedom: mean 49, standard deviation sqrt(98); five of them.
        assert!((chi - 49.0).abs() < 5.0 * 98_f64.sqrt(), "chi square {chi}");
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let mut x = vec![0.0; 100_000];
        Rng::new(2, Stream::Weights, 0, 0).fill_normal(1.0, &mut x);
        let n = x.len() as f64;
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n;
        // Standard errors are 1 / sqrt(n) and sqrt(2 / n); five of each.
        assert!(mean.abs() < 5.0 / n.sqrt(), "mean {mean}");
        assert!((variance - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "variance {variance}");
    }

    #[test]
    fn shuffle_keeps_every_item_once() {
        let mut items: Vec<u32> = (0..1000).collect();
        Rng::new(3, Stream::Shuffle, 0, 0).shuffle(&mut items);
        assert!(items.windows(2).any(|pair| pair[0] > pair[1]));
        items.sort_unstable();
        assert!(items.iter().copied().eq(0..1000));
    }
}
