//! Classifiers of several labels, their parts and their scores.

use super::*;
use crate::rng::{Rng, Stream};
use crate::sparse::{CsrView, Features, IdLists, Indices};

const FEATURES: usize = 50;
const LABELS: usize = 12;
const OPTIONS: Options =
    Options { cost: 1.0, tolerance: 0.01, passes: 50, threshold: 0.0, seed: 1 };

/// Rows of six features, the first of which is that of their label; label 11 has no row.
struct Data {
    x: (Vec<i64>, Vec<i64>, Vec<f32>),
    y: (Vec<i64>, Vec<i64>),
    shortlist: (Vec<i64>, Vec<i64>),
}

impl Data {
    fn new(n: usize) -> Self {
        let mut rng = Rng::new(9, Stream::Weights, 0, 0);
        let mut draw = |n: usize| i64::from(rng.below(n as u32));
        let bounds = |width: usize| (0..=n).map(|row| (row * width) as i64).collect::<Vec<_>>();
        let (mut ids, mut y, mut listed) = (vec![], vec![], vec![]);
        for _ in 0..n {
            let label = draw(LABELS - 1);
            let mut own = vec![label];
            while own.len() < 6 {
                let feature = 20 + draw(FEATURES - 20);
                if !own.contains(&feature) {
                    own.push(feature);
                }
            }
            own.sort_unstable();
            ids.extend(own);
            y.push(label);
            listed.extend([label, draw(LABELS), draw(LABELS)]);
        }
        // The feature that tells the label weighs as much as all others.
        let value = |&id: &i64| if id < 20 { 20.0 } else { 1.0 + id as f32 / 7.0 };
        let values = ids.iter().map(value).collect();
        Self { x: (bounds(6), ids, values), y: (bounds(1), y), shortlist: (bounds(3), listed) }
    }

    fn x(&self) -> Features<'_> {
        let pattern = lists("X", (&self.x.0, &self.x.1), FEATURES);
        Features::Sparse(CsrView::new(pattern, &self.x.2).unwrap())
    }

    fn fit(&self, go_on: impl Fn() -> bool + Sync) -> Result<Classifiers> {
        let y = lists("Y", (&self.y.0, &self.y.1), LABELS);
        fit(&self.x(), FEATURES, &y, &self.shortlist(), LABELS, &OPTIONS, go_on)
    }

    fn shortlist(&self) -> IdLists<'_> {
        lists("shortlist", (&self.shortlist.0, &self.shortlist.1), LABELS)
    }
}

fn lists<'a>(
    name: &'static str,
    (indptr, ids): (&'a [i64], &'a [i64]),
    columns: usize,
) -> IdLists<'a> {
    IdLists::new(name, Indices::I64(indptr), Indices::I64(ids), columns).unwrap()
}

#[test]
fn classifiers_tell_their_rows_from_others_and_no_thread_count_shows() {
    let data = Data::new(400);
    let fitted = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| data.fit(|| true)).unwrap()
    };
    let classifiers = fitted(1);
    assert_eq!(fitted(3), classifiers);
    assert_eq!((classifiers.len(), classifiers.n_features()), (LABELS, FEATURES));
    assert_eq!(classifiers.of(LABELS - 1), (&[][..], &[][..]));
    assert!((classifiers.biases()[LABELS - 1] + 1.0).abs() < f32::EPSILON);
    let scores = classifiers.score(&data.x(), &data.shortlist(), || true).unwrap();
    for (row, scores) in scores.chunks(3).enumerate() {
        assert!(scores[0] > 0.0, "row {row}: {scores:?}");
        for (&label, &score) in data.shortlist.1[3 * row..].iter().zip(scores) {
            assert_eq!(score > 0.0, label == data.y.1[row], "row {row}, label {label}");
        }
    }
}

#[test]
fn a_score_is_the_bias_and_the_product_with_the_row_at_length_one() {
    let data = Data::new(70);
    let classifiers = data.fit(|| true).unwrap();
    let scores = classifiers.score(&data.x(), &data.shortlist(), || true).unwrap();
    for (place, &score) in scores.iter().enumerate() {
        let (row, label) = (place / 3, data.shortlist.1[place] as usize);
        let values = &data.x.2[6 * row..6 * row + 6];
        let length = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let (features, weights) = classifiers.of(label);
        let mut expected = f64::from(classifiers.biases()[label]);
        for (id, &value) in data.x.1[6 * row..6 * row + 6].iter().zip(values) {
            if let Ok(at) = features.binary_search(&(*id as u32)) {
                expected += f64::from(weights[at]) * f64::from(value) / length;
            }
        }
        // At most as many roundings as weights and a few, of sums below 8.
        let tolerance = 60.0 * 8.0 * f64::from(f32::EPSILON);
        assert!((f64::from(score) - expected).abs() < tolerance, "{score} {expected}");
    }
}

