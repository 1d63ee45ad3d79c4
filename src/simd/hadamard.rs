//! Fast Walsh-Hadamard transforms of sixteen vectors at once, and the signs of what they give.
//!
//! The vectors lie side by side: one line holds the same coordinate of all sixteen. So every stage
//! adds and subtracts whole registers, whatever the distance of the coordinates it combines. All
//! sums have one order and nothing is fused that would round otherwise, so the signs are the same
//! on every instruction set.

use super::{Isa, LANES};

/// One coordinate, or one output, of sixteen vectors.
pub type Line = [f32; LANES];

/// What [`super::Kernels::hadamard`] computes: the signs of random projections.
///
/// With H the transform and D a diagonal of random signs, a block has the outputs `H D3 H D2 H D1`
/// of a vector. All blocks share the first rotation. Additional coordinates are added to each
/// output with a weight of its own.
#[derive(Clone, Copy, Debug)]
pub struct Hadamard<'a> {
    /// The signs of D1, as many as a transform is long: a power of two, at least 64.
    pub first: &'a [f32],
    /// For each block the signs of D2, then those of D3.
    pub signs: &'a [f32],
    /// For each additional coordinate its weight in every output that is used.
    pub weights: &'a [f32],
    /// Bits of a code.
    pub n_hashes: usize,
}

/// The signature of [`super::Kernels::hadamard`].
pub type Codes = fn(
    functions: &Hadamard<'_>,
    vectors: (&[Line], &[Line]),
    room: &mut [Line],
    codes: &mut [[u16; LANES]],
);

/// Adding it leaves a code in the lowest bits of a float.
const UNITS: f32 = 8_388_608.0; // 2^23

/// [`Isa::transpose`] without an instruction for it.
#[inline(always)]
pub(super) fn one_by_one<I: Isa>(isa: I, mut v: [I::V; LANES]) -> [I::V; LANES] {
    let mut lanes = [[0.0; LANES]; LANES];
    for (i, &v) in v.iter().enumerate() {
        let mut line = [0.0; LANES];
        isa.store(&mut line, v);
        for (lanes, x) in lanes.iter_mut().zip(line) {
            lanes[i] = x;
        }
    }
    for (v, lanes) in v.iter_mut().zip(&lanes) {
        *v = isa.load(lanes);
    }
    v
}

/// See [`super::Kernels::interleave`].
#[inline(always)]
pub(super) fn interleave<I: Isa>(
    isa: I,
    values: &[f32],
    [n, stride]: [usize; 2],
    out: &mut [Line],
) {
    assert!(n <= LANES, "{n} vectors in {LANES} lanes");
    let mut vectors = [&values[..0]; LANES];
    for (i, vector) in vectors.iter_mut().enumerate().take(n) {
        *vector = &values[i * stride..][..out.len()];
    }
    let (squares, tail) = out.as_chunks_mut::<LANES>();
    for (i, tail) in tail.iter_mut().enumerate() {
        let at = squares.len() * LANES + i;
        for (x, vector) in tail.iter_mut().zip(vectors) {
            *x = vector.get(at).copied().unwrap_or(0.0);
        }
    }
    for (i, out) in squares.iter_mut().enumerate() {
        let mut square = [isa.splat(0.0); LANES];
        for (line, vector) in square.iter_mut().zip(vectors) {
            if let Some(part) = vector.as_chunks::<LANES>().0.get(i) {
                *line = isa.load(part);
            }
        }
        for (out, line) in out.iter_mut().zip(isa.transpose(square)) {
            isa.store(out, line);
        }
    }
}

/// See [`super::Kernels::hadamard`].
#[inline(always)]
pub(super) fn hadamard<I: Isa>(
    isa: I,
    functions: &Hadamard<'_>,
    (vectors, extras): (&[Line], &[Line]),
    room: &mut [Line],
    codes: &mut [[u16; LANES]],
) {
    let &Hadamard { first, signs, weights, n_hashes } = functions;
    let n = first.len();
    assert!(n.is_power_of_two() && n >= 64, "transforms of {n}");
    let outputs = n_hashes * codes.len();
    let (rotated, room) = room.split_at_mut(n);
    let (twice, thrice) = room.split_at_mut(n);
    rotate(isa, vectors, first, rotated);
    let mut packer = Packer { code: isa.splat(0.0), bits: 0, n_hashes, codes: codes.iter_mut() };
    for (block, signs) in signs.chunks_exact(2 * n).enumerate() {
        let (second, third) = signs.split_at(n);
        rotate(isa, rotated, second, twice);
        rotate(isa, twice, third, thrice);
        let first = block * n;
        let used = &thrice[..n.min(outputs.saturating_sub(first))];
        let weights = |e: usize| &weights[e * outputs + first..][..used.len()];
        match *extras {
            [] => packer.push(isa, used, [], []),
            [a] => packer.push(isa, used, [a], [weights(0)]),
            [a, b] => packer.push(isa, used, [a, b], [weights(0), weights(1)]),
            _ => panic!("two additional coordinates at most"),
        }
    }
}

