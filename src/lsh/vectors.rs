//! What is hashed: several vectors, dense or sparse.

/// Several vectors, borrowed.
///
/// A sparse vector and the dense one with zeros elsewhere are hashed alike, bit for bit.
#[derive(Clone, Copy, Debug)]
pub enum Vectors<'a> {
    /// Vectors one after another.
    Dense {
        /// All floats; what lies between the end of one vector and the start of the next is not
        /// read.
        values: &'a [f32],
        /// Floats from the start of one vector to the start of the next.
        stride: usize,
        /// Number of vectors.
        n: usize,
    },
    /// Lists of coordinates that may differ from zero.
    Sparse {
        /// Coordinates, ascending within each vector.
        ids: &'a [u32],
        /// The value of each.
        values: &'a [f32],
        /// Where each vector ends in `ids` and `values`; it starts where the one before ends, the
        /// first at 0.
        ends: &'a [usize],
    },
}

impl<'a> Vectors<'a> {
    /// Number of vectors.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Dense { n, .. } => *n,
            Self::Sparse { ends, .. } => ends.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Vector `i`, of `width` coordinates.
    #[must_use]
    pub fn get(&self, i: usize, width: usize) -> Vector<'a> {
        match *self {
            Self::Dense { values, stride, .. } => {
                Vector { dense: &values[i * stride..][..width], ..Vector::default() }
            }
            Self::Sparse { ids, values, ends } => {
                let start = if i == 0 { 0 } else { ends[i - 1] };
                let range = start..ends[i];
                Vector { dense: &[], ids: &ids[range.clone()], values: &values[range] }
            }
        }
    }
}

/// One vector: dense, or sparse with nothing in `dense`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vector<'a> {
    /// All coordinates.
    pub dense: &'a [f32],
    /// The coordinates that are given, ascending.
    pub ids: &'a [u32],
    /// The value of each.
    pub values: &'a [f32],
}

impl<'a> Vector<'a> {
    /// The coordinates that are not zero with their values, ascending; those of `extras` follow,
    /// numbered from `width` on.
    pub(super) fn present(
        self,
        width: usize,
        extras: &'a [f32],
    ) -> impl Iterator<Item = (usize, f32)> + 'a {
        let dense = self.dense.iter().copied().enumerate();
        let sparse = self.ids.iter().map(|&id| id as usize).zip(self.values.iter().copied());
        let extras = (width..).zip(extras.iter().copied());
        dense.chain(sparse).chain(extras).filter(|&(_, value)| value != 0.0)
    }
}
