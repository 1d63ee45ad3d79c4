//! Training the classifiers of all labels.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::per_thread::PerThread;
use crate::rng::{Rng, Stream};
use crate::simd::Kernels;
use crate::sparse::{Features, IdLists};

use super::dual::Solver;
use super::instances::{RowsByLabel, UnitRows};
use super::{Classifiers, MOST_COLUMNS, Options};

/// Labels between two looks at whether to go on.
const BLOCK: usize = 1024;

/// A classifier that saw no row of other labels would say yes to all of them: it sees at least as
/// many as it has rows of its own, and no fewer than this.
const NEGATIVES: usize = 16;

/// Trains a classifier for each of `n_labels` labels on the rows of `x` that have it, by `y`, and on
/// those that have it in `shortlist` alone; where these are few, on random ones beside them.
///
/// A label without rows gets no weights and a bias of -1, which says no.
///
/// # Errors
///
/// If the numbers of rows differ, the arrays change during the call, or `go_on` says no.
pub fn fit(
    x: &Features<'_>,
    n_features: usize,
    y: &IdLists<'_>,
    shortlist: &IdLists<'_>,
    n_labels: usize,
    options: &Options,
    go_on: impl Fn() -> bool + Sync,
) -> Result<Classifiers> {
    for (name, found) in [("features", n_features), ("labels", n_labels)] {
        if found == 0 || found > MOST_COLUMNS {
            return Err(Error::Range { name, found, low: 1, high: MOST_COLUMNS });
        }
    }
    let old = Classifiers::none(n_features);
    train(x, (y, shortlist), (&old, &vec![true; n_labels]), options, go_on)
}

/// Trains those of `old` anew whose label is marked in `again`, as [`fit`] would; the others stay.
///
/// # Errors
///
/// As [`fit`], and if `again` has not a mark for each label.
pub fn refit(
    old: &Classifiers,
    x: &Features<'_>,
    y: &IdLists<'_>,
    shortlist: &IdLists<'_>,
    again: &[bool],
    options: &Options,
    go_on: impl Fn() -> bool + Sync,
) -> Result<Classifiers> {
    if again.len() != old.len() {
        let (found, wanted) = (format!("{} marks", again.len()), old.len().to_string());
        return Err(Error::Shape { name: "again", found, wanted });
    }
    train(x, (y, shortlist), (old, again), options, go_on)
}

/// Labels that are not marked in `again` keep what `old` has of them.
fn train(
    x: &Features<'_>,
    (y, shortlist): (&IdLists<'_>, &IdLists<'_>),
    (old, again): (&Classifiers, &[bool]),
    options: &Options,
    go_on: impl Fn() -> bool + Sync,
) -> Result<Classifiers> {
    let (n_features, n_labels) = (old.n_features(), again.len());
    for (name, rows) in [("Y", y.len()), ("shortlist", shortlist.len())] {
        if rows != x.len() {
            let (found, wanted) = (format!("{rows} rows"), format!("{} (as X)", x.len()));
            return Err(Error::Shape { name, found, wanted });
        }
    }
    let rows = UnitRows::new(x, &go_on)?;
    let own = RowsByLabel::new(y, n_labels, &go_on)?;
    let listed = RowsByLabel::new(shortlist, n_labels, &go_on)?;
    let mut solvers = PerThread::default();
    let kernels = Kernels::detect()?;
    solvers.ensure(|| (Solver::new(n_features, &kernels), vec![]));
    let mut all = Classifiers::none(n_features);
    for start in (0..n_labels).step_by(BLOCK) {
        if !go_on() {
            return Err(Error::Stopped);
        }
        let block = (start..n_labels.min(start + BLOCK)).into_par_iter().with_max_len(1);
        let trained: Vec<_> = block
            .map(|label| {
                if !again[label] {
                    return None;
                }
                let positives = own.of(label);
                if positives.is_empty() {
                    return Some((vec![], -1.0));
                }
                let negatives = negatives(positives, listed.of(label), x.len(), (options, label));
                solvers.with(|(solver, kept)| {
                    let task = (label, positives, negatives.as_slice());
                    let bias = solver.solve(&rows, task, options, kept);
                    Some((kept.clone(), bias))
                })
            })
            .collect();
        for (label, trained) in (start..).zip(&trained) {
            match trained {
                Some((weights, bias)) => all.push(weights, *bias),
                None => all.push_of(old, label),
            }
        }
    }
    Ok(all)
}

/// The rows of `listed` that are not in `positives`, and random ones where those are few. Both lists
/// ascend.
fn negatives(
    positives: &[u32],
    listed: &[u32],
    rows: usize,
    (options, label): (&Options, usize),
) -> Vec<u32> {
    let other = |row: &u32| positives.binary_search(row).is_err();
    let mut negatives: Vec<_> = listed.iter().copied().filter(other).collect();
    let wanted = positives.len().max(NEGATIVES).min(rows - positives.len());
    let found = negatives.len();
    if found < wanted {
        // The pass is one that no solver makes.
        let mut rng = Rng::new(options.seed, Stream::Ranker, u64::MAX, label as u64);
        // One that is drawn twice is as if there were one fewer.
        let drawn = (found..wanted).map(|_| rng.below(rows as u32)).filter(other);
        negatives.extend(drawn);
        negatives.sort_unstable();
        negatives.dedup();
    }
    negatives
}
