//! Vectors of 32-bit integers, and the dice that many numbers are rounded by at once.

use super::element::{FIRST_MIX, GOLDEN, NEXT_DIE, SECOND_MIX};
use super::{Bf16, F16, Isa, LANES};

/// The integers of an instruction set.
pub(super) trait Words: Isa {
    /// [`LANES`] integers of 32 bits.
    type W: Copy;
    /// All lanes set to `x`.
    fn splat_words(self, x: u32) -> Self::W;
    /// Reads one vector.
    fn load_words(self, x: &[u32; LANES]) -> Self::W;
    /// `a + b`, wrapping.
    fn add_words(self, a: Self::W, b: Self::W) -> Self::W;
    /// `a * b`, wrapping.
    fn mul_words(self, a: Self::W, b: Self::W) -> Self::W;
    /// `a ^ b`
    fn xor_words(self, a: Self::W, b: Self::W) -> Self::W;
    /// `a >> bits`, the same for every lane.
    fn shift_words(self, a: Self::W, bits: u32) -> Self::W;
    /// Writes one vector as halves, rounded as by [`Bf16::round`] with the upper half of each of
    /// the `dice`.
    fn store_bf16(self, x: &mut [Bf16; LANES], v: Self::V, dice: Self::W);
    /// The same as by [`F16::round`].
    fn store_f16(self, x: &mut [F16; LANES], v: Self::V, dice: Self::W);
}

/// `i * GOLDEN` in lane `i`.
const LANE: [u32; LANES] = {
    let (mut lane, mut i) = ([0; LANES], 0);
    while i < LANES {
        lane[i] = GOLDEN.wrapping_mul(i as u32);
        i += 1;
    }
    lane
};

/// The dice of the entries of a row, one vector after another; the same as
/// [`dice`](super::dice) throws one by one.
pub(super) struct Chance<I: Words> {
    isa: I,
    at: I::W,
    key: I::W,
}

impl<I: Words> Chance<I> {
    /// The dice of the row that `key` was drawn for, from place `first` on.
    #[inline(always)]
    pub(super) fn new(isa: I, (key, first): (u64, u32)) -> Self {
        let start = (key as u32).wrapping_add(first.wrapping_mul(GOLDEN));
        let at = isa.add_words(isa.splat_words(start), isa.load_words(&LANE));
        Self { isa, at, key: isa.splat_words((key >> 32) as u32) }
    }

    /// Three dice for each of the next lanes, in the upper halves.
    #[inline(always)]
    pub(super) fn next(&mut self) -> [I::W; 3] {
        let (isa, z) = (self.isa, self.at);
        self.at = isa.add_words(z, isa.splat_words(GOLDEN.wrapping_mul(LANES as u32)));
        let z = isa.xor_words(z, isa.shift_words(z, 16));
        let z = isa.xor_words(isa.mul_words(z, isa.splat_words(FIRST_MIX)), self.key);
        let z = isa.xor_words(z, isa.shift_words(z, 13));
        let first = isa.mul_words(z, isa.splat_words(SECOND_MIX));
        let second = isa.mul_words(first, isa.splat_words(NEXT_DIE));
        [first, second, isa.mul_words(second, isa.splat_words(NEXT_DIE))]
    }
}
