//! Matrix product, in tiles of `C` that stay in registers.
//!
//! A panel of `B` is copied to the stack, so that a tile reads it from consecutive cache lines
//! whatever the distance between rows; `A` is read in place. A tile starts from the entries of
//! `C` and adds the products of ascending k to them, one multiply-add each. All sizes of tile do
//! the same to an entry, and so does cutting k into blocks, so the bits of the result depend on
//! neither.

use super::{Isa, LANES};

/// Rows of a packed panel: with three vectors to a row it fills three quarters of a 32 KiB cache.
const DEPTH: usize = 128;

/// Rows of `C` in the tile that finishes what does not fill a whole one.
const SHORT: usize = 4;

#[expect(clippy::too_many_arguments, reason = "the customary arguments of a matrix product")]
#[inline(always)]
pub(super) fn gemm<I: Isa>(
    isa: I,
    dims: [usize; 3],
    a: &[f32],
    lda: usize,
    b: &[f32],
    ldb: usize,
    c: &mut [f32],
    ldc: usize,
) {
    // A tile's accumulators, the vectors of `B` and one entry of `A` share the register file.
    let (a, b) = (Strided { floats: a, stride: lda }, Strided { floats: b, stride: ldb });
    if I::REGISTERS >= 32 {
        in_panels::<I, 8, 3>(isa, dims, a, b, c, ldc);
    } else if I::REGISTERS >= 8 {
        in_panels::<I, 6, 1>(isa, dims, a, b, c, ldc);
    } else {
        in_panels::<I, 2, 1>(isa, dims, a, b, c, ldc);
    }
}

/// A row-major matrix inside a larger one.
#[derive(Clone, Copy)]
struct Strided<'a> {
    floats: &'a [f32],
    stride: usize,
}

impl<'a> Strided<'a> {
    /// `len` entries of row `row` from column `column` on.
    #[inline(always)]
    fn row(self, row: usize, column: usize, len: usize) -> &'a [f32] {
        &self.floats[row * self.stride + column..][..len]
    }
}

/// Some rows of `B`, `COLS` vectors wide.
type Panel<const COLS: usize> = [[[f32; LANES]; COLS]];

/// Cuts `B` into panels of `COLS` vectors, then of one, and the last narrower than that.
#[inline(always)]
fn in_panels<I: Isa, const ROWS: usize, const COLS: usize>(
    isa: I,
    dims: [usize; 3],
    a: Strided<'_>,
    b: Strided<'_>,
    c: &mut [f32],
    ldc: usize,
) {
    let [rows, columns, k] = dims;
    let mut wide = [[[0.0; LANES]; COLS]; DEPTH];
    let mut narrow = [[[0.0; LANES]; 1]; DEPTH];
    for from in (0..k).step_by(DEPTH) {
        let depth = DEPTH.min(k - from);
        let mut column = 0;
        while column < columns {
            let width = columns - column;
            if width >= COLS * LANES {
                pack(b, from, column, COLS * LANES, &mut wide[..depth]);
                let block = Block { a, from, panel: &wide[..depth], rows };
                block.add_to::<I, ROWS>(isa, column, c, ldc);
                column += COLS * LANES;
            } else {
                let width = width.min(LANES);
                pack(b, from, column, width, &mut narrow[..depth]);
                let block = Block { a, from, panel: &narrow[..depth], rows };
                if width == LANES {
                    block.add_to::<I, ROWS>(isa, column, c, ldc);
                } else {
                    block.add_to_narrow(isa, column, width, c, ldc);
                }
                column += width;
            }
        }
    }
}

/// Copies `width` columns of `b`; what lies beyond them in `panel` is never stored to `C`.
#[inline(always)]
fn pack<const COLS: usize>(
    b: Strided<'_>,
    from: usize,
    column: usize,
    width: usize,
    panel: &mut Panel<COLS>,
) {
    for (i, row) in panel.iter_mut().enumerate() {
        row.as_flattened_mut()[..width].copy_from_slice(b.row(from + i, column, width));
    }
}

/// The product of all rows of `A`, in the columns from `from` on, with a panel of `B`.
struct Block<'a, const COLS: usize> {
    a: Strided<'a>,
    from: usize,
    panel: &'a Panel<COLS>,
    rows: usize,
}

impl<const COLS: usize> Block<'_, COLS> {
    /// Adds to the columns of `C` from `column` on.
    #[inline(always)]
    fn add_to<I: Isa, const ROWS: usize>(&self, isa: I, column: usize, c: &mut [f32], ldc: usize) {
        let mut row = 0;
        while row + ROWS <= self.rows {
            self.add_to_tile::<I, ROWS>(isa, row, &mut c[row * ldc + column..], ldc);
            row += ROWS;
        }
        while row + SHORT <= self.rows {
            self.add_to_tile::<I, SHORT>(isa, row, &mut c[row * ldc + column..], ldc);
            row += SHORT;
        }
        while row < self.rows {
            self.add_to_tile::<I, 1>(isa, row, &mut c[row * ldc + column..], ldc);
            row += 1;
        }
    }

    /// Adds the rows from `row` on to the tile at the start of `c`.
    #[inline(always)]
    fn add_to_tile<I: Isa, const ROWS: usize>(
        &self,
        isa: I,
        row: usize,
        c: &mut [f32],
        ldc: usize,
    ) {
        let mut a = [self.a.floats; ROWS];
        let mut acc = [[isa.splat(0.0); COLS]; ROWS];
        for r in 0..ROWS {
            a[r] = self.a.row(row + r, self.from, self.panel.len());
            let (c, _) = c[r * ldc..][..COLS * LANES].as_chunks();
            for j in 0..COLS {
                acc[r][j] = isa.load(&c[j]);
            }
        }
        for (i, b_chunks) in self.panel.iter().enumerate() {
            let mut b = [isa.splat(0.0); COLS];
            for j in 0..COLS {
                b[j] = isa.load(&b_chunks[j]);
            }
            for r in 0..ROWS {
                let a = isa.splat(a[r][i]);
                for j in 0..COLS {
                    acc[r][j] = isa.mul_add(a, b[j], acc[r][j]);
                }
            }
        }
        for r in 0..ROWS {
            let (c, _) = c[r * ldc..][..COLS * LANES].as_chunks_mut();
            for j in 0..COLS {
                isa.store(&mut c[j], acc[r][j]);
            }
        }
    }
}

impl Block<'_, 1> {
    /// Adds to `width` columns of `C`, fewer than a vector holds.
    #[inline(always)]
    fn add_to_narrow<I: Isa>(
        &self,
        isa: I,
        column: usize,
        width: usize,
        c: &mut [f32],
        ldc: usize,
    ) {
        let mut row = 0;
        while row < self.rows {
            let rows = SHORT.min(self.rows - row);
            let mut tile = [0.0; SHORT * LANES];
            for r in 0..rows {
                let c = &c[(row + r) * ldc + column..][..width];
                tile[r * LANES..][..width].copy_from_slice(c);
            }
            if rows == SHORT {
                self.add_to_tile::<I, SHORT>(isa, row, &mut tile, LANES);
            } else {
                for r in 0..rows {
                    self.add_to_tile::<I, 1>(isa, row + r, &mut tile[r * LANES..], LANES);
                }
            }
            for r in 0..rows {
                let c = &mut c[(row + r) * ldc + column..][..width];
                c.copy_from_slice(&tile[r * LANES..][..width]);
            }
            row += rows;
        }
    }
}
