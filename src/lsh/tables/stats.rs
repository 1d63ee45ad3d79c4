//! How full the buckets are.

use super::HashTables;

/// How full the buckets of one table or of several are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Buckets that were looked at.
    pub buckets: usize,
    /// Ids in all of them, whether they count or not.
    pub ids: usize,
    /// Buckets without an id.
    pub empty: usize,
    /// Buckets with as many ids as count, or more.
    pub full: usize,
    /// Ids of the fullest bucket.
    pub largest: usize,
    /// Place i: buckets with at least 2^i ids and fewer than 2^(i + 1).
    pub histogram: Vec<usize>,
    /// Bytes of ids, bucket starts and stored codes.
    pub bytes: usize,
}

impl TableStats {
    /// Ids of a bucket that is not empty, on average; 0 where all are.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.ids as f64 / (self.buckets - self.empty).max(1) as f64
    }

    fn count(&mut self, ids: usize, cap: usize) {
        self.buckets += 1;
        self.ids += ids;
        self.full += usize::from(ids >= cap);
        self.largest = self.largest.max(ids);
        let Some(power) = ids.checked_ilog2() else {
            self.empty += 1;
            return;
        };
        let power = power as usize;
        if self.histogram.len() <= power {
            self.histogram.resize(power + 1, 0);
        }
        self.histogram[power] += 1;
    }
}

impl HashTables {
    /// How full the buckets of all tables are.
    #[must_use]
    pub fn stats(&self) -> TableStats {
        let mut stats = TableStats { bytes: self.bytes(), ..TableStats::default() };
        (0..self.n_tables).for_each(|table| self.count(table, &mut stats));
        stats
    }

    /// How full the buckets of one table are; its bytes are its share of all.
    #[must_use]
    pub fn table_stats(&self, table: usize) -> TableStats {
        let bytes = self.bytes() / self.n_tables;
        let mut stats = TableStats { bytes, ..TableStats::default() };
        self.count(table, &mut stats);
        stats
    }

    /// Bytes of ids, bucket starts, stored codes and what changed since the last build.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.codes.bytes()
            + size_of_val(self.starts.as_slice())
            + size_of_val(self.ids.as_words())
            + size_of_val(self.removed.as_slice())
            + self.overlay.bytes()
    }

    fn count(&self, table: usize, stats: &mut TableStats) {
        for code in 0..self.n_buckets {
            stats.count(self.occupancy(table, code as u16), self.cap.size);
        }
    }
}
