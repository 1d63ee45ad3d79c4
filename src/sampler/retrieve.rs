//! From buckets to neurons: the best by estimated logit, or whole buckets in random order.

use crate::config::Strategy;
use crate::lsh::HashTables;
use crate::rng::Rng;

use super::{Lsh, Scratch};

impl Lsh {
    /// Appends what the tables return for `codes`, at most `n` neurons.
    pub(super) fn retrieve(
        &self,
        codes: &[u16],
        n: usize,
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) {
        match self.strategy {
            Strategy::Vanilla => self.vanilla(codes, n, rng, scratch, active),
            _ => self.top_k(codes, n, rng, scratch, active),
        }
    }

    /// Counts in how many buckets a neuron stands, and keeps those with the best estimated logits.
    ///
    /// A count estimates the angle to the query, and the length of the row is known: see
    /// [`Ranking`]. Ties go to the neurons seen first, and the first table is drawn at random.
    fn top_k(
        &self,
        codes: &[u16],
        n: usize,
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) {
        let Scratch { kernels, votes, candidates, order: graded } = scratch;
        let tables = self.index.tables();
        let n_tables = tables.n_tables();
        // All buckets of a query are a few tens of kilobytes, each somewhere else in memory: asked for
        // together, they arrive while the first ones are counted.
        for (table, &code) in codes.iter().enumerate() {
            let ids = tables.bucket(table, code);
            let read = &ids[..ids.len().min(self.bucket_size)];
            (kernels.prefetch)(bytemuck::cast_slice(read));
        }
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
        // Most candidates were found once or twice, by chance: only the best by count are graded.
        let (fewest, _) = threshold(&histogram, GRADED * n);
        graded.clear();
        histogram.fill(0);
        for &id in candidates {
            let count = std::mem::take(&mut votes[id as usize]);
            if count >= fewest {
                let grade = self.ranking.grade(count, self.index.length(id));
                histogram[grade as usize] += 1;
                graded.push(id);
                votes[id as usize] = grade;
            }
        }
        let (least, mut room) = threshold(&histogram, n);
        for &id in graded.iter() {
            let grade = std::mem::take(&mut votes[id as usize]);
            let last_in = grade == least && room > 0;
            room -= usize::from(last_in);
            if grade > least || last_in {
                active.push(id);
            }
        }
    }

    /// Adds whole buckets, tables in random order, until there are enough neurons
    /// (Chen et al., "SLIDE", section 4.1).
    fn vanilla(
        &self,
        codes: &[u16],
        n: usize,
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) {
        let tables = self.index.tables();
        let (start, end) = (active.len(), active.len() + n);
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

/// Candidates that are graded for each neuron that is wanted: enough for rows that are much longer
/// than others to make up for a smaller count.
const GRADED: usize = 16;

/// Turns a count and a length into a grade from 1 to 255, in the order of the estimated logits.
///
/// A row at angle a stands in the bucket of the query in each table with probability
/// (1 - a / pi)^K, so a count of c in L tables estimates the cosine as
/// cos(pi (1 - (c / L)^(1 / K))); the logit is that times the length of the row. Grades are
/// logarithmic: a step is the same ratio everywhere.
#[derive(Debug)]
pub(super) struct Ranking {
    cosines: Vec<f32>,
}

impl Ranking {
    /// For `n_tables` tables of `n_hashes` bits.
    pub(super) fn new(n_tables: usize, n_hashes: usize) -> Self {
        let cosine = |count: usize| {
            let share = (count as f64 / n_tables as f64).min(1.0);
            let angle = std::f64::consts::PI * (1.0 - share.powf(1.0 / n_hashes as f64));
            angle.cos().max(0.0) as f32
        };
        Self { cosines: (0..=usize::from(u8::MAX)).map(cosine).collect() }
    }

    #[inline]
    fn grade(&self, votes: u8, length: f32) -> u8 {
        let logit = self.cosines[votes as usize] * length;
        // Sixteen grades to a factor of two: exponent and four bits of the fraction of the float.
        let bits = (logit.to_bits() >> 19) as i32 - (LOWEST.to_bits() >> 19) as i32;
        bits.clamp(1, 255) as u8
    }
}

/// Grades span 2^16 upwards from here; logits are of order one.
const LOWEST: f32 = 1.0 / 1024.0;

/// The grade at which `n` neurons are reached, and how many with just that grade belong.
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
