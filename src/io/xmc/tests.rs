use std::fmt::Write as _;
use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::*;

fn message(text: &str) -> String {
    parse(text.as_bytes()).unwrap_err().to_string()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn temporary(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("slide_rs-{}-{name}", std::process::id()))
}

/// A text of many chunks, and what it holds.
fn large_text() -> (String, usize) {
    let rows = 100_000;
    let mut text = format!("{rows} 1000 50\n");
    for row in 0..rows {
        let (label, feature) = (row % 50, row % 900);
        let (near, far) = (feature + 1, feature + 64);
        writeln!(text, "{label} {feature}:0.25 {near}:1e-3 {far}:17.5\r").unwrap();
    }
    (text, rows)
}

#[test]
fn every_kind_of_row_is_read() {
    let data = parse(b"5 6 4\n0,3 1:0.5 4:1.25\n 2:1\n1\n\n5:-2e-3\n").unwrap();
    let want = XmcData {
        x_indptr: vec![0, 2, 3, 3, 3, 4],
        x_indices: vec![1, 4, 2, 5],
        x_values: vec![0.5, 1.25, 1.0, -0.002],
        y_indptr: vec![0, 2, 2, 3, 3, 3],
        y_indices: vec![0, 3, 1],
        n_features: 6,
        n_labels: 4,
    };
    assert_eq!(data, want);
}

#[test]
fn windows_ends_byte_order_mark_tabs_and_missing_last_newline_change_nothing() {
    let plain = parse(b"2 5 4\n0,3 1:0.5 4:1.25\n1 2:1\n").unwrap();
    let dressed = "\u{feff}2\t5 4 \r\n0,3  1:0.5\t4:1.25 \r\n1 2:1";
    assert_eq!(parse(dressed.as_bytes()).unwrap(), plain);
}

#[test]
fn sizes_without_a_header_are_the_largest_ids_plus_one() {
    let data = parse(b"0,3 1:0.5 4:1.25\n1 2:1\n").unwrap();
    assert_eq!((data.n_features, data.n_labels, data.x_indptr.len()), (5, 4, 3));
}

#[test]
fn unsorted_rows_are_sorted_repeated_features_summed_and_repeated_labels_counted_once() {
    let data = parse(b"3,1,3,0,1 4:1 2:0.5 4:2 0:8\n").unwrap();
    assert_eq!(data.y_indices, [0, 1, 3]);
    assert_eq!((data.x_indices, data.x_values), (vec![0, 2, 4], vec![8.0, 0.5, 3.0]));
}

#[test]
fn gzip_is_found_by_its_bytes_and_members_are_joined() {
    let mut bytes = gzip(b"2 5 4\n0,3 1:0.5\n");
    bytes.extend(gzip(b"1 2:1\n"));
    assert_eq!(parse(&bytes).unwrap(), parse(b"2 5 4\n0,3 1:0.5\n1 2:1\n").unwrap());
}

#[test]
fn broken_gzip_is_an_error() {
    let bytes = gzip(b"2 5 4\n0,3 1:0.5\n1 2:1\n");
    for length in 2..bytes.len() {
        assert!(matches!(parse(&bytes[..length]), Err(XmcError::Gzip(_))), "{length} bytes");
    }
}

#[test]
fn a_large_text_is_read_alike_on_any_number_of_threads() {
    let (text, rows) = large_text();
    assert!(text.len() > 2 * blocks::BLOCK_BYTES);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| parse(text.as_bytes()).unwrap())
    };
    let data = on(1);
    assert_eq!(data, on(3));
    assert_eq!(*data.x_indptr.last().unwrap(), 3 * rows as i64);
    for row in [0, 1, 12_345, rows - 1] {
        let feature = (row % 900) as i32;
        assert_eq!(data.x_indices[3 * row..3 * row + 3], [feature, feature + 1, feature + 64]);
        assert_eq!(data.y_indices[row], (row % 50) as i32);
    }
}

#[test]
fn the_first_error_of_a_large_text_is_the_one_reported() {
    let (mut text, rows) = large_text();
    let second = text.rfind("17.5").unwrap();
    text.replace_range(second..second + 4, "last");
    let line = |text: &str| match parse(text.as_bytes()) {
        Err(XmcError::Line { line, .. }) => line,
        other => panic!("{other:?}"),
    };
    assert_eq!(line(&text), rows + 1);
    let first =
        text[blocks::BLOCK_BYTES * 3 / 2..].find("17.5").unwrap() + blocks::BLOCK_BYTES * 3 / 2;
    text.replace_range(first..first + 4, "next");
    assert_eq!(line(&text), 1 + text[..first].matches('\n').count());
}

