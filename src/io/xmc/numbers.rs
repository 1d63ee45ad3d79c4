//! Short decimal numbers, eight bytes at a time.
//!
//! These are the forms that data sets mostly hold: ids of up to seven digits, and values such as
//! `1`, `0.0792` or `-12.3456789`. Whatever else there is (exponents, more digits, the last bytes
//! of a block) is left to slower code; nothing is read differently here.

/// The powers of ten that 64-bit floats hold exactly and that are needed here.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
/// The same as whole numbers, as far as they are digits of one word.
const WHOLE_POWERS: [u64; 9] =
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Whole numbers up to here are exact in 64-bit floats.
const EXACT: u64 = 1 << 53;

/// The number that the digits at the start of `bytes` spell, and how many digits it has.
#[inline(always)]
fn digits(bytes: [u8; 8]) -> (u64, usize) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // A digit turns into its value, and any other byte into something above nine.
    let word = u64::from_le_bytes(bytes) ^ (ONES * 0x30);
    // The lowest high bit marks the first byte that is no digit; carries only touch later bytes.
    let others = (word.wrapping_add(ONES * 0x76) | word) & (ONES * 0x80);
    let count = others.trailing_zeros() / 8;
    // Zeros in front, then neighbours are joined: to pairs, to fours, to eight.
    let word = word.unbounded_shl(64 - 8 * count);
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
    let even = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let odd = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    (even.wrapping_add(odd) >> 32, count as usize)
}

/// Eight bytes of `text`, if there are as many.
#[inline(always)]
fn word(text: &[u8], at: usize) -> Option<[u8; 8]> {
    text.get(at..)?.first_chunk().copied()
}

/// A whole number of one to seven digits at `at`, and where it ends.
#[inline(always)]
pub(super) fn whole(text: &[u8], at: usize) -> Option<(u64, usize)> {
    let (value, count) = digits(word(text, at)?);
    // With eight, the number might go on.
    ((1..8).contains(&count)).then_some((value, at + count))
}

/// A decimal number at `at` in its usual form, rounded to nearest, and where it ends.
///
/// The digits, as a whole number, and the power of ten are both exact in 64 bits, so that one
/// division rounds once. Rounding again to 32 bits is right unless the quotient lies halfway between
/// two of its numbers, where the true one may lie on either side.
#[inline(always)]
pub(super) fn decimal(text: &[u8], at: usize) -> Option<(f32, usize)> {
    const HALFWAY: u64 = 1 << 28;
    let negative = *text.get(at)? == b'-';
    let (mut mantissa, mut end) = whole(text, at + usize::from(negative))?;
    let mut places = 0;
    if *text.get(end)? == b'.' {
        let (fraction, count) = digits(word(text, end + 1)?);
        mantissa = mantissa * WHOLE_POWERS[count] + fraction;
        (places, end) = (count, end + 1 + count);
        if count == 8 {
            let (fraction, count) = digits(word(text, end)?);
            mantissa = mantissa.checked_mul(WHOLE_POWERS[count])?.checked_add(fraction)?;
            (places, end) = (places + count, end + count);
            if mantissa > EXACT || count == 8 {
                return None;
            }
        }
        if places == 0 {
            return None;
        }
    }
    let value = mantissa as f64 / POWERS[places];
    if value.to_bits() & (2 * HALFWAY - 1) == HALFWAY {
        return None;
    }
    let value = value as f32;
    Some((if negative { -value } else { value }, end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the standard library reads; `tail` is there so that whole words can be loaded.
    fn check(number: &str) -> Option<()> {
        let text = format!("{number} tail of 8 bytes and more");
        let (value, end) = decimal(text.as_bytes(), 0)?;
        let want: f32 = number.parse().unwrap();
        assert_eq!((value.to_bits(), end), (want.to_bits(), number.len()), "{number}");
        Some(())
    }

    #[test]
    fn usual_forms_are_read_here() {
        for number in ["0", "1", "9999999", "0.5", "-0.0", "-3.25", "0.0792", "1.00000001"] {
            assert!(check(number).is_some(), "{number}");
        }
        assert!(check("0.123456789012345").is_some());
        assert!(check("9999999.12345678").is_some());
    }

    #[test]
    fn other_forms_are_left_to_slower_code() {
        let unusual = ["", "-", ".5", "1.", "+1", "12345678", "x", "-x", "0.1234567890123456"];
        for number in unusual {
            assert!(decimal(format!("{number} and more bytes").as_bytes(), 0).is_none());
        }
        assert_eq!(decimal(b"0.5", 0), None);
        assert_eq!(whole(b"12345678:1 and more", 0), None);
        assert_eq!(whole(b":1 and more", 0), None);
    }

    #[test]
    fn a_number_ends_at_the_first_byte_that_is_no_part_of_it() {
        for byte in (0..=255_u8).filter(|byte| !byte.is_ascii_digit()) {
            let text = [b"1234".as_slice(), &[byte], b"5678"].concat();
            assert_eq!(whole(&text, 0), Some((1234, 4)), "{byte}");
        }
    }

    #[test]
    fn halfway_between_two_floats_is_not_decided_here() {
        // From 2^23 on, floats are whole numbers; from 2^22 on, halves of them.
        assert!(check("8388608.5").is_none());
        assert!(check("4194304.25").is_none());
        assert!(check("4194304.5").is_some());
    }

    proptest! {
        #[test]
        fn decimals_are_rounded_like_the_standard_library(number in "-?[0-9]{1,7}(\\.[0-9]{1,15})?") {
            check(&number);
        }

        #[test]
        fn shortest_digits_read_back_bitwise(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            check(&format!("{value}"));
        }
    }
}