#[test]
fn work_ends_when_it_is_told_to_and_rows_must_be_as_many() {
    let data = Data::new(70);
    assert!(matches!(data.fit(|| false), Err(Error::Stopped)));
    let classifiers = data.fit(|| true).unwrap();
    let stopped = classifiers.score(&data.x(), &data.shortlist(), || false);
    assert!(matches!(stopped, Err(Error::Stopped)));
    let few = lists("candidates", (&[0, 1], &[0]), LABELS);
    let refused = classifiers.score(&data.x(), &few, || true).unwrap_err();
    assert_eq!(refused.to_string(), "candidates has 1 rows, but 70 (as X) were expected");
}

#[test]
fn trained_again_on_more_rows_marked_labels_are_as_new_and_the_others_stay() {
    let (less, more) = (Data::new(200), Data::new(400));
    let (old, new) = (less.fit(|| true).unwrap(), more.fit(|| true).unwrap());
    let y = lists("Y", (&more.y.0, &more.y.1), LABELS);
    let refitted =
        |again: &[bool]| refit(&old, &more.x(), &y, &more.shortlist(), again, &OPTIONS, || true);
    let again: Vec<_> = (0..LABELS).map(|label| label % 3 == 0).collect();
    let found = refitted(&again).unwrap();
    for (label, &again) in again.iter().enumerate() {
        let source = if again { &new } else { &old };
        assert_eq!(found.of(label), source.of(label), "label {label}");
        assert_eq!(found.biases()[label].to_bits(), source.biases()[label].to_bits());
    }
    assert_ne!((&found, &found), (&old, &new));
    let refused = refitted(&again[1..]).unwrap_err().to_string();
    assert_eq!(refused, "again has 11 marks, but 12 were expected");
}

#[test]
fn parts_make_the_same_classifiers_and_wrong_parts_are_refused() {
    let good = (vec![0, 2, 2], vec![1, 4], vec![0.5, -1.0], vec![0.1, -1.0]);
    let made = |(bounds, features, weights, biases): (Vec<_>, Vec<_>, Vec<_>, Vec<_>)| {
        Classifiers::from_parts(5, bounds, features, weights, biases).map_err(|e| e.to_string())
    };
    let classifiers = made(good.clone()).unwrap();
    assert_eq!(classifiers.of(0), (&[1, 4][..], &[0.5, -1.0][..]));
    assert!(!classifiers.is_empty());
    for (parts, named) in [
        ((vec![0, 2], good.1.clone(), good.2.clone(), good.3.clone()), "bounds has 2 numbers"),
        ((vec![1, 2, 2], good.1.clone(), good.2.clone(), good.3.clone()), "bounds"),
        ((vec![0, 2, 1], good.1.clone(), good.2.clone(), good.3.clone()), "bounds"),
        ((vec![0, 3, 2], good.1.clone(), good.2.clone(), good.3.clone()), "bounds"),
        ((good.0.clone(), vec![1], good.2.clone(), good.3.clone()), "weights has 2 numbers"),
        ((good.0.clone(), vec![1, 5], good.2.clone(), good.3.clone()), "features: row 0"),
        ((good.0.clone(), vec![4, 4], good.2.clone(), good.3.clone()), "features"),
        ((good.0.clone(), good.1.clone(), vec![0.5, f32::NAN], good.3.clone()), "weights: row 1"),
        ((good.0.clone(), good.1.clone(), good.2.clone(), vec![f32::INFINITY, 0.0]), "biases"),
    ] {
        let refused = made(parts).unwrap_err();
        assert!(refused.contains(named), "{refused}: {named}");
    }
}

#[test]
fn rows_without_features_and_rows_without_labels_are_taken() {
    let x = (vec![0, 0, 2, 2], vec![0, 1], vec![1.0, 2.0]);
    let pattern = lists("X", (&x.0, &x.1), 2);
    let features = Features::Sparse(CsrView::new(pattern, &x.2).unwrap());
    let y = lists("Y", (&[0, 1, 2, 2], &[0, 1]), 2);
    let none = lists("shortlist", (&[0, 0, 0, 0], &[]), 2);
    let classifiers = fit(&features, 2, &y, &none, 2, &OPTIONS, || true).unwrap();
    let both = lists("candidates", (&[0, 2, 4, 6], &[0, 1, 0, 1, 0, 1]), 2);
    let scores = classifiers.score(&features, &both, || true).unwrap();
    assert!(scores[3] > scores[1] && scores.iter().all(|score| score.is_finite()));
}

