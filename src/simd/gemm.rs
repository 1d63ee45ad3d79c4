//! Matrix product, in tiles of `C` that stay in registers.
//!
//! A panel of `B` is copied to the stack, so that a tile reads it from consecutive cache lines
//! whatever the distance between rows; `A` is read in place. A tile starts from the entries of
//! `C` and adds the products of ascending k to them, one multiply-add each. All sizes of tile do
//! the same to an entry, and so does cutting k into blocks, so the bits of the result depend on
//! neither.

use super::element::Element;
use super::{Isa, LANES};

/// Rows of a packed panel: with four vectors to a row it fills a 32 KiB cache.
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
    let (a, b) = (Strided { numbers: a, stride: lda }, Strided { numbers: b, stride: ldb });
    by_registers(isa, dims, a, b, c, ldc);
}

/// `C += A^T B`
#[expect(clippy::too_many_arguments, reason = "the customary arguments of a matrix product")]
#[inline(always)]
pub(super) fn gemm_across<I: Isa>(
    isa: I,
    dims: [usize; 3],
    a: &[f32],
    lda: usize,
    b: &[f32],
    ldb: usize,
    c: &mut [f32],
    ldc: usize,
) {
    let (a, b) = (Across(Strided { numbers: a, stride: lda }), Strided { numbers: b, stride: ldb });
    by_registers(isa, dims, a, b, c, ldc);
}

/// `C += A B`, where row k of `B` is row `rows[k]` of `b`.
#[inline(always)]
pub(super) fn gemm_rows<I: Isa, E: Element>(
    isa: I,
    dims: [usize; 2],
    (a, lda): (&[f32], usize),
    (b, ldb): (&[E], usize),
    rows: &[u32],
    (c, ldc): (&mut [f32], usize),
) {
    let a = Strided { numbers: a, stride: lda };
    let b = Chosen { all: Strided { numbers: b, stride: ldb }, rows };
    by_registers(isa, [dims[0], dims[1], rows.len()], a, b, c, ldc);
}

/// With the tile that suits the register file.
#[inline(always)]
fn by_registers<I: Isa>(
    isa: I,
    dims: [usize; 3],
    a: impl Left,
    b: impl Right,
    c: &mut [f32],
    ldc: usize,
) {
    // A tile's accumulators, the vectors of `B` and one entry of `A` share the register file.
    if I::REGISTERS >= 32 {
        // Of both nearly full ones, the one that leaves no narrow panel.
        if dims[1].is_multiple_of(4 * LANES) {
            in_panels::<I, 6, 4>(isa, dims, a, b, c, ldc);
        } else {
            in_panels::<I, 8, 3>(isa, dims, a, b, c, ldc);
        }
    } else if I::REGISTERS >= 8 {
        in_panels::<I, 6, 1>(isa, dims, a, b, c, ldc);
    } else {
        in_panels::<I, 2, 1>(isa, dims, a, b, c, ldc);
    }
}

/// A row-major matrix inside a larger one.
#[derive(Clone, Copy)]
struct Strided<'a, E = f32> {
    numbers: &'a [E],
    stride: usize,
}

impl<'a, E: Copy> Strided<'a, E> {
    /// `len` entries of row `row` from column `column` on.
    #[inline(always)]
    fn row(self, row: usize, column: usize, len: usize) -> &'a [E] {
        &self.numbers[row * self.stride + column..][..len]
    }
}

/// A matrix that stands on its side: its columns are rows of another.
#[derive(Clone, Copy)]
struct Across<'a>(Strided<'a>);

/// A matrix whose rows are some of the rows of another.
#[derive(Clone, Copy)]
struct Chosen<'a, E> {
    all: Strided<'a, E>,
    rows: &'a [u32],
}

/// The factor that is read entry by entry.
trait Left: Copy {
    /// Some rows, from one column on.
    type Rows<const R: usize>: Copy;
    /// Rows `row..row + R` from column `from` on, `depth` columns.
    fn rows<const R: usize>(self, row: usize, from: usize, depth: usize) -> Self::Rows<R>;
    /// Column `i` of them.
    fn column<const R: usize>(self, rows: Self::Rows<R>, i: usize) -> [f32; R];
}

