//! The coordinate of the bias, balanced against the weights.

use super::*;

const ROWS: usize = 300;

/// Signs of random projections with the bias as a coordinate, and nothing else done to rows.
fn plain() -> TablesConfig {
    TablesConfig { center: false, append_bias: true, ..families().remove(0) }
}

/// A layer whose biases are `times` as large as those of [`layer`].
fn biased(times: f32) -> (Param<'static>, Param<'static>) {
    let (weights, mut bias) = layer(ROWS);
    for id in 0..ROWS as u32 {
        bias.weights_mut().row_mut(id)[0] *= times;
    }
    (weights, bias)
}

/// An index over a layer, for queries of length `expected`.
fn build((weights, bias): &(Param<'static>, Param<'static>), expected: f32) -> Index {
    let mut index = Index::new(&plain(), weights.weights().stripes(), WIDTH);
    index.expect(expected);
    index.refresh(&kernels(), weights, Some(bias));
    index
}

fn assert_same_tables(a: &Index, b: &Index) {
    assert_eq!(a.bias_unit(), b.bias_unit());
    for code in 0..1_u32 << a.hash().bits() {
        for table in 0..TABLES {
            let bucket = |index: &Index| index.tables().bucket(table, code as u16).to_vec();
            assert_eq!(bucket(a), bucket(b));
        }
    }
    assert!((0..ROWS as u32).all(|id| a.length(id).to_bits() == b.length(id).to_bits()));
}

#[test]
fn without_biases_nothing_is_balanced() {
    assert_eq!(build(&biased(0.0), 8.0).bias_unit(), 1.0);
    let (weights, _) = layer(ROWS);
    let mut index = Index::new(&plain(), weights.weights().stripes(), WIDTH);
    index.refresh(&kernels(), &weights, None);
    assert_eq!(index.bias_unit(), 1.0);
}

#[test]
fn the_unit_is_the_best_one_in_steps_of_half_a_power_of_two() {
    for expected in [1.0, 8.0, 30.0] {
        for times in [1.0, 10.0, 100.0, 1e4] {
            let both = biased(times);
            let square =
                |rows: &Rows<'_>| rows.to_vec().iter().map(|&x| f64::from(x).powi(2)).sum();
            let [of_weights, of_biases]: [f64; 2] =
                [square(both.0.weights()), square(both.1.weights())];
            // u^2 = h b / w, but between 1 and 256.
            let best = (expected * (of_biases / of_weights).sqrt()).sqrt().clamp(1.0, 256.0);
            let unit = f64::from(build(&both, expected as f32).bias_unit());
            assert!((unit / best).log2().abs() < 0.2501, "{times}: {unit}, {best}");
            let steps = 2.0 * unit.log2();
            assert!((steps - steps.round()).abs() < 1e-6, "{unit}");
        }
    }
}

#[test]
fn inner_products_of_what_is_hashed_are_those_of_the_layer() {
    for (times, expected) in [(0.0, 1.0), (1.0, 1.0), (100.0, 8.0)] {
        let (weights, bias) = biased(times);
        let index = build(&(biased(times)), expected);
        let mut x = vec![0.0; WIDTH];
        Rng::new(2, Stream::Probe, 0, 0).fill_normal(1.0, &mut x);
        let ids: Vec<u32> = (0..ROWS as u32).collect();
        let query = dense(&x, 1).get(0, WIDTH);
        let cosines = index.cosines(&kernels(), (&weights, Some(&bias)), query, &ids);
        let unit = f64::from(index.bias_unit());
        let squares = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        let length = (squares + unit * unit).sqrt();
        for (&id, cosine) in ids.iter().zip(cosines) {
            let row = weights.weights().row(id).iter().zip(&x);
            let bias = f64::from(bias.weights().row(id)[0]);
            let wanted = row.map(|(&w, &x)| f64::from(w) * f64::from(x)).sum::<f64>() + bias;
            let lengths = length * f64::from(index.length(id));
            let off = f64::from(cosine).mul_add(lengths, -wanted);
            // The cosine and the coordinate of the bias are rounded once; the length is a sum.
            assert!(off.abs() < WIDTH as f64 * f64::from(f32::EPSILON) * lengths, "{id}: {off}");
        }
    }
}

#[test]
fn all_rows_are_hashed_again_when_the_unit_changes_and_not_before() {
    let small = biased(1.0);
    let mut index = build(&small, 8.0);
    let before = index.bias_unit();
    let large = biased(100.0);
    // As long as no row moved, nothing is looked at.
    index.refresh(&kernels(), &large.0, Some(&large.1));
    assert_eq!(index.bias_unit(), before);
    let (shard, local) = small.0.weights().stripes().split(7);
    index.moved_mut()[shard as usize][local as usize] = true;
    index.refresh(&kernels(), &large.0, Some(&large.1));
    assert!(index.bias_unit() > before);
    assert_same_tables(&index, &build(&large, 8.0));
}

#[test]
fn a_unit_that_came_about_in_training_is_found_again_from_the_weights() {
    let mut index = build(&biased(0.0), 8.0);
    for times in [1.0, 1e4, 3.0, 100.0] {
        let (weights, bias) = biased(times);
        index.moved_mut().into_iter().for_each(|moved| moved.fill(true));
        index.refresh(&kernels(), &weights, Some(&bias));
    }
    assert_same_tables(&index, &build(&biased(100.0), 8.0));
}