/// Scores of all labels of all rows, which say nothing of labels without a weight for the row.
fn all_scores(data: &Data, classifiers: &Classifiers) -> Vec<Vec<(i32, f32)>> {
    let rows = data.y.0.len() - 1;
    let bounds: Vec<_> = (0..=rows).map(|row| (row * LABELS) as i64).collect();
    let ids: Vec<_> = (0..rows).flat_map(|_| 0..LABELS as i64).collect();
    let every = lists("candidates", (&bounds, &ids), LABELS);
    let scores = classifiers.score(&data.x(), &every, || true).unwrap();
    let known = |row: usize, label: usize| {
        let own = &data.x.1[6 * row..6 * row + 6];
        classifiers.of(label).0.iter().any(|&id| own.contains(&i64::from(id)))
    };
    let row = |(row, scores): (usize, &[f32])| {
        let labels = (0..LABELS).filter(|&label| known(row, label));
        labels.map(|label| (label as i32, scores[label])).collect()
    };
    scores.chunks(LABELS).enumerate().map(row).collect()
}

#[test]
fn postings_find_the_labels_of_the_greatest_scores() {
    let data = Data::new(150);
    let classifiers = data.fit(|| true).unwrap();
    let postings = Postings::new(&classifiers, || true).unwrap();
    let found = postings.propose(&data.x(), 4, usize::MAX, || true).unwrap();
    for (row, mut scores) in all_scores(&data, &classifiers).into_iter().enumerate() {
        scores.sort_by(|a, b| b.1.total_cmp(&a.1));
        let own = &found[4 * row..4 * row + 4];
        for (i, &label) in own.iter().enumerate() {
            let Some(&(_, wanted)) = scores.get(i) else {
                assert_eq!(label, -1);
                continue;
            };
            let score = scores.iter().find(|known| known.0 == label).unwrap().1;
            // The same products in another order: seven roundings of sums below 8.
            assert!((score - wanted).abs() < 2.0 * 7.0 * 8.0 * f32::EPSILON, "row {row}");
            assert!(!own[..i].contains(&label));
        }
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let again = pool.install(|| postings.propose(&data.x(), 4, usize::MAX, || true).unwrap());
    assert_eq!(again, found);
    let stopped = postings.propose(&data.x(), 4, usize::MAX, || false);
    assert!(matches!(stopped, Err(Error::Stopped)));
    assert!(matches!(Postings::new(&classifiers, || false), Err(Error::Stopped)));
    assert!(postings.propose(&data.x(), 0, 9, || true).unwrap().is_empty());
    for k in [LABELS + 1, usize::MAX] {
        let refused = postings.propose(&data.x(), k, 9, || true).unwrap_err();
        assert!(refused.to_string().starts_with("k is"), "{refused}");
    }
}

#[test]
fn of_long_lists_the_greatest_weights_are_read() {
    // Feature 0 speaks of labels 0 to 3, feature 1 of label 4 alone.
    let weights = vec![0.1, 0.4, 0.3, 0.2, 0.5];
    let bounds = (0..=5).collect();
    let classifiers =
        Classifiers::from_parts(2, bounds, vec![0, 0, 0, 0, 1], weights, vec![0.0; 5]).unwrap();
    let postings = Postings::new(&classifiers, || true).unwrap();
    let of = |values: [f32; 2], most| {
        let (indptr, ids) = ([0, 2], [0, 1]);
        let pattern = lists("X", (&indptr, &ids), 2);
        let x = Features::Sparse(CsrView::new(pattern, &values).unwrap());
        postings.propose(&x, 5, most, || true).unwrap()
    };
    let found = |most| of([1.0, 1.0], most);
    assert_eq!(found(0), [-1; 5]);
    assert_eq!(found(2), [4, 1, -1, -1, -1]);
    // A zero says nothing and takes nothing; what is negative turns the order round.
    assert_eq!(of([1.0, 0.0], 2), [1, 2, -1, -1, -1]);
    assert_eq!(of([-1.0, 0.0], 2), [0, 3, -1, -1, -1]);
    // Of four the short list needs one, and leaves three to the long one.
    assert_eq!(found(4), [4, 1, 2, 3, -1]);
    assert_eq!(found(5), [4, 1, 2, 3, 0]);
}
