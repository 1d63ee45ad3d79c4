//! The tables against what they promise.

use super::*;

const BITS: usize = 3;

fn random_codes(rows: usize, n_tables: usize, bits: usize, seed: u64) -> Vec<Vec<u16>> {
    let mut rng = Rng::new(seed, Stream::Probe, rows as u64, 0);
    (0..rows).map(|_| (0..n_tables).map(|_| rng.below(1 << bits) as u16).collect()).collect()
}

/// Tables of rows with the given codes.
fn build(codes: &[Vec<u16>], bits: usize, cap: Cap) -> HashTables {
    let (stripes, n_tables) = (Stripes::new(codes.len()), codes[0].len());
    let mut tables = HashTables::new(stripes, n_tables, bits).capped(cap);
    write(&mut tables, codes);
    tables.build();
    tables
}

fn write(tables: &mut HashTables, codes: &[Vec<u16>]) {
    let stripes = tables.stripes;
    let mut shards = tables.codes_mut();
    for (id, codes) in codes.iter().enumerate() {
        let (shard, local) = stripes.split(id as u32);
        shards[shard as usize].put(&[local as usize], codes);
    }
}

fn all_buckets(tables: &HashTables) -> Vec<Vec<u32>> {
    let buckets = |table| (0..tables.n_buckets).map(move |code| (table, code as u16));
    let all = (0..tables.n_tables()).flat_map(buckets);
    all.map(|(table, code)| tables.bucket(table, code).to_vec()).collect()
}

#[test]
fn every_id_is_in_the_bucket_of_its_code_and_nowhere_else() {
    for (rows, n_tables, bits) in [(1, 1, 1), (200, 3, 4), (1000, 70, 6)] {
        let codes = random_codes(rows, n_tables, bits, 0);
        let tables = build(&codes, bits, Cap::NONE);
        for table in 0..n_tables {
            let own: Vec<u16> = codes.iter().map(|codes| codes[table]).collect();
            let mut seen = vec![0; rows];
            for code in 0..1 << bits {
                for &id in tables.bucket(table, code) {
                    assert_eq!(own[id as usize], code);
                    seen[id as usize] += 1;
                }
            }
            assert!(seen.iter().all(|&n| n == 1));
        }
    }
}

#[test]
fn a_reservoir_keeps_each_of_n_ids_with_probability_cap_over_n() {
    // Every bucket of the tables holds all 40 rows, and each is a draw of its own.
    let (rows, n_tables, size) = (40, 1000, 7);
    let codes = vec![vec![0; n_tables]; rows];
    let mut counts = vec![0_u32; rows];
    for seed in 0..4 {
        let tables = build(&codes, 1, Cap { size, policy: BucketPolicy::Reservoir, seed });
        for table in 0..n_tables {
            let mut kept = tables.bucket(table, 0).to_vec();
            for &id in &kept {
                counts[id as usize] += 1;
            }
            kept.sort_unstable();
            kept.dedup();
            assert_eq!(kept.len(), size);
        }
    }
    let share = size as f64 / rows as f64;
    let expected = 4000.0 * share;
    let chi: f64 = counts.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
    // Draws without replacement: the counts vary (1 - share) n / (n - 1) times as much as those of
    // a multinomial, so chi square has mean (1 - share) n and its deviation shrinks likewise.
    let (mean, deviation) = ((1.0 - share) * 40.0, (1.0 - share) * (2.0 * 40.0_f64).sqrt());
    assert!((chi - mean).abs() < 4.0 * deviation, "chi square {chi} against {mean}");
}

#[test]
fn a_queue_keeps_those_inserted_last() {
    let codes = vec![vec![0]; 10];
    let mut tables = build(&codes, 1, Cap { size: 3, policy: BucketPolicy::Fifo, seed: 0 });
    assert_eq!(tables.bucket(0, 0), [7, 8, 9]);
    tables.remove(2);
    tables.insert(2, &[0]);
    assert_eq!(tables.bucket(0, 0), [8, 9, 2]);
    tables.remove(9);
    assert_eq!(tables.bucket(0, 0), [7, 8, 2]);
}