impl<'a> Left for Strided<'a> {
    type Rows<const R: usize> = [&'a [f32]; R];

    #[inline(always)]
    fn rows<const R: usize>(self, row: usize, from: usize, depth: usize) -> [&'a [f32]; R] {
        let mut rows = [self.numbers; R];
        for (r, entries) in rows.iter_mut().enumerate() {
            *entries = self.row(row + r, from, depth);
        }
        rows
    }

    #[inline(always)]
    fn column<const R: usize>(self, rows: [&'a [f32]; R], i: usize) -> [f32; R] {
        let mut column = [0.0; R];
        for r in 0..R {
            column[r] = rows[r][i];
        }
        column
    }
}

impl<'a> Left for Across<'a> {
    type Rows<const R: usize> = &'a [f32];

    #[inline(always)]
    fn rows<const R: usize>(self, row: usize, from: usize, depth: usize) -> &'a [f32] {
        self.0.row(from, row, (depth - 1) * self.0.stride + R)
    }

    #[inline(always)]
    fn column<const R: usize>(self, rows: &'a [f32], i: usize) -> [f32; R] {
        let mut column = [0.0; R];
        column.copy_from_slice(&rows[i * self.0.stride..][..R]);
        column
    }
}

/// The factor that is read a vector at a time.
trait Right: Copy {
    /// Copies the entries of row `row` from column `column` on.
    fn read<I: Isa>(self, isa: I, row: usize, column: usize, out: &mut [f32]);
}

impl<E: Element> Right for Strided<'_, E> {
    #[inline(always)]
    fn read<I: Isa>(self, isa: I, row: usize, column: usize, out: &mut [f32]) {
        // By vectors: a copy of unknown length is a call, which costs as much as it copies here.
        let (chunks, tail) = self.row(row, column, out.len()).as_chunks::<LANES>();
        let (out_chunks, out_tail) = out.as_chunks_mut::<LANES>();
        for (out, x) in out_chunks.iter_mut().zip(chunks) {
            isa.store(out, E::load(isa, x));
        }
        for (out, x) in out_tail.iter_mut().zip(tail) {
            *out = x.widen();
        }
    }
}

impl<E: Element> Right for Chosen<'_, E> {
    #[inline(always)]
    fn read<I: Isa>(self, isa: I, row: usize, column: usize, out: &mut [f32]) {
        self.all.read(isa, self.rows[row] as usize, column, out);
    }
}

/// Some rows of `B`, `COLS` vectors wide.
type Panel<const COLS: usize> = [[[f32; LANES]; COLS]];

/// Cuts `B` into panels of `COLS` vectors, then of one, and the last narrower than that.
#[inline(always)]
fn in_panels<I: Isa, const ROWS: usize, const COLS: usize>(
    isa: I,
    dims: [usize; 3],
    a: impl Left,
    b: impl Right,
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
                pack(isa, b, from, column, COLS * LANES, &mut wide[..depth]);
                let block = Block { a, from, panel: &wide[..depth], rows };
                block.add_to::<I, ROWS>(isa, column, c, ldc);
                column += COLS * LANES;
            } else {
                let width = width.min(LANES);
                pack(isa, b, from, column, width, &mut narrow[..depth]);
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
fn pack<I: Isa, const COLS: usize>(
    isa: I,
    b: impl Right,
    from: usize,
    column: usize,
    width: usize,
    panel: &mut Panel<COLS>,
) {
    for (i, row) in panel.iter_mut().enumerate() {
        b.read(isa, from + i, column, &mut row.as_flattened_mut()[..width]);
    }
}

/// The product of all rows of `A`, in the columns from `from` on, with a panel of `B`.
struct Block<'a, A, const COLS: usize> {
    a: A,
    from: usize,
    panel: &'a Panel<COLS>,
    rows: usize,
}

impl<A: Left, const COLS: usize> Block<'_, A, COLS> {
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
        let a = self.a.rows::<ROWS>(row, self.from, self.panel.len());
        let mut acc = [[isa.splat(0.0); COLS]; ROWS];
        for r in 0..ROWS {
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
            let a = self.a.column::<ROWS>(a, i);
            for r in 0..ROWS {
                let a = isa.splat(a[r]);
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

impl<A: Left> Block<'_, A, 1> {
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
