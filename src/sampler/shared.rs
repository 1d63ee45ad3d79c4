//! Random neurons that the samples of a block share, and which of them each sample took.

use std::iter::once;
use std::ops::Range;

use crate::touched::make_room;

/// Random neurons that the samples of a block share, and which of them each sample took: the first
/// that it did not have yet.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    ids: Vec<u32>,
    /// Whether some sample took it.
    taken: Vec<bool>,
    /// The place of each id, and one more, somewhere behind [`Shared::hash`] of it; 0 where there is
    /// none.
    places: Vec<u32>,
    /// Places that the samples left out, those of each in ascending order.
    skipped: Vec<u32>,
    /// Where those of each sample end, and the place before which it had enough.
    ends: Vec<(usize, u32)>,
}

impl Shared {
    /// Becomes what `draw` leaves, all different; no sample has taken any.
    pub fn refill(&mut self, draw: impl FnOnce(&mut Vec<u32>)) {
        self.ids.clear();
        draw(&mut self.ids);
        self.skipped.clear();
        self.ends.clear();
        self.taken.clear();
        self.taken.resize(self.ids.len(), false);
        self.places.clear();
        if self.ids.is_empty() {
            return;
        }
        // At most half full, so that looking for an id ends soon.
        self.places.resize((2 * self.ids.len()).next_power_of_two(), 0);
        for (&id, place) in self.ids.iter().zip(1..) {
            let at = self.find(id);
            self.places[at] = place;
        }
    }

    /// The ids, in the order in which they are taken.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The next sample takes `missing` of them, or as many as there are, that are not among `known`,
    /// all different. Returns how many it took.
    pub(crate) fn take(&mut self, missing: usize, known: &[u32]) -> usize {
        let start = self.skipped.len();
        if missing > 0 && !self.ids.is_empty() {
            let mut skipped = std::mem::take(&mut self.skipped);
            let most = skipped.len() + known.len().min(self.ids.len());
            make_room(&mut skipped, most);
            let places = known.iter().map(|&id| self.places[self.find(id)]);
            skipped.extend(places.filter(|&place| place > 0).map(|place| place - 1));
            self.skipped = skipped;
        }
        let skipped = &mut self.skipped[start..];
        skipped.sort_unstable();
        // Each that is left out on the way moves the end on.
        let before = skipped.iter().zip(missing..).take_while(|(at, end)| (**at as usize) < *end);
        let passed = before.count();
        let end = (missing + passed).min(self.ids.len());
        self.skipped.truncate(start + passed);
        self.ends.push((self.skipped.len(), end as u32));
        for run in runs(&self.skipped[start..], end as u32) {
            self.taken[run].fill(true);
        }
        end - passed
    }

    /// The next sample takes none.
    pub fn pass(&mut self) {
        self.ends.push((self.skipped.len(), 0));
    }

    /// Appends those that the last sample took.
    pub(super) fn append(&self, active: &mut Vec<u32>) {
        let last = self.ends.len().checked_sub(1);
        for run in last.into_iter().flat_map(|last| self.runs(last)) {
            active.extend_from_slice(&self.ids[run]);
        }
    }

    /// Places of those that sample `i` took.
    pub fn runs(&self, i: usize) -> impl Iterator<Item = Range<usize>> {
        let (skipped, end) = self.of(i);
        runs(skipped, end)
    }

    /// How many sample `i` took.
    #[must_use]
    pub fn count(&self, i: usize) -> usize {
        let (skipped, end) = self.of(i);
        end as usize - skipped.len()
    }

    /// Places and ids of those that some sample took.
    pub fn taken(&self) -> impl Iterator<Item = (usize, u32)> + Clone {
        let all = self.ids.iter().copied().enumerate();
        all.zip(&self.taken).filter(|(_, taken)| **taken).map(|(id, _)| id)
    }

    /// The places that sample `i` left out, and the place before which it had enough.
    fn of(&self, i: usize) -> (&[u32], u32) {
        let start = if i == 0 { 0 } else { self.ends[i - 1].0 };
        let (last, end) = self.ends[i];
        (&self.skipped[start..last], end)
    }

    /// Where `id` stands in `places`, or the free place where it would.
    fn find(&self, id: u32) -> usize {
        let mask = self.places.len() - 1;
        let mut at = hash(id) & mask;
        while self.places[at] > 0 && self.ids[self.places[at] as usize - 1] != id {
            at = (at + 1) & mask;
        }
        at
    }
}

/// Fibonacci hashing (Knuth, "The Art of Computer Programming", volume 3, section 6.4): ids that
/// follow a pattern are spread as well.
pub(crate) const fn hash(id: u32) -> usize {
    ((id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}

/// The places up to `end` without those that are `skipped`, all of which are before it.
fn runs(skipped: &[u32], end: u32) -> impl Iterator<Item = Range<usize>> {
    let starts = once(0).chain(skipped.iter().map(|place| place + 1));
    let ends = skipped.iter().copied().chain(once(end));
    starts.zip(ends).map(|(start, end)| start as usize..end as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_take_the_first_that_they_do_not_have() {
        let mut shared = Shared::default();
        shared.refill(|ids| ids.extend([40, 7, 12, 9, 3, 21]));
        let runs = |shared: &Shared, i| shared.runs(i).flatten().collect::<Vec<_>>();
        for (i, (missing, known, wanted)) in [
            (3, &[][..], &[0, 1, 2][..]),
            (3, &[7, 8, 9], &[0, 2, 4]),
            (2, &[12], &[0, 1]),
            (2, &[3, 40, 7, 100], &[2, 3]),
            (0, &[40], &[]),
            (9, &[21, 5], &[0, 1, 2, 3, 4]),
        ]
        .into_iter()
        .enumerate()
        {
            let before: Vec<_> = shared.taken().map(|(place, _)| place).collect();
            assert_eq!(shared.take(missing, known), wanted.len());
            assert_eq!((runs(&shared, i), shared.count(i)), (wanted.to_vec(), wanted.len()));
            let after = shared.taken().map(|(place, _)| place).collect::<Vec<_>>();
            assert!(wanted.iter().chain(&before).all(|place| after.contains(place)));
        }
        shared.pass();
        assert_eq!((runs(&shared, 6), shared.count(6)), (vec![], 0));
        assert_eq!(shared.taken().collect::<Vec<_>>(), [(0, 40), (1, 7), (2, 12), (3, 9), (4, 3)]);
    }

    #[test]
    fn where_nothing_is_shared_nothing_is_taken() {
        let mut shared = Shared::default();
        shared.refill(|_| {});
        assert_eq!(shared.take(5, &[1, 2]), 0);
        assert_eq!(shared.runs(0).flatten().count(), 0);
    }
}
