//! A run of whole lines, parsed on one thread.

use std::ops::Range;

use super::{Axis, Wanted};

/// How much of a bad word an error quotes.
const QUOTED_BYTES: usize = 40;

/// Every id must be below these.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) features: u64,
    pub(super) labels: u64,
    pub(super) from_header: bool,
}

/// The rows of a run of lines, canonical like [`XmcData`](super::XmcData).
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) x_lengths: Vec<usize>,
    pub(super) x_ids: Vec<i32>,
    pub(super) x_values: Vec<f32>,
    pub(super) y_lengths: Vec<usize>,
    pub(super) y_ids: Vec<i32>,
    /// Largest feature id plus one.
    pub(super) features: usize,
    /// Largest label id plus one.
    pub(super) labels: usize,
}

/// The first word of a chunk that cannot be used.
#[derive(Debug)]
pub(super) struct Fault {
    /// Where it stands in the whole text.
    pub(super) offset: usize,
    pub(super) found: String,
    pub(super) wanted: Wanted,
}

impl Chunk {
    /// Parses the lines of `text[range]`.
    pub(super) fn parse(text: &[u8], range: Range<usize>, limits: Limits) -> Result<Self, Fault> {
        // A guess from the bytes that are really there; the arrays grow if pairs are shorter.
        let pairs = range.len() / 12;
        let mut chunk = Self {
            x_ids: Vec::with_capacity(pairs),
            x_values: Vec::with_capacity(pairs),
            ..Self::default()
        };
        let mut scratch = Vec::new();
        let mut start = range.start;
        while start < range.end {
            let end = memchr::memchr(b'\n', &text[start..range.end])
                .map_or(range.end, |newline| start + newline);
            let mut line = Line { text: &text[..end], at: start };
            chunk.push_labels(&mut line, limits)?;
            chunk.push_features(&mut line, limits, &mut scratch)?;
            start = end + 1;
        }
        Ok(chunk)
    }

    fn push_labels(&mut self, line: &mut Line<'_>, limits: Limits) -> Result<(), Fault> {
        let first = self.y_ids.len();
        let mut rising = true;
        let mut previous = -1;
        // Labels are the first word of a line, unless that word is a pair.
        if line.peek().is_some_and(|byte| !is_blank(byte)) && !line.word().contains(&b':') {
            let word = line.at;
            loop {
                let id = line.id(word, limits, Axis::Label)?;
                rising &= id > previous;
                previous = id;
                self.y_ids.push(id);
                match line.peek() {
                    Some(b',') => line.at += 1,
                    None => break,
                    Some(byte) if is_blank(byte) => break,
                    Some(_) => return Err(line.fault(word, Wanted::Labels)),
                }
            }
        }
        if !rising {
            self.y_ids[first..].sort_unstable();
            let mut kept = first;
            for k in first..self.y_ids.len() {
                if k == first || self.y_ids[k] != self.y_ids[kept - 1] {
                    self.y_ids[kept] = self.y_ids[k];
                    kept += 1;
                }
            }
            self.y_ids.truncate(kept);
        }
        if let Some(&id) = self.y_ids[first..].last() {
            self.labels = self.labels.max(id as usize + 1);
        }
        self.y_lengths.push(self.y_ids.len() - first);
        Ok(())
    }

    fn push_features(
        &mut self,
        line: &mut Line<'_>,
        limits: Limits,
        scratch: &mut Vec<(i32, f32)>,
    ) -> Result<(), Fault> {
        let first = self.x_ids.len();
        let start = line.at;
        let mut rising = true;
        let mut previous = -1;
        while line.skip_blanks() {
            let word = line.at;
            let id = line.id(word, limits, Axis::Feature)?;
            if line.peek() != Some(b':') {
                return Err(line.fault(word, Wanted::Pair));
            }
            line.at += 1;
            let value = line.value(word)?;
            rising &= id > previous;
            previous = id;
            self.x_ids.push(id);
            self.x_values.push(value);
        }
        if !rising && !self.sort_and_sum(first, scratch) {
            line.at = start;
            line.skip_blanks();
            return Err(line.fault(line.at, Wanted::FiniteValue));
        }
        if let Some(&id) = self.x_ids[first..].last() {
            self.features = self.features.max(id as usize + 1);
        }
        self.x_lengths.push(self.x_ids.len() - first);
        Ok(())
    }

    /// Makes the last row canonical; false if a sum is not finite.
    fn sort_and_sum(&mut self, first: usize, scratch: &mut Vec<(i32, f32)>) -> bool {
        scratch.clear();
        scratch.extend(self.x_ids.drain(first..).zip(self.x_values.drain(first..)));
        // Stable, so that sums are taken in the order of the file.
        scratch.sort_by_key(|&(id, _)| id);
        for &(id, value) in scratch.iter() {
            if self.x_ids[first..].last() == Some(&id)
                && let Some(sum) = self.x_values.last_mut()
            {
                *sum += value;
            } else {
                self.x_ids.push(id);
                self.x_values.push(value);
            }
        }
        self.x_values[first..].iter().all(|value| value.is_finite())
    }
}

/// A place in a line; `text` ends where the line does.
#[derive(Debug)]
struct Line<'a> {
    text: &'a [u8],
    at: usize,
}

impl Line<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Moves to the next word; false if there is none.
    fn skip_blanks(&mut self) -> bool {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
        self.at < self.text.len()
    }

    /// The rest of the word at the cursor.
    fn word(&self) -> &[u8] {
        let rest = &self.text[self.at..];
        &rest[..rest.iter().position(|&byte| is_blank(byte)).unwrap_or(rest.len())]
    }

    /// Reads an id, which no limit lets exceed `i32::MAX`, inside the word that starts at `word`.
    fn id(&mut self, word: usize, limits: Limits, axis: Axis) -> Result<i32, Fault> {
        let (columns, wanted) = match axis {
            Axis::Feature => (limits.features, Wanted::Pair),
            Axis::Label => (limits.labels, Wanted::Labels),
        };
        let start = self.at;
        let mut id = 0_u64;
        while let Some(digit) = self.peek().map(|byte| byte.wrapping_sub(b'0'))
            && digit < 10
        {
            id = id.saturating_mul(10).saturating_add(u64::from(digit));
            self.at += 1;
        }
        if self.at == start {
            return Err(self.fault(word, wanted));
        }
        if id >= columns {
            let from_header = limits.from_header;
            return Err(self.fault(word, Wanted::IdBelow { axis, columns, from_header }));
        }
        Ok(id as i32)
    }

    /// Reads a value that ends where the word does.
    fn value(&mut self, word: usize) -> Result<f32, Fault> {
        let (value, length) = fast_float2::parse_partial::<f32, _>(&self.text[self.at..])
            .map_err(|_| self.fault(word, Wanted::Value))?;
        self.at += length;
        if self.peek().is_some_and(|byte| !is_blank(byte)) {
            return Err(self.fault(word, Wanted::Value));
        }
        if !value.is_finite() {
            return Err(self.fault(word, Wanted::FiniteValue));
        }
        Ok(value)
    }

    fn fault(&self, offset: usize, wanted: Wanted) -> Fault {
        let word = Line { text: self.text, at: offset };
        let word = word.word();
        let quoted = &word[..word.len().min(QUOTED_BYTES)];
        let more = if quoted.len() < word.len() { "..." } else { "" };
        Fault { offset, found: format!("{}{more}", quoted.escape_ascii()), wanted }
    }
}

/// A carriage return counts, so Windows line ends need no other care.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}
