//! The table of kernels of one instruction set.

/// A [`Kernels`] table, each entry made by `$entry!(module::kernel(arguments) -> result)`.
macro_rules! table {
    ($name:literal, $entry:ident) => {
        $crate::simd::Kernels {
            name: $name,
            f32: rows_of!($entry, f32),
            bf16: rows_of!($entry, $crate::simd::Bf16),
            f16: rows_of!($entry, $crate::simd::F16),
            sum_rows: $entry!(kernels::sum_rows(
                weights: &[f32],
                rows: &[u32],
                coefs: &[f32],
                y: &mut [f32]
            ) -> f32),
            dot: $entry!(kernels::dot(x: &[f32], y: &[f32]) -> f32),
            axpy: $entry!(kernels::axpy(a: f32, x: &[f32], y: &mut [f32])),
            scale: $entry!(kernels::scale(a: f32, x: &mut [f32])),
            prefetch: $entry!(kernels::prefetch(x: &[f32])),
            momentum: $entry!(updates::momentum(
                step: &$crate::simd::MomentumStep,
                w: &mut [f32],
                m: &mut [f32],
                g: &[f32]
            )),
            clip: $entry!(updates::clip(limit: f32, x: &mut [f32])),
            max: $entry!(kernels::max(x: &[f32]) -> f32),
            exp_sum: $entry!(kernels::exp_sum(shift: f32, x: &mut [f32]) -> f32),
            gemm: $entry!(gemm::gemm(
                dims: [usize; 3],
                a: &[f32],
                lda: usize,
                b: &[f32],
                ldb: usize,
                c: &mut [f32],
                ldc: usize
            )),
            gemm_across: $entry!(gemm::gemm_across(
                dims: [usize; 3],
                a: &[f32],
                lda: usize,
                b: &[f32],
                ldb: usize,
                c: &mut [f32],
                ldc: usize
            )),
            interleave: $entry!(hadamard::interleave(
                values: &[f32],
                shape: [usize; 2],
                out: &mut [$crate::simd::Line]
            )),
            hadamard: $entry!(hadamard::hadamard(
                functions: &$crate::simd::Hadamard<'_>,
                vectors: (&[$crate::simd::Line], &[$crate::simd::Line]),
                room: &mut [$crate::simd::Line],
                codes: &mut [[u16; $crate::simd::LANES]]
            )),
        }
    };
}

/// The kernels for rows of type `$e`.
macro_rules! rows_of {
    ($entry:ident, $e:ty) => {
        $crate::simd::RowKernels {
            dot_rows: $entry!(kernels::dot_rows(
                weights: &[$e],
                rows: &[u32],
                x: &[f32],
                out: &mut [f32]
            )),
            axpy_rows: $entry!(kernels::axpy_rows(
                weights: &[$e],
                rows: &[u32],
                coefs: &[f32],
                y: &mut [f32]
            )),
            dot_columns: $entry!(columns::dot_columns(
                weights: (&[$e], usize),
                rows: &[u32],
                columns: &[u32],
                values: &[f32],
                out: &mut [f32]
            )),
            axpy_columns: $entry!(columns::axpy_columns(
                weights: (&[$e], usize),
                rows: &[u32],
                coefs: &[f32],
                columns: &[u32],
                out: &mut [f32]
            )),
            products: $entry!(products::products(
                weights: &[$e],
                x: &[f32],
                stride: usize,
                ahead: &[$e],
                out: &mut [f32]
            )),
            gemm_rows: $entry!(gemm::gemm_rows(
                dims: [usize; 2],
                a: (&[f32], usize),
                b: (&[$e], usize),
                rows: &[u32],
                c: (&mut [f32], usize)
            )),
            adam: adam_of!($entry, $e, f32),
            adam_light: adam_of!($entry, $e, $crate::simd::Bf16),
            widen: $entry!(updates::widen(x: &[$e], out: &mut [f32])),
            round: $entry!(updates::round(dice: (u64, u32), x: &[f32], out: &mut [$e])),
        }
    };
}

/// Adam on weights of type `$w` with moments of type `$m`.
macro_rules! adam_of {
    ($entry:ident, $w:ty, $m:ty) => {
        $crate::simd::Adam {
            entries: $entry!(adam::entries(
                step: &$crate::simd::AdamStep,
                dice: (u64, u32),
                row: $crate::simd::State<'_, $w, $m>,
                g: &[f32]
            )),
            row: $entry!(adam::row(
                step: &$crate::simd::AdamRowStep,
                dice: (u64, u32),
                row: $crate::simd::State<'_, $w, $m>,
                g: &[f32]
            )),
        }
    };
}
