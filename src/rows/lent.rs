//! Rows in memory that somebody else owns.

use crate::config::Dtype;
use crate::error::{Error, Result};
use crate::simd::LANES;

use super::{Lines, Numbers, Rows, Stripes};

impl<'m> Rows<'m> {
    /// Borrows `rows` rows of `width` numbers, which lie in the order of their ids
    /// ([`Stripes::in_order`]), each padded with zeros to whole vectors, and with rows of zeros behind
    /// them up to [`Stripes::slots`]. `name` is what errors call them.
    ///
    /// # Errors
    ///
    /// If there are more or fewer numbers, or they do not begin at a cache line.
    pub(crate) fn lent(
        name: &'static str,
        (rows, width): (usize, usize),
        numbers: Numbers<'m>,
    ) -> Result<Self> {
        Self::borrowed(name, rows, (width, width.next_multiple_of(LANES)), numbers)
    }

    /// The same of one number for each row, packed as [`Rows::column`] is.
    pub(crate) fn lent_column(
        name: &'static str,
        rows: usize,
        numbers: &'m mut [f32],
    ) -> Result<Self> {
        Self::borrowed(name, rows, (1, 1), Numbers::F32(numbers))
    }

    fn borrowed(
        name: &'static str,
        rows: usize,
        (width, stride): (usize, usize),
        numbers: Numbers<'m>,
    ) -> Result<Self> {
        let (stripes, found) = (Stripes::in_order(rows), numbers.len());
        let dtype = numbers.dtype();
        let lines = match numbers {
            Numbers::F32(numbers) => Lines::lent(numbers),
            Numbers::Bf16(numbers) => Lines::lent(numbers),
            Numbers::F16(numbers) => Lines::lent(numbers),
        };
        let wanted = stripes.slots() * stride;
        match lines.filter(|_| found == wanted) {
            Some(lines) => Ok(Self { stripes, width, stride, dtype, lines }),
            None => Err(Error::Shape {
                name,
                found: format!("{found} numbers"),
                wanted: format!("{wanted} that begin at a multiple of 64 bytes"),
            }),
        }
    }

    /// No rows at all.
    pub(crate) fn none() -> Self {
        Self {
            lines: Lines::none(),
            stripes: Stripes::new(0),
            width: 0,
            stride: 0,
            dtype: Dtype::F32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Matrix, SHARDS};
    use crate::simd::Kernels;

    #[test]
    fn what_is_lent_is_read_and_written_in_place() {
        let kernels = Kernels::available().last().unwrap();
        let (rows, width) = (70, 19);
        let mut memory = Matrix::zeros(Stripes::in_order(rows).slots(), width);
        for id in 0..rows {
            memory.row_mut(id)[..width].fill(id as f32);
        }
        let numbers = Numbers::F32(memory.as_mut_slice());
        let mut lent = Rows::lent("weight", (rows, width), numbers).unwrap();
        let mut out = [0.0; 3];
        lent.dot_rows(
            &kernels,
            &[2, 69, 0].map(|id| lent.stripes().slot(id)),
            &[1.0; 32],
            &mut out,
        );
        assert_eq!(out, [2, 69, 0].map(|id| (id * width) as f32));
        lent.assign_rows(69..70, std::iter::repeat(0.5));
        assert_eq!(lent.row(69)[..width], [0.5; 19]);
        assert_eq!(memory.row(69)[..=width], [&[0.5; 19][..], &[0.0]].concat());
    }

    #[test]
    fn memory_of_another_size_or_between_lines_is_refused() {
        fn refused(numbers: &mut [f32]) {
            let found = Rows::lent("weight", (10, 16), Numbers::F32(numbers));
            let error = found.map(|_| ()).unwrap_err().to_string();
            assert!(error.starts_with("weight has "), "{error}");
        }
        let mut memory = Matrix::zeros(SHARDS, 16);
        let all = memory.as_mut_slice();
        refused(&mut all[16..]);
        refused(&mut all[1..]);
        let mut longer = Matrix::zeros(SHARDS + 1, 16);
        refused(&mut longer.as_mut_slice()[1..=SHARDS * 16]);
    }
}