#[test]
fn what_is_inserted_removed_and_moved_is_found_as_after_a_fresh_build() {
    for policy in [BucketPolicy::Window, BucketPolicy::Reservoir, BucketPolicy::Fifo] {
        for size in [5, usize::MAX] {
            let mut codes = random_codes(300, 20, BITS, 1);
            let cap = Cap { size, policy, seed: 3 };
            let mut tables = build(&codes, BITS, cap);
            let mut gone = vec![];
            let mut rng = Rng::new(2, Stream::Probe, 0, 0);
            for change in 0..200 {
                let id = rng.below(300);
                if change % 3 == 0 {
                    tables.remove(id);
                    gone.push(id);
                } else {
                    let new: Vec<u16> = (0..20).map(|_| rng.below(1 << BITS) as u16).collect();
                    tables.insert(id, &new);
                    codes[id as usize] = new;
                    gone.retain(|&other| other != id);
                }
            }
            assert!(!gone.is_empty());
            let mut fresh = build(&codes, BITS, cap);
            for &id in &gone {
                fresh.remove(id);
            }
            write(&mut fresh, &codes);
            fresh.build();
            let (mut ours, mut theirs) = (all_buckets(&tables), all_buckets(&fresh));
            if policy == BucketPolicy::Fifo {
                // Only the order, and so under a cap the choice, may differ.
                if size == 5 {
                    assert!(ours.iter().zip(&theirs).all(|(a, b)| a.len() == b.len()));
                    continue;
                }
                ours.iter_mut().chain(&mut theirs).for_each(|ids| ids.sort_unstable());
            }
            assert_eq!(ours, theirs, "{policy:?} {size}");
            // A build of the changed tables agrees as well.
            tables.build();
            assert_eq!(all_buckets(&tables), all_buckets(&fresh));
        }
    }
}

#[test]
fn changes_before_the_first_build_wait_for_it() {
    let codes = random_codes(100, 4, BITS, 5);
    let mut tables = HashTables::new(Stripes::new(100), 4, BITS);
    for (id, codes) in (0..).zip(&codes) {
        tables.insert(id, codes);
    }
    assert!(all_buckets(&tables).iter().all(Vec::is_empty));
    tables.build();
    assert_eq!(all_buckets(&tables), all_buckets(&build(&codes, BITS, Cap::NONE)));
}

#[test]
fn a_row_that_no_cap_drops_finds_itself_in_every_table() {
    for policy in [BucketPolicy::Window, BucketPolicy::Reservoir, BucketPolicy::Fifo] {
        let codes = random_codes(200, 6, BITS, 7);
        let tables = build(&codes, BITS, Cap { size: 200, policy, seed: 0 });
        for (id, codes) in (0..).zip(&codes) {
            assert!(tables.codes_of(id).eq(codes.iter().copied()));
            assert!((0..6).all(|table| tables.bucket(table, codes[table]).contains(&id)));
        }
    }
}

#[test]
fn statistics_count_every_bucket_once() {
    // Table 0: buckets of 5, 2 and 1; table 1: one bucket of 8.
    let first = [0, 0, 0, 0, 0, 1, 1, 4];
    let codes: Vec<Vec<u16>> = first.iter().map(|&code| vec![code, 7]).collect();
    let mut tables = build(&codes, BITS, Cap { size: 5, policy: BucketPolicy::Reservoir, seed: 0 });
    let stats = tables.stats();
    assert_eq!((stats.buckets, stats.ids, stats.empty), (16, 16, 12));
    assert_eq!((stats.full, stats.largest), (2, 8));
    assert_eq!(stats.histogram, [1, 1, 1, 1]);
    assert_eq!(stats.mean(), 4.0);
    assert_eq!(stats.bytes, tables.bytes());
    // 64 slots of 2 codes and a mark, 2 times 9 starts, 2 times 8 ids.
    assert_eq!(stats.bytes, 64 * (2 * 2 + 1) + 18 * 4 + 16 * 4);
    assert_eq!(tables.table_stats(1).histogram, [0, 0, 0, 1]);
    tables.remove(7);
    assert_eq!(tables.table_stats(0).histogram, [0, 1, 1]);
    assert!(tables.bytes() > stats.bytes);
}
