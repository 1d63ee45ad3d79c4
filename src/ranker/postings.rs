//! Weights by feature, to find the labels of a row by its features alone.
//!
//! A row has few features and a feature stands in the weights of few labels, so that the labels
//! with any weight for a row are found by reading an inverted index (Zobel and Moffat, "Inverted
//! files for text search engines", ACM Computing Surveys 2006, section 3). The greatest weights of
//! a feature come first, and of long lists only the beginning is read (their "impact-ordered"
//! lists, section 9).

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::per_thread::PerThread;
use crate::sparse::Features;

use super::Classifiers;
use super::instances::UnitRows;

/// Rows of a task.
const ROWS: usize = 64;

/// The weights of each feature, the greatest first, and their labels.
#[derive(Debug)]
pub struct Postings {
    bounds: Vec<usize>,
    entries: Vec<(u32, f32)>,
    biases: Vec<f32>,
}

/// What a thread needs: a row, the sum of each label (all zero between two rows), the labels that
/// have one, and the lists of the features of a row, as length and feature and value.
#[derive(Default)]
struct Scratch {
    row: UnitRows,
    sums: Vec<f32>,
    seen: Vec<bool>,
    touched: Vec<u32>,
    lists: Vec<(usize, u32, f32)>,
}

impl Postings {
    /// Transposes the weights by counting.
    ///
    /// # Errors
    ///
    /// If `go_on` says no.
    pub fn new(of: &Classifiers, go_on: impl Fn() -> bool + Sync) -> Result<Self> {
        let mut bounds = vec![0; of.n_features() + 1];
        for &feature in of.features() {
            bounds[feature as usize + 1] += 1;
        }
        for feature in 0..of.n_features() {
            bounds[feature + 1] += bounds[feature];
        }
        let mut next = bounds.clone();
        let mut entries = vec![(0, 0.0); of.features().len()];
        for label in 0..of.len() {
            if label % ROWS == 0 && !go_on() {
                return Err(Error::Stopped);
            }
            let (features, weights) = of.of(label);
            for (&feature, &weight) in features.iter().zip(weights) {
                let place = &mut next[feature as usize];
                entries[*place] = (label as u32, weight);
                *place += 1;
            }
        }
        let mut lists = vec![];
        let mut rest = entries.as_mut_slice();
        for bound in bounds.array_windows::<2>() {
            let (own, after) = rest.split_at_mut(bound[1] - bound[0]);
            lists.push(own);
            rest = after;
        }
        let greatest = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        lists.into_par_iter().try_for_each(|list| {
            list.sort_unstable_by(greatest);
            if go_on() { Ok(()) } else { Err(Error::Stopped) }
        })?;
        Ok(Self { bounds, entries, biases: of.biases().to_vec() })
    }

    /// The `k` labels of each row with the greatest sums of what was read for them, at most `most`
    /// weights for a row, and of their biases; -1 where there are fewer.
    ///
    /// The features of a row share `most`: those with the shortest lists take theirs whole, and
    /// leave what they do not need to the others. Of a list that is not read whole, what speaks for
    /// a label most is read, and what speaks against it is not, so that a sum is no score.
    ///
    /// # Errors
    ///
    /// If `k` is above the number of labels, there is no room for so many, the arrays change during
    /// the call, or `go_on` says no.
    pub fn propose(
        &self,
        x: &Features<'_>,
        k: usize,
        most: usize,
        go_on: impl Fn() -> bool + Sync,
    ) -> Result<Vec<i32>> {
        let n_labels = self.biases.len();
        if k > n_labels {
            return Err(Error::Range { name: "k", found: k, low: 0, high: n_labels });
        }
        let mut found = vec![];
        let wanted = x.len() as u128 * k as u128;
        if !usize::try_from(wanted).is_ok_and(|n| found.try_reserve_exact(n).is_ok()) {
            let bytes = 4 * wanted;
            return Err(Error::Memory { what: "so great a k for so many rows", bytes });
        }
        found.resize(x.len() * k, -1);
        let mut scratch = PerThread::default();
        // Zeros of the system, so that only those pages are made that are written to.
        scratch.ensure(|| Scratch {
            sums: vec![0.0; n_labels],
            seen: vec![false; n_labels],
            ..Scratch::default()
        });
        found.par_chunks_mut(ROWS * k.max(1)).enumerate().try_for_each(|(task, out)| {
            if !go_on() {
                return Err(Error::Stopped);
            }
            for (i, out) in out.chunks_mut(k).enumerate() {
                scratch.with(|scratch| self.propose_row(x, task * ROWS + i, most, scratch, out))?;
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn propose_row(
        &self,
        x: &Features<'_>,
        row: usize,
        most: usize,
        scratch: &mut Scratch,
        out: &mut [i32],
    ) -> Result<()> {
        let Scratch { row: unit, sums, seen, touched, lists } = scratch;
        unit.load(x, row)?;
        let (ids, values) = unit.row(0);
        lists.clear();
        let spoken = ids.iter().zip(values).filter(|&(_, &value)| value != 0.0);
        lists.extend(spoken.map(|(&id, &value)| {
            let start = id as usize;
            (self.bounds[start + 1] - self.bounds[start], id, value)
        }));
        lists.sort_unstable_by_key(|&(length, id, _)| (length, id));
        let mut left = most;
        let count = lists.len();
        for (i, &(length, id, value)) in lists.iter().enumerate() {
            let read = length.min(left / (count - i));
            left -= read;
            let own = &self.entries[self.bounds[id as usize]..][..length];
            // A negative value speaks for labels with negative weights, which are the last.
            let own = if value < 0.0 { &own[length - read..] } else { &own[..read] };
            for &(label, weight) in own {
                let at = label as usize;
                if !seen[at] {
                    seen[at] = true;
                    touched.push(label);
                }
                sums[at] += value * weight;
            }
        }
        let score = |label: u32| sums[label as usize] + self.biases[label as usize];
        let better = |&a: &u32, &b: &u32| score(b).total_cmp(&score(a)).then(a.cmp(&b));
        if touched.len() > out.len() && !out.is_empty() {
            touched.select_nth_unstable_by(out.len() - 1, better);
        }
        let best = touched.len().min(out.len());
        touched[..best].sort_unstable_by(better);
        for (out, &label) in out.iter_mut().zip(&touched[..best]) {
            *out = label as i32;
        }
        for label in touched.drain(..) {
            (sums[label as usize], seen[label as usize]) = (0.0, false);
        }
        Ok(())
    }
}
