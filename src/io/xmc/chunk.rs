//! A run of whole lines, parsed on one thread.

use super::{Axis, Header, MAX_COLUMNS, Wanted, numbers};

/// How much of a bad word an error quotes.
const QUOTED_BYTES: usize = 40;

/// Every id must be below these.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) features: u64,
    pub(super) labels: u64,
    pub(super) from_header: bool,
}

impl Limits {
    /// What the header says; without one, what can be held.
    pub(super) fn of(header: Option<Header>) -> Self {
        Self {
            features: header.map_or(MAX_COLUMNS, |header| header.features),
            labels: header.map_or(MAX_COLUMNS, |header| header.labels),
            from_header: header.is_some(),
        }
    }
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
    /// Line of the chunk, counted from 1.
    pub(super) line: usize,
    pub(super) found: String,
    pub(super) wanted: Wanted,
}

/// What is wrong with a line, whichever it is.
struct Refusal {
    found: String,
    wanted: Wanted,
}

impl Chunk {
    /// Parses the lines of `text`, of which only the last may have no end; the chunk must be empty.
    pub(super) fn parse(&mut self, text: &[u8], limits: Limits) -> Result<(), Fault> {
        let mut scratch = Vec::new();
        let mut start = 0;
        while start < text.len() {
            let end = memchr::memchr(b'\n', &text[start..]).map_or(text.len(), |at| start + at);
            let mut line = Line { text, end, at: start };
            self.push_labels(&mut line, limits)
                .and_then(|()| self.push_features(&mut line, limits, &mut scratch))
                .map_err(|Refusal { found, wanted }| {
                    // Lengths of features come last, so this counts the lines before.
                    Fault { line: self.x_lengths.len() + 1, found, wanted }
                })?;
            start = end + 1;
        }
        Ok(())
    }

    /// Makes room for other rows.
    pub(super) fn clear(&mut self) {
        self.x_lengths.clear();
        self.x_ids.clear();
        self.x_values.clear();
        self.y_lengths.clear();
        self.y_ids.clear();
        (self.features, self.labels) = (0, 0);
    }

    fn push_labels(&mut self, line: &mut Line<'_>, limits: Limits) -> Result<(), Refusal> {
        let first = self.y_ids.len();
        let word = line.at;
        // Labels are the first word of a line, unless that word is a pair.
        if line.peek().is_some_and(|byte| !is_blank(byte)) {
            match self.push_ids(line, limits) {
                Ok(()) => {}
                Err(_) if line.word_at(word).contains(&b':') => {
                    self.y_ids.truncate(first);
                    line.at = word;
                }
                refused => return refused,
            }
        }
        let ids = &mut self.y_ids[first..];
        if !ids.is_sorted_by(|a, b| a < b) {
            ids.sort_unstable();
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

    /// Appends the labels of the word at the cursor.
    fn push_ids(&mut self, line: &mut Line<'_>, limits: Limits) -> Result<(), Refusal> {
        let word = line.at;
        loop {
            self.y_ids.push(line.id(word, limits, Axis::Label)?);
            match line.peek() {
                Some(b',') => line.at += 1,
                None => return Ok(()),
                Some(byte) if is_blank(byte) => return Ok(()),
                Some(_) => return Err(line.refuse(word, Wanted::Labels)),
            }
        }
    }

    fn push_features(
        &mut self,
        line: &mut Line<'_>,
        limits: Limits,
        scratch: &mut Vec<(i32, f32)>,
    ) -> Result<(), Refusal> {
        let first = self.x_ids.len();
        let start = line.at;
        let mut rising = true;
        let mut previous = -1;
        while line.skip_blanks() {
            let word = line.at;
            let id = line.id(word, limits, Axis::Feature)?;
            if line.peek() != Some(b':') {
                return Err(line.refuse(word, Wanted::Pair));
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
            return Err(line.refuse(line.at, Wanted::FiniteValue));
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

/// A place in a line, which ends before `end`; the text goes on, so that whole words can be read.
#[derive(Debug)]
struct Line<'a> {
    text: &'a [u8],
    end: usize,
    at: usize,
}

impl<'a> Line<'a> {
    fn peek(&self) -> Option<u8> {
        self.text[..self.end].get(self.at).copied()
    }

    /// Moves to the next word; false if there is none.
    fn skip_blanks(&mut self) -> bool {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
        self.at < self.end
    }

    /// The word that starts at `start`, or the rest of it.
    fn word_at(&self, start: usize) -> &'a [u8] {
        let rest = &self.text[start..self.end];
        &rest[..rest.iter().position(|&byte| is_blank(byte)).unwrap_or(rest.len())]
    }

    /// Reads an id, which no limit lets exceed `i32::MAX`, inside the word that starts at `word`.
    #[inline]
    fn id(&mut self, word: usize, limits: Limits, axis: Axis) -> Result<i32, Refusal> {
        let (columns, wanted) = match axis {
            Axis::Feature => (limits.features, Wanted::Pair),
            Axis::Label => (limits.labels, Wanted::Labels),
        };
        // No digit stands at the end of a line, so that no number goes on behind it.
        let (id, end) = numbers::whole(self.text, self.at).unwrap_or_else(|| self.long_id());
        if end == self.at {
            return Err(self.refuse(word, wanted));
        }
        self.at = end;
        if id >= columns {
            let from_header = limits.from_header;
            return Err(self.refuse(word, Wanted::IdBelow { axis, columns, from_header }));
        }
        Ok(id as i32)
    }

    /// The digits at the cursor, however many, as a number that stays at the largest there is.
    #[cold]
    fn long_id(&self) -> (u64, usize) {
        let digits = self.text[self.at..self.end].iter().map(|byte| byte.wrapping_sub(b'0'));
        let mut end = self.at;
        let id = digits.take_while(|&digit| digit < 10).fold(0_u64, |id, digit| {
            end += 1;
            id.saturating_mul(10).saturating_add(u64::from(digit))
        });
        (id, end)
    }

    /// Reads a value that ends where the word does.
    #[inline]
    fn value(&mut self, word: usize) -> Result<f32, Refusal> {
        if let Some((value, end)) = numbers::decimal(self.text, self.at)
            && (end == self.end || self.text.get(end).copied().is_some_and(is_blank))
        {
            self.at = end;
            return Ok(value);
        }
        self.any_value(word)
    }

    /// Reads a value of any form.
    #[cold]
    fn any_value(&mut self, word: usize) -> Result<f32, Refusal> {
        let (value, length) = fast_float2::parse_partial::<f32, _>(&self.text[self.at..self.end])
            .map_err(|_| self.refuse(word, Wanted::Value))?;
        self.at += length;
        if self.peek().is_some_and(|byte| !is_blank(byte)) {
            return Err(self.refuse(word, Wanted::Value));
        }
        if !value.is_finite() {
            return Err(self.refuse(word, Wanted::FiniteValue));
        }
        Ok(value)
    }

    /// Says what is wrong with the word that starts at `start`.
    #[cold]
    fn refuse(&self, start: usize, wanted: Wanted) -> Refusal {
        let word = self.word_at(start);
        let quoted = &word[..word.len().min(QUOTED_BYTES)];
        let more = if quoted.len() < word.len() { "..." } else { "" };
        Refusal { found: format!("{}{more}", quoted.escape_ascii()), wanted }
    }
}

/// A carriage return counts, so Windows line ends need no other care.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}
