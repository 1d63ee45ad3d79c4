//! The features of a block: as lists, or as rows where rows are given and few of their entries are
//! zero.
//!
//! Lists cost as much as there are features; rows go through matrix products, which do several
//! times as much in a second. Both give the same bits: an entry that is zero adds nothing to a sum,
//! and the others come in the same order.

use crate::error::Result;
use crate::rng::{Rng, Stream};
use crate::rows::Matrix;
use crate::rules::input_dropout;
use crate::sparse::Features;

use super::{BLOCK, Lists};

/// The features of a block.
#[derive(Debug, Default)]
pub struct FeatureTape {
    /// Those that are present; without any sample where the features stand as rows.
    pub lists: Lists,
    rows: Matrix,
    are_rows: bool,
}

impl FeatureTape {
    /// All features, a row for each sample, where they stand so.
    #[must_use]
    pub fn rows(&self) -> Option<&Matrix> {
        self.are_rows.then_some(&self.rows)
    }

    /// Reads `rows` of `x`, scaled to norm 1 when `normalize` says so: as rows where `dense` says
    /// so and they are given as such.
    ///
    /// # Errors
    ///
    /// If the arrays were changed during the call.
    pub fn read(
        &mut self,
        x: &Features<'_>,
        rows: &[u32],
        (normalize, dense): (bool, bool),
    ) -> Result<()> {
        self.lists.clear();
        self.are_rows = false;
        if let Features::Dense(x) = x
            && dense
        {
            self.are_rows = true;
            self.rows.reshape(BLOCK, x.columns());
            for (i, &row) in rows.iter().enumerate() {
                let out = &mut self.rows.row_mut(i)[..x.columns()];
                out.copy_from_slice(x.row(row as usize));
                if normalize {
                    scale_to_unit(out);
                }
            }
            return Ok(());
        }
        let Lists { ids, coefs, ends, .. } = &mut self.lists;
        for &row in rows {
            let start = coefs.len();
            x.append_row(row as usize, ids, coefs)?;
            ends.push(ids.len());
            if normalize {
                scale_to_unit(&mut coefs[start..]);
            }
        }
        Ok(())
    }

    /// Drops a share of the features of each of the `n` samples at random, by rule where none is
    /// given, and scales the others up; samples with fewer than eight keep them all. The first
    /// sample has number `first` in its batch.
    pub fn drop_out(
        &mut self,
        share: Option<f32>,
        (seed, step): (u64, u64),
        (first, n): (usize, usize),
    ) {
        if share == Some(0.0) {
            return;
        }
        for i in 0..n {
            let mut rng = Rng::new(seed, Stream::InputDropout, step, (first + i) as u64);
            if self.are_rows {
                drop_some(self.rows.row_mut(i), share, &mut rng);
            } else {
                let range = self.lists.range(i);
                drop_some(&mut self.lists.coefs[range], share, &mut rng);
            }
        }
        self.lists.drop_zeros();
    }
}

/// Sets a share of the values to zero. Zeros, which may be stored, are no features.
fn drop_some(values: &mut [f32], share: Option<f32>, rng: &mut Rng) {
    let n = values.iter().filter(|x| **x != 0.0).count();
    if n < SHORT {
        return;
    }
    let share = share.unwrap_or_else(|| input_dropout(n));
    let kept = 1.0 / (1.0 - share);
    for x in values.iter_mut().filter(|x| **x != 0.0) {
        *x = if rng.uniform() < share { 0.0 } else { *x * kept };
    }
}

/// A sample with fewer features than this has none to spare.
const SHORT: usize = 8;

/// Zero rows stay as they are.
fn scale_to_unit(values: &mut [f32]) {
    let norm = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if norm > 0.0 {
        for x in values {
            *x = (f64::from(*x) / norm) as f32;
        }
    }
}
