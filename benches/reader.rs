//! Parsing of XMC text in memory, in bytes a second: `cargo bench --bench reader`.
//!
//! Rows are like those of large sets of products: five labels and 75 features with rising ids. All
//! threads of the machine take part.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flate2::Compression;
use flate2::write::GzEncoder;
use slide_rs::io::xmc;

const ROWS: usize = 30_000;
const FEATURES: u32 = 135_909;
const LABELS: u32 = 670_091;
const PER_ROW: u32 = 75;

/// A data set whose values are written by `value`, from a number that looks random.
fn text(value: impl Fn(&mut String, u32)) -> String {
    let mut state = 1_u64;
    let mut below = |limit: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((state >> 33) % u64::from(limit)) as u32
    };
    let mut text = format!("{ROWS} {FEATURES} {LABELS}\n");
    for _ in 0..ROWS {
        for label in 0..5 {
            let comma = if label == 0 { "" } else { "," };
            write!(text, "{comma}{}", below(LABELS)).expect("a string can be written");
        }
        for k in 0..PER_ROW {
            let width = FEATURES / PER_ROW;
            write!(text, " {}:", k * width + below(width)).expect("a string can be written");
            value(&mut text, below(1 << 20));
        }
        text.push('\n');
    }
    text
}

fn read(criterion: &mut Criterion) {
    let four_places = text(|text, x| {
        write!(text, "0.{:04}", x % 10_000).expect("a string can be written");
    });
    let all_digits = text(|text, x| {
        write!(text, "{}", (x as f32).sqrt().recip()).expect("a string can be written");
    });
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(four_places.as_bytes()).expect("a vector can be written");
    let gzip = gzip.finish().expect("a vector can be written");
    let mut group = criterion.benchmark_group("reader");
    group.sample_size(20);
    // Of the text, also where it is compressed.
    for (name, bytes, length) in [
        ("four places", four_places.as_bytes(), four_places.len()),
        ("all digits", all_digits.as_bytes(), all_digits.len()),
        ("gzip", &gzip, four_places.len()),
    ] {
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| xmc::parse(black_box(bytes)).expect("the text is a data set"));
        });
    }
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);
