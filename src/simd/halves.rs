//! Numbers of 16 bits.

use bytemuck::{Pod, Zeroable};

/// The upper half of an `f32`: all of its range, 8 bits of its precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct Bf16(u16);

/// A half of IEEE 754: 11 bits of precision up to 65,504, and steps of 2^-24 below 2^-14.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct F16(u16);

impl Bf16 {
    /// In the place of every NaN, so that rounding cannot carry it out of the exponent.
    pub(super) const NAN: u16 = 0x7fc0;

    /// The number with these bits.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Its bits.
    #[must_use]
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// The same number.
    #[must_use]
    #[inline(always)]
    pub const fn to_f32(self) -> f32 {
        f32::from_bits((self.0 as u32) << 16)
    }

    /// The nearest number, of two equally near ones the even one.
    #[must_use]
    #[inline(always)]
    pub const fn nearest(x: f32) -> Self {
        Self::round(x, 0x7fff + ((x.to_bits() >> 16) & 1) as u16)
    }

    /// One of the two neighbours: up if the part that is cut off exceeds `!dice`, so that with
    /// sixteen random bits the mean is `x`.
    #[must_use]
    #[inline(always)]
    pub const fn round(x: f32, dice: u16) -> Self {
        let up = x.to_bits().wrapping_add(dice as u32) >> 16;
        Self(if x.is_nan() { Self::NAN } else { up as u16 })
    }
}

/// The least number that [`F16`] holds with all of its precision, and the first beyond its range.
pub(super) const F16_NORMAL: f32 = 1.0 / 16_384.0;
pub(super) const F16_BEYOND: f32 = 65_536.0;
/// From one number to the next below the former.
const F16_STEP: f32 = 1.0 / 16_777_216.0;
/// A part of 2^13 of the unit of the last place of a number of [`F16`] is as large as this times its
/// power of two.
pub(super) const F16_PART: f32 = 1.0 / 8_388_608.0;
/// All bits but the sign, and those of the power of two.
pub(super) const MAGNITUDE: u32 = 0x7fff_ffff;
pub(super) const EXPONENT: u32 = 0x7f80_0000;

impl F16 {
    const NAN: u16 = 0x7e00;
    const GREATEST: u16 = 0x7bff;

    /// The number with these bits.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Its bits.
    #[must_use]
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// The same number.
    #[must_use]
    #[inline(always)]
    pub const fn to_f32(self) -> f32 {
        let bits = self.0 as u32 & 0x7fff;
        let size = if bits < 1 << 10 {
            (bits as f32 * F16_STEP).to_bits()
        } else if bits <= Self::GREATEST as u32 {
            (bits << 13) + (112 << 23)
        } else {
            bits << 13 | EXPONENT
        };
        f32::from_bits(size | (self.0 as u32 & 0x8000) << 16)
    }

    /// The nearest number, of two equally near ones the even one; no finite number becomes infinite.
    #[must_use]
    #[inline(always)]
    pub const fn nearest(x: f32) -> Self {
        // Adding what has the unit of the last place of the half rounds to that unit.
        let unit = power_of(x) * (1 << 13) as f32;
        let size = f32::from_bits(x.to_bits() & MAGNITUDE);
        Self::cut(if unit < F16_BEYOND * 8192.0 { (size + unit) - unit } else { size }, x)
    }

    /// One of the two neighbours: up if the part that is cut off and the upper 13 bits of `dice`
    /// exceed a unit, so that with random bits the mean is `x`, unless `x` is beyond the range. Below
    /// 2^-14, where a unit is 2^-24, what is left of `x` behind whole parts of 2^-37 is lost.
    #[must_use]
    #[inline(always)]
    pub const fn round(x: f32, dice: u16) -> Self {
        let part = (dice >> 3) as f32 * F16_PART;
        let size = f32::from_bits(x.to_bits() & MAGNITUDE);
        Self::cut(size + power_of(x) * part, x)
    }

    /// `size`, at least zero, without what does not fit, and with the sign of `x`.
    #[inline(always)]
    const fn cut(size: f32, x: f32) -> Self {
        let bits = if size.is_nan() {
            Self::NAN
        } else if size < F16_NORMAL {
            (size / F16_STEP) as u16
        } else if size < F16_BEYOND {
            ((size.to_bits() - (112 << 23)) >> 13) as u16
        } else if size.is_finite() {
            Self::GREATEST
        } else {
            Self::GREATEST + 1
        };
        Self(bits | (x.to_bits() >> 16) as u16 & 0x8000)
    }
}

/// The power of two that the unit of the last place of `x` as [`F16`] is taken from.
#[inline(always)]
const fn power_of(x: f32) -> f32 {
    let power = f32::from_bits(x.to_bits() & EXPONENT);
    if power < F16_NORMAL {
        F16_NORMAL
    } else if power > F16_BEYOND {
        F16_BEYOND
    } else {
        power
    }
}