#[test]
fn malformed_lines_are_named_with_what_was_found_and_wanted() {
    let cases = [
        ("0 1:x\n", "line 1: found \"1:x\", wanted a number after the colon"),
        ("0 1:\n", "line 1: found \"1:\", wanted a number after the colon"),
        ("0 1:2:3\n", "line 1: found \"1:2:3\", wanted a number after the colon"),
        ("0 1:0.5\n0 7\n", "line 2: found \"7\", wanted a feature:value pair"),
        ("0 :7\n", "line 1: found \":7\", wanted a feature:value pair"),
        ("0 -1:2\n", "line 1: found \"-1:2\", wanted a feature:value pair"),
        ("0 1.5:2\n", "line 1: found \"1.5:2\", wanted a feature:value pair"),
        (
            "0 1:nan\n",
            "line 1: found \"1:nan\", wanted a finite value within the range of 32-bit floats",
        ),
        (
            "0 1:-inf\n",
            "line 1: found \"1:-inf\", wanted a finite value within the range of 32-bit floats",
        ),
        (
            "0 1:1e39\n",
            "line 1: found \"1:1e39\", wanted a finite value within the range of 32-bit floats",
        ),
        (
            "0 1:3e38 1:3e38\n",
            "line 1: found \"1:3e38\", wanted a finite value within the range of 32-bit floats",
        ),
        ("-1 1:2\n", "line 1: found \"-1\", wanted label ids from 0 with commas between them"),
        ("1,,2 1:2\n", "line 1: found \"1,,2\", wanted label ids from 0 with commas between them"),
        ("1, 1:2\n", "line 1: found \"1,\", wanted label ids from 0 with commas between them"),
        ("cat 1:2\n", "line 1: found \"cat\", wanted label ids from 0 with commas between them"),
        (
            "1 2 4\n0 2:1\n",
            "line 2: found \"2:1\", wanted a feature id below 2, as the header says",
        ),
        (
            "1 2 4\n0,4 1:1\n",
            "line 2: found \"0,4\", wanted a label id below 4, as the header says",
        ),
        (
            "0 2147483647:1\n",
            "line 1: found \"2147483647:1\", wanted a feature id below 2147483647, the most there can be",
        ),
        (
            "99999999999999999999999 1:1\n",
            "line 1: found \"99999999999999999999999\", wanted a label id below 2147483647, the most there can be",
        ),
        ("2 5 4\n0 1:1\n", "found 1 points, wanted 2 as the header says"),
        ("0 5 4\n0 1:1\n", "found 1 points, wanted 0 as the header says"),
        ("1 5 4", "found 0 points, wanted 1 as the header says"),
        ("99999999999999 5 4\n0 1:1\n", "found 1 points, wanted 99999999999999 as the header says"),
        (
            "1 99999999999999 4\n0 1:1\n",
            "line 1: found 99999999999999 features in the header, wanted at most 2147483647",
        ),
        (
            "1 5 99999999999999999999\n0 1:1\n",
            "line 1: found 99999999999999999999 labels in the header, wanted at most 2147483647",
        ),
        ("", "found no bytes, wanted a header or a line of labels and feature:value pairs"),
    ];
    for (text, want) in cases {
        assert_eq!(message(text), want, "{text:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_quoted_escaped_and_cut() {
    let error = parse(&[b"\x7fELF\x02\x01\0\"".as_slice(), &[0xff; 99]].concat()).unwrap_err();
    let found = r#"found "\x7fELF\x02\x01\x00\"\xff\xff"#;
    assert!(error.to_string().contains(found), "{error}");
    assert!(error.to_string().len() < 300, "{error}");
}

#[test]
fn errors_of_files_name_the_file() {
    let path = temporary("missing.txt");
    let error = read(&path).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot read {}: ", path.display())), "{error}");

    let path = temporary("bad.txt");
    std::fs::write(&path, "0 1\n").unwrap();
    let error = read(&path).unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    let want = format!("{}: line 1: found \"1\", wanted a feature:value pair", path.display());
    assert_eq!(error, want);
}

#[test]
fn equal_data_makes_equal_gzip_files() {
    let data = parse(b"2 5 4\n0,3 1:0.5 4:1.25\n1 2:1\n").unwrap();
    let path = temporary("equal.txt.gz");
    let bytes = || {
        write(&path, data.features(), &data.x_values, data.labels()).unwrap();
        std::fs::read(&path).unwrap()
    };
    assert_eq!(bytes(), bytes());
    assert_eq!(bytes()[..2], [0x1f, 0x8b]);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn data_that_does_not_fit_together_is_not_written() {
    let path = temporary("refused.txt");
    let refused = |x_indptr: &[i64], ids: &[i32], values: &[f32], y_indptr: &[i32], columns| {
        let x = Rows { indptr: x_indptr, ids, columns };
        let y = Rows { indptr: y_indptr, ids: &[0_i64, 1], columns: 2 };
        let error = write(&path, x, values, y).unwrap_err().to_string();
        assert!(!path.exists());
        error
    };
    let indptr = "row bounds (indptr) that break at row";
    assert!(refused(&[], &[], &[], &[0, 2], 3).contains(indptr));
    assert!(refused(&[1, 2], &[0, 1], &[1.0; 2], &[0, 2], 3).contains(indptr));
    assert!(refused(&[0, 1], &[0, 1], &[1.0; 2], &[0, 2], 3).contains(indptr));
    assert!(refused(&[0, 2, 1], &[0, 1], &[1.0; 2], &[0, 1, 2], 3).contains(indptr));
    assert!(refused(&[0, -1, 2], &[0, 1], &[1.0; 2], &[0, 1, 2], 3).contains(indptr));
    let id = "row 0: found feature id -1, wanted one from 0 to below 3";
    assert_eq!(refused(&[0, 2], &[0, -1], &[1.0; 2], &[0, 2], 3), id);
    let id = "row 0: found feature id 3, wanted one from 0 to below 3";
    assert_eq!(refused(&[0, 2], &[0, 3], &[1.0; 2], &[0, 2], 3), id);
    let values = "found 1 values for 2 feature ids, wanted one for each";
    assert_eq!(refused(&[0, 2], &[0, 1], &[1.0], &[0, 2], 3), values);
    let value = "row 1: found the feature value inf, wanted a finite one";
    assert_eq!(refused(&[0, 1, 2], &[0, 1], &[1.0, f32::INFINITY], &[0, 1, 2], 3), value);
    let rows = "found 1 rows of features and 2 rows of labels, wanted as many of each";
    assert_eq!(refused(&[0, 2], &[0, 1], &[1.0; 2], &[0, 1, 2], 3), rows);
    let columns = "found 2147483648 feature columns, wanted at most 2147483647";
    assert_eq!(refused(&[0, 2], &[0, 1], &[1.0; 2], &[0, 2], 1 << 31), columns);
}

/// One row: distinct labels, then distinct features with any finite bits as values.
fn row()
-> impl Strategy<Value = (std::collections::BTreeSet<i32>, std::collections::BTreeMap<i32, f32>)> {
    let value = any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |v| v.is_finite());
    (
        proptest::collection::btree_set(0..50, 0..5),
        proptest::collection::btree_map(0..1000, value, 0..8),
    )
}

proptest! {
    #[test]
    fn any_data_set_reads_back_bitwise_as_written(
        rows in proptest::collection::vec(row(), 0..20),
        compress: bool,
    ) {
        let mut data = XmcData { n_features: 1000, n_labels: 50, ..XmcData::default() };
        data.x_indptr.push(0);
        data.y_indptr.push(0);
        for (labels, features) in rows {
            data.y_indices.extend(labels);
            data.y_indptr.push(data.y_indices.len() as i64);
            data.x_indices.extend(features.keys());
            data.x_values.extend(features.values());
            data.x_indptr.push(data.x_indices.len() as i64);
        }
        let path = temporary(if compress { "round.txt.gz" } else { "round.txt" });
        write(&path, data.features(), &data.x_values, data.labels()).unwrap();
        let back = read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let bits = |data: &XmcData| data.x_values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&back), bits(&data));
        prop_assert_eq!(back, data);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
        let _ = parse(&gzip(&bytes));
    }

    #[test]
    fn text_that_is_nearly_right_gives_a_canonical_data_set_or_an_error(
        text in "([0-9]{1,2} [0-9]{1,2} [0-9]{1,2}\n)?([0-9,:. \te\r\n-]|[0-9]:[0-9]){0,60}",
    ) {
        if let Ok(data) = parse(text.as_bytes()) {
            for (indptr, ids, columns) in [
                (&data.x_indptr, &data.x_indices, data.n_features),
                (&data.y_indptr, &data.y_indices, data.n_labels),
            ] {
                prop_assert_eq!(indptr.last().copied(), Some(ids.len() as i64));
                for bounds in indptr.windows(2) {
                    let row = &ids[bounds[0] as usize..bounds[1] as usize];
                    prop_assert!(row.is_sorted_by(|a, b| a < b));
                    prop_assert!(row.iter().all(|&id| (id as usize) < columns));
                }
            }
            prop_assert!(data.x_values.iter().all(|value| value.is_finite()));
            prop_assert_eq!(data.x_values.len(), data.x_indices.len());
        }
    }
}
