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

/// Those that belong to one word with a point and a byte behind.
const SHORT_POWERS: [f32; 6] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5];

/// Whole numbers up to here are exact in 64-bit floats.
const EXACT: u64 = 1 << 53;

/// The same byte eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Eight bytes of text, in which digits have become their values.
#[derive(Clone, Copy)]
struct Word {
    values: u64,
    /// The high bits of bytes that are no digits. All are right up to the first byte above 127,
    /// whose carry may reach the next one.
    others: u64,
}

impl Word {
    /// The bytes of `text` from `at` on, if there are eight.
    #[inline(always)]
    fn load(text: &[u8], at: usize) -> Option<Self> {
        // What is no digit becomes more than nine, and reaches the high bit by this sum.
        let values = u64::from_le_bytes(*text.get(at..)?.first_chunk()?) ^ eight(b'0');
        let others = (values.wrapping_add(eight(0x76)) | values) & eight(0x80);
        Some(Self { values, others })
    }

    /// How many digits stand in front.
    #[inline(always)]
    const fn digits(self) -> usize {
        self.others.trailing_zeros() as usize / 8
    }

    /// The number that the first `digits` bytes spell.
    #[inline(always)]
    const fn number(self, digits: usize) -> u64 {
        spelt(self.values, digits)
    }

    /// A number such as `0.0792` of one word: its digits as a whole number, how many of them are
    /// behind the point, and its length.
    #[inline(always)]
    fn short(self) -> Option<(u64, usize, usize)> {
        let point = self.digits();
        let others = self.others & self.others.wrapping_sub(1);
        let end = others.trailing_zeros() as usize / 8;
        if point == 0 || end == 8 || end == point + 1 {
            return None;
        }
        let before = (1 << (8 * point)) - 1;
        let is_point = (self.values >> (8 * point)) as u8 == b'.' ^ b'0';
        let joined = (self.values & before) | ((self.values >> 8) & !before);
        is_point.then(|| (spelt(joined, end - 1), end - point - 1, end))
    }
}

/// The number that the first bytes spell, of which each is a digit.
#[inline(always)]
const fn spelt(values: u64, digits: usize) -> u64 {
    const MASK: u64 = 0x0000_00ff_0000_00ff;
    // Zeros in front, then neighbours are joined: to pairs, to fours, to eight.
    let values = values.unbounded_shl(64 - 8 * digits as u32);
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    let even = (pairs & MASK).wrapping_mul(100 + (1_000_000 << 32));
    let odd = ((pairs >> 16) & MASK).wrapping_mul(1 + (10_000 << 32));
    even.wrapping_add(odd) >> 32
}

/// A whole number of one to seven digits at `at`, and where it ends.
#[inline(always)]
pub(super) fn whole(text: &[u8], at: usize) -> Option<(u64, usize)> {
    let word = Word::load(text, at)?;
    let digits = word.digits();
    // With eight, the number might go on.
    (1..8).contains(&digits).then(|| (word.number(digits), at + digits))
}

/// A decimal number at `at` in its usual form, rounded to nearest, and where it ends.
#[inline(always)]
pub(super) fn decimal(text: &[u8], at: usize) -> Option<(f32, usize)> {
    let negative = *text.get(at)? == b'-';
    let at = at + usize::from(negative);
    // Six digits at most and a power of ten below 10^6: both exact, so that one division rounds.
    let short = Word::load(text, at)?.short();
    let (value, end) = match short {
        Some((digits, places, length)) => {
            (digits as i32 as f32 / SHORT_POWERS[places], at + length)
        }
        None => long_decimal(text, at)?,
    };
    Some((if negative { -value } else { value }, end))
}

/// A number of up to seven digits, and fifteen behind the point.
///
/// The digits, as a whole number, and the power of ten are both exact in 64 bits, so that one
/// division rounds once. Rounding again to 32 bits is right unless the quotient lies halfway between
/// two of its numbers, where the true one may lie on either side.
#[inline]
fn long_decimal(text: &[u8], at: usize) -> Option<(f32, usize)> {
    const HALFWAY: u64 = 1 << 28;
    let (mut digits, mut end) = whole(text, at)?;
    let mut places = 0;
    if *text.get(end)? == b'.' {
        end += 1;
        loop {
            let word = Word::load(text, end)?;
            let more = word.digits();
            digits = digits.checked_mul(WHOLE_POWERS[more])?.checked_add(word.number(more))?;
            (places, end) = (places + more, end + more);
            if digits > EXACT || places > 15 || places == 0 {
                return None;
            }
            if more < 8 {
                break;
            }
        }
    }
    let value = digits as i64 as f64 / POWERS[places];
    (value.to_bits() & (2 * HALFWAY - 1) != HALFWAY).then_some((value as f32, end))
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
