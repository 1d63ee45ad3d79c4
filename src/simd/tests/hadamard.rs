//! Vectors side by side, and signs of their Hadamard transforms.

use super::*;

/// `n` signs.
fn signs(seed: u32, n: usize) -> Vec<f32> {
    noise(seed, n).into_iter().map(|x| if x < 0.0 { -1.0 } else { 1.0 }).collect()
}

#[test]
fn interleaved_vectors_are_found_in_their_lanes_on_every_isa() {
    for kernels in Kernels::available() {
        for width in 0..70 {
            for n in [0, 1, 2, 15, 16] {
                let stride = width + 3;
                let values = noise(1, n * stride);
                let mut out = vec![[f32::NAN; LANES]; width];
                (kernels.interleave)(&values, [n, stride], &mut out);
                for (j, line) in out.iter().enumerate() {
                    for (i, &x) in line.iter().enumerate() {
                        let expected = if i < n { values[i * stride + j] } else { 0.0 };
                        assert_eq!(x, expected, "{} {width} {n}", kernels.name);
                    }
                }
            }
        }
    }
}

/// `H D x` by the definition: H has -1 to the number of bits that row and column share.
fn rotated(x: &[f64], signs: &[f32]) -> Vec<f64> {
    let output = |i: usize| {
        let entry = |j: usize| if (i & j).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
        x.iter().zip(signs).enumerate().map(|(j, (x, &d))| entry(j) * x * f64::from(d)).sum()
    };
    (0..x.len()).map(output).collect()
}

#[test]
fn hadamard_codes_are_signs_of_three_rotations_and_equal_on_every_isa() {
    for (n, n_tables, n_hashes, n_extras) in [
        (64_usize, 3_usize, 5, 0),
        (64, 20, 7, 1),
        (128, 30, 13, 2),
        (256, 1, 1, 1),
        (512, 40, 16, 0),
    ] {
        let outputs = n_tables * n_hashes;
        let blocks = outputs.div_ceil(n);
        let (first, more) = (signs(1, n), signs(2, 2 * n * blocks));
        let mut weights = noise(3, n_extras * outputs);
        for weight in &mut weights {
            *weight *= n as f32;
        }
        let (vectors, extras) = (noise(4, LANES * n), noise(5, LANES * n_extras));
        let (mut exact, mut limits) = (vec![vec![]; LANES], [0.0; LANES]);
        for (i, exact) in exact.iter_mut().enumerate() {
            let x: Vec<f64> = vectors[i * n..][..n].iter().map(|&x| f64::from(x)).collect();
            let once = rotated(&x, &first);
            for signs in more.chunks(2 * n) {
                exact.extend(rotated(&rotated(&once, &signs[..n]), &signs[n..]));
            }
            // A stage adds at most half a unit to each number, so to the length of the vector; the
            // stages that follow stretch the error as they do the vector, by n^1.5 in all. Both
            // additional coordinates, of weights below 2 n, add less than 20 n.
            let length = x.iter().map(|x| x * x).sum::<f64>().sqrt() * (n as f64).powf(1.5);
            limits[i] = EPSILON * f64::from(3 * n.ilog2() + 4) * (length + 20.0 * n as f64);
            for (e, weights) in weights.chunks(outputs).enumerate() {
                for (output, &weight) in exact.iter_mut().zip(weights) {
                    *output += f64::from(weight) * f64::from(extras[i * n_extras + e]);
                }
            }
        }
        let mut found: Option<Vec<[u16; LANES]>> = None;
        for kernels in Kernels::available() {
            let mut lines = vec![[0.0; LANES]; n + n_extras];
            let (lines, beside) = lines.split_at_mut(n);
            (kernels.interleave)(&vectors, [LANES, n], lines);
            (kernels.interleave)(&extras, [LANES, n_extras], beside);
            let functions = Hadamard { first: &first, signs: &more, weights: &weights, n_hashes };
            let (mut room, mut codes) = (vec![[0.0; LANES]; 3 * n], vec![[0; LANES]; n_tables]);
            (kernels.hadamard)(&functions, (lines, beside), &mut room, &mut codes);
            for (i, exact) in exact.iter().enumerate() {
                for (output, &exact) in exact.iter().take(outputs).enumerate() {
                    let code = codes[output / n_hashes][i];
                    let bit = code >> (n_hashes - 1 - output % n_hashes) & 1;
                    let clear = exact.abs() > limits[i];
                    assert!(!clear || (bit == 1) == (exact >= 0.0), "{} {n}", kernels.name);
                }
            }
            assert_eq!(found.get_or_insert_with(|| codes.clone()), &codes, "{}", kernels.name);
        }
    }
}
