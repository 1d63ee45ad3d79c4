//! From buckets to neurons: the best by estimated logit or count, whole buckets in random order,
//! or all of them.

use crate::config::{LogQ, Strategy};
use crate::rng::Rng;

use super::correct::Law;
use super::{Lsh, Scratch};

impl Lsh {
    /// Appends what the tables return for `codes`, at most `n` neurons, and says how likely each
    /// was.
    pub(super) fn retrieve(
        &self,
        codes: &[u16],
        n: usize,
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) -> Law {
        let law = match self.strategy {
            Strategy::Topk => self.most_found(codes, (n, 1), rng, scratch, active),
            Strategy::Threshold { min_count } => {
                // No count exceeds the number of tables, which fits in a byte.
                let floor = u8::try_from(min_count).unwrap_or(u8::MAX);
                self.most_found(codes, (n, floor), rng, scratch, active)
            }
            Strategy::Vanilla => self.vanilla(codes, n, rng, scratch, active),
            Strategy::Union => self.union(codes, n, rng, scratch, active),
        };
        if self.log_q == LogQ::All { law } else { Law::Fill }
    }

    /// Counts in how many buckets a neuron stands, and keeps those with the best grades: see
    /// [`super::ranking::Ranking`]. Those in fewer than `floor` do not count.
    ///
    /// Ties go to the neurons seen first, and the first table is drawn at random.
    fn most_found(
        &self,
        codes: &[u16],
        (n, floor): (usize, u8),
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) -> Law {
        let [found, again] = self.count(codes, rng, scratch);
        let Scratch { votes, candidates, repeated, order: graded, grades, .. } = scratch;
        let (all, repeated) = (&candidates[..found], &repeated[..again]);
        let mut histogram = [0_usize; 256];
        for &id in repeated {
            histogram[votes[id as usize] as usize] += 1;
        }
        // Only the best by count are graded.
        let most = GRADED * n;
        let (mut fewest, mut room) = threshold(&histogram, most);
        if fewest < floor.max(2) {
            fewest = floor.max(2);
            room = histogram[fewest as usize];
        }
        let mut kept = share(room, histogram[fewest as usize]);
        graded.clear();
        for &id in repeated {
            let count = votes[id as usize];
            let last_in = count == fewest && room > 0;
            room -= usize::from(last_in);
            if count > fewest || last_in {
                graded.push(id);
            }
        }
        // Most candidates were found once, by chance: where those found again are enough, the others
        // are not looked at.
        if again < n && floor <= 1 {
            let once = found - again;
            let room = once.min(most - again);
            graded.extend(all.iter().filter(|&&id| votes[id as usize] == 1).take(room));
            (fewest, kept) = (1, share(room, once));
        }
        grades.clear();
        histogram.fill(0);
        // Lengths stand all over memory: read on their own, many are under way at a time.
        let mut lengths = [0.0; 64];
        for graded in graded.chunks(lengths.len()) {
            for (length, &id) in lengths.iter_mut().zip(graded) {
                *length = self.index.length(id);
            }
            for (&id, &length) in graded.iter().zip(&lengths) {
                let grade = self.ranking.grade(votes[id as usize], length);
                histogram[grade as usize] += 1;
                grades.push(grade);
            }
        }
        for &id in all {
            votes[id as usize] = 0;
        }
        let (least, mut room) = threshold(&histogram, n);
        let ties = room as f32 / histogram[least as usize].max(1) as f32;
        for (&id, &grade) in graded.iter().zip(&*grades) {
            let last_in = grade == least && room > 0;
            room -= usize::from(last_in);
            if grade > least || last_in {
                active.push(id);
            }
        }
        Law::Best { share: self.share(codes), least, ties, floor: fewest, kept }
    }

    /// Counts in how many buckets each neuron stands, as its votes, and lists those that stand in
    /// any, and those that stand in more than one; returns how many.
    fn count(&self, codes: &[u16], rng: &mut Rng, scratch: &mut Scratch) -> [usize; 2] {
        let Scratch { kernels, votes, candidates, repeated, .. } = scratch;
        let tables = self.index.tables();
        let n_tables = tables.n_tables();
        // All buckets of a query are a few tens of kilobytes, each somewhere else in memory: asked for
        // together, they arrive while the first ones are counted.
        // Where they start stands all over memory as well, and is read on its own.
        let mut buckets = [&[][..]; 32];
        for (part, codes) in codes.chunks(buckets.len()).enumerate() {
            for (table, (bucket, &code)) in
                (part * buckets.len()..).zip(buckets.iter_mut().zip(codes))
            {
                *bucket = tables.bucket(table, code);
            }
            for ids in &buckets[..codes.len()] {
                (kernels.prefetch)(bytemuck::cast_slice(&ids[..ids.len().min(self.window)]));
            }
        }
        let first = rng.below(n_tables as u32) as usize;
        let (mut found, mut again) = (0, 0);
        for table in (first..n_tables).chain(0..first) {
            for part in self.window(tables.bucket(table, codes[table]), rng) {
                for &id in part {
                    // Written always and kept when due: a branch here would be taken at random.
                    let vote = &mut votes[id as usize];
                    let before = *vote;
                    *vote = before.saturating_add(1);
                    candidates[found] = id;
                    found += usize::from(before == 0);
                    repeated[again] = id;
                    again += usize::from(before == 1);
                }
            }
        }
        [found, again]
    }