/// The signs of one output after another, as codes.
struct Packer<'a, V> {
    code: V,
    bits: usize,
    n_hashes: usize,
    codes: std::slice::IterMut<'a, [u16; LANES]>,
}

impl<V: Copy> Packer<'_, V> {
    /// Takes `outputs`, with the additional coordinates `extras` by their weights.
    #[inline(always)]
    fn push<I: Isa<V = V>, const E: usize>(
        &mut self,
        isa: I,
        outputs: &[Line],
        extras: [Line; E],
        weights: [&[f32]; E],
    ) {
        let (zero, one, two) = (isa.splat(0.0), isa.splat(1.0), isa.splat(2.0));
        let mut values = [zero; E];
        for e in 0..E {
            values[e] = isa.load(&extras[e]);
        }
        for (i, output) in outputs.iter().enumerate() {
            let mut output = isa.load(output);
            for e in 0..E {
                // Not fused: it would round otherwise where the hardware cannot.
                output = isa.add(output, isa.mul(values[e], isa.splat(weights[e][i])));
            }
            // A code is at most 16 bits, so that these floats are exact.
            self.code = isa.mul_add(self.code, two, isa.zero_below(output, zero, one));
            self.bits += 1;
            if self.bits == self.n_hashes {
                self.next(isa);
            }
        }
    }

    #[inline(always)]
    fn next<I: Isa<V = V>>(&mut self, isa: I) {
        let mut lanes = [0.0; LANES];
        isa.store(&mut lanes, isa.add(self.code, isa.splat(UNITS)));
        if let Some(codes) = self.codes.next() {
            for i in 0..LANES {
                codes[i] = lanes[i].to_bits() as u16;
            }
        }
        (self.code, self.bits) = (isa.splat(0.0), 0);
    }
}

/// `to = H D from`, where `signs` are the diagonal of D.
#[inline(always)]
fn rotate<I: Isa>(isa: I, from: &[Line], signs: &[f32], to: &mut [Line]) {
    // As many coordinates as registers hold go through several stages at once. It changes no sum.
    if I::REGISTERS >= 32 {
        first_stages::<I, 16>(isa, from, signs, to);
        more_stages::<I, 16>(isa, 16, to);
    } else {
        first_stages::<I, 4>(isa, from, signs, to);
        more_stages::<I, 4>(isa, 4, to);
    }
}

/// The stages that combine coordinates less than `R` apart.
#[inline(always)]
fn first_stages<I: Isa, const R: usize>(isa: I, from: &[Line], signs: &[f32], to: &mut [Line]) {
    let (from, signs) = (from.as_chunks::<R>().0, signs.as_chunks::<R>().0);
    for ((from, signs), to) in from.iter().zip(signs).zip(to.as_chunks_mut::<R>().0) {
        let mut v = [isa.splat(0.0); R];
        for i in 0..R {
            v[i] = isa.mul(isa.load(&from[i]), isa.splat(signs[i]));
        }
        let v = transform(isa, v);
        for i in 0..R {
            isa.store(&mut to[i], v[i]);
        }
    }
}

/// The stages that combine coordinates `stride` apart and more.
#[inline(always)]
fn more_stages<I: Isa, const R: usize>(isa: I, mut stride: usize, x: &mut [Line]) {
    while stride < x.len() {
        let radix = R.min(x.len() / stride);
        match radix {
            16 => stages::<I, 16>(isa, stride, x),
            8 => stages::<I, 8>(isa, stride, x),
            4 => stages::<I, 4>(isa, stride, x),
            _ => stages::<I, 2>(isa, stride, x),
        }
        stride *= radix;
    }
}

/// The stages that combine coordinates `stride` apart and more, but less than `R` times that.
#[inline(always)]
fn stages<I: Isa, const R: usize>(isa: I, stride: usize, x: &mut [Line]) {
    for x in x.chunks_exact_mut(R * stride) {
        for at in 0..stride {
            let mut v = [isa.splat(0.0); R];
            for i in 0..R {
                v[i] = isa.load(&x[i * stride + at]);
            }
            let v = transform(isa, v);
            for i in 0..R {
                isa.store(&mut x[i * stride + at], v[i]);
            }
        }
    }
}

/// The transform of `R` lines, nearest first.
#[inline(always)]
fn transform<I: Isa, const R: usize>(isa: I, mut v: [I::V; R]) -> [I::V; R] {
    let minus = isa.splat(-1.0);
    let mut half = 1;
    while half < R {
        for i in 0..R {
            if i & half == 0 {
                let (a, b) = (v[i], v[i + half]);
                v[i] = isa.add(a, b);
                // `a - b`, exactly, where additions are slower than multiply-adds beside them.
                v[i + half] = isa.mul_add(b, minus, a);
            }
        }
        half *= 2;
    }
    v
}
