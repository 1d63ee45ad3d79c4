//! From buckets to neurons: top-k by count, and whole buckets in random order.

use crate::config::Strategy;
use crate::lsh::HashTables;
use crate::rng::Rng;

use super::{Lsh, Scratch};

impl Lsh {
    /// Neurons that are taken from the tables at most.
    const fn wanted(&self) -> usize {
        self.n_active - self.n_random
    }

    /// Appends what the tables return for `codes`, as far as no room is kept for random neurons.
    pub(super) fn retrieve(
        &self,
        codes: &[u16],
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) {
        match self.strategy {
            Strategy::Topk => self.top_k(codes, rng, scratch, active),
            Strategy::Vanilla => self.vanilla(codes, rng, scratch, active),
        }
    }

    /// Counts in how many buckets a neuron stands and keeps the most frequent.
    ///
    /// Ties go to the neurons seen first, and the first table is drawn at random.
    fn top_k(&self, codes: &[u16], rng: &mut Rng, scratch: &mut Scratch, active: &mut Vec<u32>) {
        let Scratch { votes, candidates, .. } = scratch;
        let tables = self.index.tables();
        let n_tables = tables.n_tables();
        let first = rng.below(n_tables as u32) as usize;
        let mut found = 0;
        for table in (first..n_tables).chain(0..first) {
            for &id in self.bucket(tables, table, codes[table], rng) {
                // Written always and kept when new: a branch here would be taken at random.
                let votes = &mut votes[id as usize];
                candidates[found] = id;
                found += usize::from(*votes == 0);
                *votes = votes.saturating_add(1);
            }
        }
        let candidates = &candidates[..found];
        let mut histogram = [0_usize; 256];
        for &id in candidates {
            histogram[votes[id as usize] as usize] += 1;
        }
        let (least, mut room) = threshold(&histogram, self.wanted());
        for &id in candidates {
            let votes = std::mem::take(&mut votes[id as usize]);
            let last_in = votes == least && room > 0;
            room -= usize::from(last_in);
            if votes > least || last_in {
                active.push(id);
            }
        }
    }

    /// Adds whole buckets, tables in random order, until there are enough neurons
    /// (Chen et al., "SLIDE", section 4.1).
    fn vanilla(&self, codes: &[u16], rng: &mut Rng, scratch: &mut Scratch, active: &mut Vec<u32>) {
        let tables = self.index.tables();
        let (start, end) = (active.len(), active.len() + self.wanted());
        let mut order = std::mem::take(&mut scratch.order);
        order.clear();
        order.extend(0..tables.n_tables() as u32);
        rng.shuffle(&mut order);
        'tables: for &table in &order {
            let table = table as usize;
            for &id in self.bucket(tables, table, codes[table], rng) {
                if active.len() == end {
                    break 'tables;
                }
                if std::mem::replace(&mut scratch.votes[id as usize], 1) == 0 {
                    active.push(id);
                }
            }
        }
        scratch.order = order;
        scratch.forget(&active[start..]);
    }

    /// At most `bucket_size` ids of a bucket: a window at a random place.
    #[inline]
    fn bucket<'a>(
        &self,
        tables: &'a HashTables,
        table: usize,
        code: u16,
        rng: &mut Rng,
    ) -> &'a [u32] {
        let ids = tables.bucket(table, code);
        if ids.len() <= self.bucket_size {
            return ids;
        }
        let start = rng.below((ids.len() - self.bucket_size + 1) as u32) as usize;
        &ids[start..start + self.bucket_size]
    }
}

/// The vote count at which `n` neurons are reached, and how many with just that count belong.
fn threshold(histogram: &[usize; 256], n: usize) -> (u8, usize) {
    let mut missing = n;
    for votes in (1..=u8::MAX).rev() {
        let here = histogram[votes as usize];
        if here >= missing {
            return (votes, missing);
        }
        missing -= here;
    }
    (0, 0)
}
