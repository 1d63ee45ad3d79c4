//! Memory that starts at cache lines, and matrices in it.

use bytemuck::{Pod, Zeroable};

use crate::simd::LANES;

/// One cache line.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(super) [f32; LANES]);

/// A matrix whose rows start at cache lines.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    lines: Vec<Line>,
    stride: usize,
}

impl Matrix {
    /// `rows` rows of zeros, each with room for `width` floats.
    #[must_use]
    pub fn zeros(rows: usize, width: usize) -> Self {
        let stride = width.next_multiple_of(LANES);
        Self { lines: vec![Line([0.0; LANES]); rows * stride / LANES], stride }
    }

    /// One column without padding: row `i` is a single float.
    #[must_use]
    pub fn column(rows: usize) -> Self {
        Self { lines: vec![Line([0.0; LANES]); rows.div_ceil(LANES)], stride: 1 }
    }

    /// Floats from the start of one row to the start of the next.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// All floats, padding included.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        bytemuck::cast_slice(&self.lines)
    }

    /// All floats, padding included.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }

    /// Row `i` with its padding.
    #[must_use]
    pub fn row(&self, i: usize) -> &[f32] {
        &self.as_slice()[i * self.stride..][..self.stride]
    }

    /// Row `i` with its padding.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        let stride = self.stride;
        &mut self.as_mut_slice()[i * stride..][..stride]
    }

    /// Copies the first `n` rows of `block` to the rows from `first` on; strides must agree.
    pub fn copy_block(&mut self, first: usize, block: &Self, n: usize) {
        let floats = n * self.stride;
        self.as_mut_slice()[first * block.stride..][..floats]
            .copy_from_slice(&block.as_slice()[..floats]);
    }

    /// Becomes `rows` rows with room for `width` floats; what stood in a matrix of that shape stays,
    /// and padding that is not written to is zero.
    pub fn reshape(&mut self, rows: usize, width: usize) {
        let stride = width.next_multiple_of(LANES);
        if self.stride != stride || self.lines.len() != rows * stride / LANES {
            self.reset(rows, width);
        }
    }

    /// Becomes `rows` rows of zeros with room for `width` floats; memory is reused.
    pub fn reset(&mut self, rows: usize, width: usize) {
        self.stride = width.next_multiple_of(LANES);
        self.lines.clear();
        self.lines.resize(rows * self.stride / LANES, Line([0.0; LANES]));
    }
}
