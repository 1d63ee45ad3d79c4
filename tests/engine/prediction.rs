//! Prediction: a score depends on its row and its label alone.

use crate::common::{self, Data, features, with_threads};
use slide_rs::config::{Activation, Dtype};
use slide_rs::sparse::{IdLists, Indices};
use slide_rs::{Mode, Network};

/// More labels than fill a tile in each shard, and rows that are no multiple of any group.
const LABELS: usize = 64 * 70 + 5;
const ROWS: usize = 150;

fn network(data: &Data, dtype: Dtype) -> Network {
    let hidden = common::dense(40, Activation::Linear, 8.0);
    let mut config = common::stack(data, vec![hidden], common::lsh(300));
    config.output.dtype = Some(dtype);
    config.output.bias = true;
    Network::new(config).expect("a configuration of the tests")
}

#[test]
fn a_score_has_the_same_bits_in_any_batch_mode_and_number_of_threads() {
    let data = Data::random(ROWS, 60, LABELS, 3);
    let x = features(&data);
    let k = 7;
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
        let mut runs = [1, 2, 7].map(|threads| {
            with_threads(threads, || {
                let mut network = network(&data, dtype);
                let exact = network.predict(&x, (k, Mode::Exact), || true).unwrap();
                let found = network.predict(&x, (k, Mode::Lsh), || true).unwrap();
                // All scores as candidates, and those of both modes among them.
                let ends: Vec<i32> = (0..=ROWS).map(|row| (row * k) as i32).collect();
                for (best, scores) in [&exact, &found] {
                    let lists = (Indices::I32(&ends), Indices::I32(best));
                    let lists = IdLists::new("ids", lists.0, lists.1, LABELS).unwrap();
                    assert_eq!(network.score(&x, &lists, || true).unwrap(), *scores);
                }
                (exact, found)
            })
        });
        let first = runs[0].clone();
        assert!(runs.iter_mut().all(|run| *run == first), "{dtype:?}");

        let all = with_threads(3, || network(&data, dtype).scores(&x, || true).unwrap());
        for (row, scores) in all.chunks(LABELS).enumerate() {
            let mut order: Vec<usize> = (0..LABELS).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
            for (place, &id) in order[..k].iter().enumerate() {
                let at = row * k + place;
                assert_eq!(first.0.0[at], id as i32, "{dtype:?}");
                assert_eq!(first.0.1[at].to_bits(), scores[id].to_bits(), "{dtype:?}");
            }
        }

        let mut network = with_threads(2, || network(&data, dtype));
        for row in [0, 1, 77, ROWS - 1] {
            let one = data.row(row);
            let x = features(&one);
            let place = row * k..(row + 1) * k;
            // The calling thread alone answers a single row in mode `Lsh`.
            let found = network.predict(&x, (k, Mode::Lsh), || true).unwrap();
            assert_eq!(found.0, first.1.0[place.clone()], "{dtype:?}");
            assert_eq!(found.1, first.1.1[place.clone()], "{dtype:?}");
            let exact = with_threads(4, || network.predict(&x, (k, Mode::Exact), || true).unwrap());
            assert_eq!(exact.0, first.0.0[place.clone()], "{dtype:?}");
            assert_eq!(exact.1, first.0.1[place], "{dtype:?}");
        }
    }
}

#[test]
fn as_many_as_there_are_labels_are_given_in_their_order() {
    let data = Data::random(20, 60, LABELS, 3);
    let x = features(&data);
    let mut network = network(&data, Dtype::F32);
    let (ids, scores) = network.predict(&x, (LABELS, Mode::Exact), || true).unwrap();
    for (ids, scores) in ids.chunks(LABELS).zip(scores.chunks(LABELS)) {
        let ordered = |i: usize| {
            scores[i - 1] > scores[i] || (scores[i - 1] == scores[i] && ids[i - 1] < ids[i])
        };
        assert!((1..LABELS).all(ordered));
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..LABELS as i32));
    }
}
