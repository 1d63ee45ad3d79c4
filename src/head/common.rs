//! Rows that most samples of a block have in common.

use crate::rows::Stripes;
use crate::sampler::hash;
use crate::tape::Lists;
use crate::touched::Edges;

/// Finds the rows of a block that most of its samples have: as random neurons that the block shares,
/// or labels that are everywhere. A row with an edge to every sample costs hardly more than one with
/// a single edge, so what the others lack is filled up with zeros, which change no sum.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// The number of an id in the order of their coming, and one more, somewhere behind its hash; 0
    /// where there is none.
    places: Vec<u32>,
    /// The ids by their numbers.
    ids: Vec<u32>,
    /// How many samples have each; then where its coefficients start, if most have it.
    counts: Vec<u32>,
    /// The number of the id of each edge.
    numbers: Vec<u32>,
    /// Ids that most samples have, each behind where its coefficients start.
    rows: Vec<(usize, u32)>,
    /// Their coefficients, those of all samples for an id, then those for the next.
    coefs: Vec<f32>,
}

/// Stands for an id that few samples have.
const RARE: u32 = u32::MAX;

impl Common {
    /// Makes `edges` of the lists of a block whose first sample has number `first`; of `lists` only
    /// what few samples have is left. Inputs must be finite.
    pub(super) fn group(
        &mut self,
        (stripes, first): (Stripes, usize),
        lists: &mut Lists,
        edges: &mut Edges,
    ) {
        let n = lists.ends.len();
        self.count(&lists.ids);
        let Self { ids, counts, numbers, rows, coefs, .. } = self;
        rows.clear();
        for (&id, count) in ids.iter().zip(&mut *counts) {
            let often = 2 * *count as usize >= n;
            *count = if often { (n * rows.len()) as u32 } else { RARE };
            if often {
                rows.push((n * rows.len(), id));
            }
        }
        coefs.clear();
        coefs.resize(n * rows.len(), 0.0);
        let (mut kept, mut start) = (0, 0);
        for (i, end) in lists.ends.iter_mut().enumerate() {
            for (at, &number) in (start..*end).zip(&numbers[start..*end]) {
                let place = counts[number as usize];
                if place == RARE {
                    lists.ids[kept] = lists.ids[at];
                    lists.coefs[kept] = lists.coefs[at];
                    kept += 1;
                } else {
                    coefs[place as usize + i] += lists.coefs[at];
                }
            }
            start = std::mem::replace(end, kept);
        }
        lists.ids.truncate(kept);
        lists.coefs.truncate(kept);
        edges.group(stripes, lists.iter(first));
        edges.bundle(stripes, (first, n), rows.iter().copied(), (coefs, 1));
    }

    /// Numbers all different ids, and counts them.
    fn count(&mut self, all: &[u32]) {
        let Self { places, ids, counts, numbers, .. } = self;
        // At most half full, so that looking for an id ends soon.
        let room = (2 * all.len()).next_power_of_two();
        places.clear();
        places.resize(room, 0);
        ids.clear();
        counts.clear();
        numbers.clear();
        for &id in all {
            let mut at = hash(id) & (room - 1);
            while places[at] > 0 && ids[places[at] as usize - 1] != id {
                at = (at + 1) & (room - 1);
            }
            if places[at] == 0 {
                ids.push(id);
                counts.push(0);
                places[at] = ids.len() as u32;
            }
            let number = places[at] - 1;
            counts[number as usize] += 1;
            numbers.push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::SHARDS;
    use crate::touched::Touched;

    /// Every edge, but those with a zero: place of the row, sample and coefficient.
    fn found(edges: &Edges) -> Vec<([usize; 2], u32, f32)> {
        let mut all = Vec::new();
        for shard in 0..SHARDS {
            let mut touched = Touched::default();
            touched.gather(shard, std::iter::once(edges));
            for (local, samples, coefs) in touched.iter() {
                let of_row = samples.iter().zip(coefs).filter(|(_, coef)| **coef != 0.0);
                all.extend(of_row.map(|(&sample, &coef)| ([shard, local], sample, coef)));
            }
        }
        all
    }

    fn lists(samples: &[&[(u32, f32)]]) -> Lists {
        let mut lists = Lists::default();
        for sample in samples {
            lists.ids.extend(sample.iter().map(|(id, _)| id));
            lists.coefs.extend(sample.iter().map(|(_, coef)| coef));
            lists.ends.push(lists.ids.len());
        }
        lists
    }

    #[test]
    fn bundles_and_edges_are_all_edges() {
        let stripes = Stripes::in_order(300);
        for samples in [
            &[&[(7, 1.0), (299, 2.0), (0, 3.0)][..], &[(299, 4.0)], &[(0, 5.0), (7, -1.0)], &[]][..],
            &[&[(5, 1.0), (6, 2.0)]],
            &[&[], &[(3, 1.0)], &[]],
            &[&[], &[]],
            &[],
        ] {
            let mut alone = Edges::default();
            alone.group(stripes, lists(samples).iter(32));
            let (mut common, mut edges) = (Common::default(), Edges::default());
            // Room that was used before makes no difference.
            for _ in 0..2 {
                common.group((stripes, 32), &mut lists(samples), &mut edges);
                assert_eq!(found(&edges), found(&alone));
            }
        }
    }

    #[test]
    fn rows_that_half_of_the_samples_have_are_bundles() {
        let samples: [&[(u32, f32)]; 4] =
            [&[(9, 1.0), (4, 1.0)], &[(4, 2.0), (9, 3.0)], &[(8, 1.0)], &[(9, 5.0)]];
        let mut left = lists(&samples);
        let (mut common, mut edges) = (Common::default(), Edges::default());
        common.group((Stripes::in_order(10), 0), &mut left, &mut edges);
        assert_eq!(common.rows, [(0, 9), (4, 4)]);
        assert_eq!(common.coefs, [1.0, 3.0, 0.0, 5.0, 1.0, 2.0, 0.0, 0.0]);
        assert_eq!((left.ids, left.ends), (vec![8], vec![0, 0, 1, 1]));
    }
}
