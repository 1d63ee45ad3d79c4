//! Scores of shortlisted labels.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::per_thread::PerThread;
use crate::sparse::{Features, IdLists};

use super::Classifiers;
use super::instances::UnitRows;

/// Rows of a task.
const ROWS: usize = 64;

/// A feature is sought among the weights of a label where these are so many times as many.
const SPARSE: usize = 16;

/// What a thread needs: a row, its values by feature (all zero between two rows), and labels.
#[derive(Default)]
struct Scratch {
    row: UnitRows,
    values: Vec<f32>,
    labels: Vec<u32>,
}

impl Classifiers {
    /// The score of every label of `candidates`, in their order.
    ///
    /// # Errors
    ///
    /// If the numbers of rows differ, the arrays change during the call, or `go_on` says no.
    pub fn score(
        &self,
        x: &Features<'_>,
        candidates: &IdLists<'_>,
        go_on: impl Fn() -> bool + Sync,
    ) -> Result<Vec<f32>> {
        if candidates.len() != x.len() {
            let (found, wanted) = (format!("{} rows", candidates.len()), x.len());
            let wanted = format!("{wanted} (as X)");
            return Err(Error::Shape { name: "candidates", found, wanted });
        }
        let mut scores = vec![0.0; candidates.nnz()];
        let mut tasks = vec![];
        let mut rest = scores.as_mut_slice();
        for start in (0..x.len()).step_by(ROWS) {
            let rows = start..x.len().min(start + ROWS);
            let ends = candidates.bounds(start)?.start..candidates.bounds(rows.end - 1)?.end;
            let changed = Error::Changed { name: "candidates" };
            let (own, after) = rest.split_at_mut_checked(ends.len()).ok_or(changed)?;
            tasks.push((rows, own));
            rest = after;
        }
        let mut scratch = PerThread::<Scratch>::default();
        scratch.ensure(Scratch::default);
        for own in scratch.all_mut() {
            own.values.resize(self.n_features, 0.0);
        }
        tasks.into_par_iter().try_for_each(|(rows, mut out)| {
            if !go_on() {
                return Err(Error::Stopped);
            }
            for row in rows {
                let written =
                    scratch.with(|scratch| self.score_row(x, candidates, row, scratch, out))?;
                out = &mut out[written..];
            }
            Ok(())
        })?;
        Ok(scores)
    }

    /// Scores one row into the front of `out` and returns how many labels it has.
    fn score_row(
        &self,
        x: &Features<'_>,
        candidates: &IdLists<'_>,
        row: usize,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> Result<usize> {
        scratch.labels.clear();
        candidates.append_row(row, &mut scratch.labels)?;
        if out.len() < scratch.labels.len() {
            return Err(Error::Changed { name: "candidates" });
        }
        scratch.row.load(x, row)?;
        let (ids, values) = scratch.row.row(0);
        for (&id, &value) in ids.iter().zip(values) {
            scratch.values[id as usize] = value;
        }
        for (out, &label) in out.iter_mut().zip(&scratch.labels) {
            let own = self.of(label as usize);
            // The same sum in the same order: products with what is missing are zero.
            let sum = if own.0.len() > SPARSE * ids.len() {
                sought(own, (ids, values))
            } else {
                own.0.iter().zip(own.1).map(|(&id, &w)| scratch.values[id as usize] * w).sum()
            };
            *out = self.biases[label as usize] + sum;
        }
        for &id in ids {
            scratch.values[id as usize] = 0.0;
        }
        Ok(scratch.labels.len())
    }
}

/// The product of weights and a row, each feature of which is sought behind the one before it.
fn sought((features, weights): (&[u32], &[f32]), (ids, values): (&[u32], &[f32])) -> f32 {
    let mut from = 0;
    let product = |(&id, &value): (&u32, &f32)| {
        from += features[from..].partition_point(|&feature| feature < id);
        let found = features.get(from) == Some(&id);
        if found { value * weights[from] } else { 0.0 }
    };
    ids.iter().zip(values).map(product).sum()
}