    /// The place of `id` among all candidates for `codes`, best first, counted from 1; 0 where it
    /// is none.
    pub(crate) fn rank(
        &self,
        codes: &[u16],
        id: u32,
        rng: &mut Rng,
        scratch: &mut Scratch,
    ) -> usize {
        let [found, _] = self.count(codes, rng, scratch);
        let Scratch { votes, candidates, .. } = scratch;
        let grade =
            |votes: &[u8], id: u32| self.ranking.grade(votes[id as usize], self.index.length(id));
        let candidates = &candidates[..found];
        let place = candidates.iter().position(|&candidate| candidate == id);
        let rank = place.map_or(0, |place| {
            let own = grade(votes, id);
            let before = |(at, &other): (usize, &u32)| {
                let other = grade(votes, other);
                other > own || (other == own && at < place)
            };
            let ahead = candidates.iter().enumerate().filter(|&pair| before(pair)).count();
            // Only so many of those with the most votes are graded.
            let votes_of = |id: u32| votes[id as usize];
            let more = |&&other: &&u32| votes_of(other) > votes_of(id);
            let fuller = candidates.iter().filter(more).count();
            let as_full =
                candidates[..place].iter().filter(|&&other| votes_of(other) == votes_of(id));
            let graded = (fuller + as_full.count()) / GRADED;
            // One found once is passed over where enough were found more often.
            let fewer = if votes_of(id) == 1 { graded.max(fuller) } else { graded };
            1 + ahead.max(fewer)
        });
        scratch.forget_found(found);
        rank
    }

    /// Adds whole buckets, tables in random order, until there are enough neurons
    /// (Chen et al., "SLIDE", section 4.1). The last bucket is read in part.
    fn vanilla(
        &self,
        codes: &[u16],
        n: usize,
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) -> Law {
        let tables = self.index.tables();
        let (start, end) = (active.len(), active.len() + n);
        let mut order = std::mem::take(&mut scratch.order);
        order.clear();
        order.extend(0..tables.n_tables() as u32);
        rng.shuffle(&mut order);
        let (mut visited, mut read, mut stand) = (0, 0, 0);
        for &table in &order {
            if active.len() == end {
                break;
            }
            let table = table as usize;
            let ids = tables.bucket(table, codes[table]);
            visited += 1;
            stand += tables.occupancy(table, codes[table]);
            for &id in self.around(ids, rng) {
                if active.len() == end {
                    break;
                }
                read += 1;
                if std::mem::replace(&mut scratch.votes[id as usize], 1) == 0 {
                    active.push(id);
                }
            }
        }
        scratch.order = order;
        scratch.forget(&active[start..]);
        let share = share(read, stand);
        Law::Any { tables: visited, share, kept: 1.0 }
    }

    /// Adds all buckets; of too many neurons a random part stays.
    fn union(
        &self,
        codes: &[u16],
        n: usize,
        rng: &mut Rng,
        scratch: &mut Scratch,
        active: &mut Vec<u32>,
    ) -> Law {
        let tables = self.index.tables();
        let start = active.len();
        for (table, &code) in codes.iter().enumerate() {
            for &id in self.around(tables.bucket(table, code), rng) {
                if std::mem::replace(&mut scratch.votes[id as usize], 1) == 0 {
                    active.push(id);
                }
            }
        }
        let found = &mut active[start..];
        scratch.forget(found);
        let (all, kept) = (found.len(), found.len().min(n));
        if kept < all {
            for i in 0..kept {
                found.swap(i, i + rng.below((all - i) as u32) as usize);
            }
            active.truncate(start + kept);
        }
        let kept = kept as f32 / all.max(1) as f32;
        Law::Any { tables: codes.len() as u32, share: self.share(codes), kept }
    }

    /// At most `window` ids of a bucket: where it holds more, a run that starts at a random place
    /// and goes on at the front, so that each id is equally likely. Slices are counted faster than
    /// a chain of them.
    #[inline]
    fn window<'a>(&self, ids: &'a [u32], rng: &mut Rng) -> [&'a [u32]; 2] {
        if ids.len() <= self.window {
            return [ids, &[]];
        }
        let (before, after) = ids.split_at(rng.below(ids.len() as u32) as usize);
        let here = after.len().min(self.window);
        [&after[..here], &before[..self.window - here]]
    }

    /// At most `window` ids of a bucket, from a random place around, whether it is read in part or
    /// as a whole.
    fn around<'a>(&self, ids: &'a [u32], rng: &mut Rng) -> impl Iterator<Item = &'a u32> {
        let turn = rng.below(ids.len().max(1) as u32) as usize;
        ids[turn..].iter().chain(&ids[..turn]).take(self.window)
    }

    /// Share of the ids in the buckets of a query that is read; asked only by those who correct
    /// for it.
    fn share(&self, codes: &[u16]) -> f32 {
        if self.log_q != LogQ::All {
            return 1.0;
        }
        let tables = self.index.tables();
        let (mut read, mut stand) = (0, 0);
        for (table, &code) in codes.iter().enumerate() {
            read += tables.bucket(table, code).len().min(self.window);
            stand += tables.occupancy(table, code);
        }
        share(read, stand)
    }
}

/// Share of the ids that stand in some buckets that was read of them.
///
/// A row stands more often in long buckets, which are read in part, so it is the ids that are
/// averaged over, not the buckets.
fn share(read: usize, stand: usize) -> f32 {
    if stand == 0 { 1.0 } else { read as f32 / stand as f32 }
}

/// Candidates that are graded for each neuron that is wanted: enough for rows that are much longer
/// than others to make up for a smaller count.
const GRADED: usize = 16;

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
