//! What a batch should answer: labels with grades, and how much each sample counts.

use crate::error::{Error, Result};
use crate::sparse::{CsrView, IdLists};

/// Labels of each row, their grades and the weights of the rows; borrowed and checked.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    labels: IdLists<'a>,
    grades: Option<&'a [f32]>,
    weights: Option<&'a [f32]>,
}

impl<'a> Targets<'a> {
    /// Labels that all count alike.
    #[must_use]
    pub const fn new(labels: IdLists<'a>) -> Self {
        Self { labels, grades: None, weights: None }
    }

    /// With a grade for each label.
    ///
    /// # Errors
    ///
    /// If there is not one grade a label, or one is negative or not finite.
    pub fn graded(self, grades: &'a [f32]) -> Result<Self> {
        CsrView::new(self.labels, grades)?;
        match grades.iter().position(|&grade| grade < 0.0) {
            None => Ok(Self { grades: Some(grades), ..self }),
            Some(at) => {
                let (row, found) = (self.labels.row_of(at), grades[at]);
                Err(Error::Negative { name: "Y", row, found })
            }
        }
    }

    /// With a weight for each row.
    ///
    /// # Errors
    ///
    /// If there is not one weight a row, or one is negative or not finite.
    pub fn weighted(self, weights: &'a [f32]) -> Result<Self> {
        if weights.len() != self.len() {
            let (found, wanted) = (format!("{} values", weights.len()), format!("{}", self.len()));
            return Err(Error::Shape { name: "sample_weight", found, wanted });
        }
        match weights.iter().position(|&weight| !(0.0..f32::INFINITY).contains(&weight)) {
            None => Ok(Self { weights: Some(weights), ..self }),
            Some(row) => Err(Error::Negative { name: "sample_weight", row, found: weights[row] }),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The labels alone.
    #[must_use]
    pub const fn labels(&self) -> &IdLists<'a> {
        &self.labels
    }

    /// Appends the labels of `row` and their grades, which are 1 where none are given.
    ///
    /// # Errors
    ///
    /// If the arrays have been changed since the view was made.
    pub fn append_row(
        &self,
        row: usize,
        labels: &mut Vec<u32>,
        grades: &mut Vec<f32>,
    ) -> Result<()> {
        let bounds = self.labels.append_row(row, labels)?;
        match self.grades {
            None => grades.extend(std::iter::repeat_n(1.0, bounds.len())),
            Some(all) => {
                let given = all.get(bounds).filter(|given| given.iter().all(|x| x.is_finite()));
                grades.extend_from_slice(given.ok_or(Error::Changed { name: "Y" })?);
            }
        }
        Ok(())
    }

    /// The weight of `row`; 1 where none are given.
    ///
    /// # Errors
    ///
    /// If the arrays have been changed since the view was made.
    pub fn weight(&self, row: usize) -> Result<f32> {
        let Some(weights) = self.weights else { return Ok(1.0) };
        let weight = weights.get(row).copied().filter(|weight| weight.is_finite());
        weight.ok_or(Error::Changed { name: "sample_weight" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sparse::Indices;

    fn labels() -> IdLists<'static> {
        IdLists::new("Y", Indices::I32(&[0, 2, 2, 3]), Indices::I32(&[4, 1, 0]), 5).unwrap()
    }

    #[test]
    fn grades_and_weights_come_with_their_rows() {
        let targets = Targets::new(labels()).graded(&[0.5, 2.0, 0.0]).unwrap();
        let targets = targets.weighted(&[1.0, 0.0, 3.0]).unwrap();
        let (mut ids, mut grades) = (vec![], vec![]);
        targets.append_row(0, &mut ids, &mut grades).unwrap();
        targets.append_row(2, &mut ids, &mut grades).unwrap();
        assert_eq!((ids, grades), (vec![4, 1, 0], vec![0.5, 2.0, 0.0]));
        assert_eq!(targets.weight(2).unwrap(), 3.0);
        assert_eq!(Targets::new(labels()).weight(2).unwrap(), 1.0);
    }

    #[test]
    fn what_cannot_be_a_grade_or_a_weight_is_refused() {
        let targets = Targets::new(labels());
        assert!(matches!(targets.graded(&[1.0]), Err(Error::Shape { .. })));
        assert!(matches!(targets.graded(&[1.0, f32::NAN, 1.0]), Err(Error::Value { .. })));
        assert!(matches!(targets.graded(&[1.0, 1.0, -1.0]), Err(Error::Negative { row: 2, .. })));
        assert!(matches!(targets.weighted(&[1.0]), Err(Error::Shape { .. })));
        for bad in [f32::NAN, f32::INFINITY, -1.0] {
            let refused = targets.weighted(&[1.0, bad, 1.0]).unwrap_err();
            assert!(matches!(refused, Error::Negative { row: 1, .. }), "{refused}");
        }
    }
}
