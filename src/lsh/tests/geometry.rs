//! Lengths and angles of what is hashed.

use super::*;

#[test]
fn lengths_are_those_of_the_rows_as_they_are_hashed() {
    for config in all_options().take(16) {
        let (weights, bias) = layer(150);
        let mut index = Index::new(&config, weights.weights().stripes(), WIDTH);
        index.refresh(&kernels(), &weights, Some(&bias));
        let rows = transformed(&config, (&weights, &bias));
        let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
        // With `mips` the oracle divides by the largest length, which all rows have here.
        let longest = if config.mips { index.length(0) } else { 1.0 };
        for (id, row) in rows.iter().enumerate() {
            let (ours, theirs) = (index.length(id as u32), longest * length(row));
            // Sums of 42 squares, each rounded a few times.
            assert!((ours - theirs).abs() <= 64.0 * f32::EPSILON * theirs, "{ours} {theirs}");
        }
    }
}

#[test]
fn cosines_are_those_of_rows_and_queries_as_they_are_hashed() {
    let mut query = vec![0.0; WIDTH];
    Rng::new(4, Stream::Probe, 0, 0).fill_normal(0.5, &mut query);
    query.iter_mut().step_by(3).for_each(|x| *x = 0.0);
    let (ids, values): (Vec<u32>, Vec<f32>) =
        (0..).zip(&query).filter(|(_, x)| **x != 0.0).map(|(i, &x)| (i, x)).unzip();
    let ends = [ids.len()];
    let sparse = Vectors::Sparse { ids: &ids, values: &values, ends: &ends };
    let all: Vec<u32> = (0..150).collect();
    let length = |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    for config in all_options().take(16) {
        let (weights, bias) = layer(150);
        let mut index = Index::new(&config, weights.weights().stripes(), WIDTH);
        index.refresh(&kernels(), &weights, Some(&bias));
        let cosines = |vectors: Vectors<'_>| {
            let layer = (&weights, Some(&bias));
            index.cosines(&kernels(), layer, vectors.get(0, WIDTH), &all)
        };
        let ours = cosines(dense(&query, 1));
        assert_eq!(ours, cosines(sparse));
        let mut hashed = query.clone();
        hashed.extend(config.append_bias.then_some(1.0));
        hashed.extend(config.mips.then_some(0.0));
        for (row, ours) in transformed(&config, (&weights, &bias)).iter().zip(ours) {
            let products = row.iter().zip(&hashed).map(|(&x, &y)| f64::from(x) * f64::from(y));
            let cosine = products.sum::<f64>() / (length(row) * length(&hashed));
            // 42 coordinates, each rounded a few times on its way to the form that is hashed.
            let limit = 64.0 * f64::from(f32::EPSILON);
            assert!((f64::from(ours) - cosine).abs() <= limit, "{ours} {cosine} {config:?}");
        }
        assert_eq!(cosines(dense(&[0.0; WIDTH], 1)).iter().any(|&x| x != 0.0), config.append_bias);
    }
}
