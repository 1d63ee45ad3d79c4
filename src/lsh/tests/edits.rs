//! Rows that are inserted and removed one by one, between builds.

use super::*;
use crate::config::BucketPolicy;

const ROWS: usize = 300;

/// Every family and option, each with one of the ways of keeping a bucket short.
fn cases() -> impl Iterator<Item = TablesConfig> {
    let policies = [BucketPolicy::Window, BucketPolicy::Reservoir, BucketPolicy::Fifo];
    let cases = all_options().zip(policies.into_iter().cycle());
    cases.map(|(config, bucket_policy)| TablesConfig { bucket_policy, ..config })
}

fn buckets(index: &Index) -> Vec<Vec<u32>> {
    let tables = index.tables();
    let all = (0..tables.n_tables()).flat_map(|t| (0..tables.n_buckets()).map(move |c| (t, c)));
    all.map(|(table, code)| tables.bucket(table, code as u16).to_vec()).collect()
}

/// In how many buckets a row stands.
fn stands(index: &Index, id: u32) -> usize {
    buckets(index).iter().filter(|ids| ids.contains(&id)).count()
}

fn built(config: &TablesConfig, (weights, bias): (&Param<'_>, &Param<'_>)) -> Index {
    let mut index = Index::new(config, weights.weights().stripes(), WIDTH);
    index.refresh(&kernels(), weights, Some(bias));
    index
}

fn turn(weights: &mut Param<'_>, id: u32) {
    weights.weights_mut().row_mut(id).iter_mut().for_each(|w| *w = -*w);
}

#[test]
fn a_row_that_changed_is_found_at_its_new_place_at_once() {
    for config in cases() {
        let (mut weights, bias) = layer(ROWS);
        let mut index = built(&config, (&weights, &bias));
        turn(&mut weights, 7);
        index.insert(&kernels(), &weights, Some(&bias), 7);
        assert_eq!(stands(&index, 7), TABLES, "{config:?}");
        let fresh = built(&config, (&weights, &bias));
        if config.center || config.mips {
            // The mean row and the largest length are those of the last refresh.
            let differ = index.tables().codes_of(7).zip(fresh.tables().codes_of(7));
            assert!(differ.filter(|(a, b)| a != b).count() <= TABLES / 2, "{config:?}");
        } else {
            assert!(index.tables().codes_of(7).eq(fresh.tables().codes_of(7)), "{config:?}");
            assert_eq!(index.length(7).to_bits(), fresh.length(7).to_bits());
            let sorted = |index: &Index| {
                let mut all = buckets(index);
                for ids in &mut all {
                    ids.sort_unstable();
                }
                all
            };
            assert_eq!(sorted(&index), sorted(&fresh), "{config:?}");
        }
        index.refresh(&kernels(), &weights, Some(&bias));
        assert_eq!(buckets(&index), buckets(&fresh), "{config:?}");
    }
}

#[test]
fn a_removed_row_is_not_found_until_it_is_inserted_again() {
    for config in cases() {
        let (mut weights, bias) = layer(ROWS);
        let mut index = built(&config, (&weights, &bias));
        index.remove(100);
        assert_eq!(stands(&index, 100), 0);
        turn(&mut weights, 100);
        index.refresh(&kernels(), &weights, Some(&bias));
        assert_eq!(stands(&index, 100), 0);
        index.redraw();
        index.refresh(&kernels(), &weights, Some(&bias));
        assert_eq!(stands(&index, 100), 0);
        index.insert(&kernels(), &weights, Some(&bias), 100);
        assert_eq!(stands(&index, 100), TABLES);
        index.refresh(&kernels(), &weights, Some(&bias));
        let mut fresh = Index::new(&config, weights.weights().stripes(), WIDTH);
        fresh.set_generation(1);
        fresh.refresh(&kernels(), &weights, Some(&bias));
        assert_eq!(buckets(&index), buckets(&fresh), "{config:?}");
    }
}

#[test]
fn what_is_removed_and_inserted_before_the_first_refresh_waits_for_it() {
    for config in families() {
        let (weights, bias) = layer(ROWS);
        let mut index = Index::new(&config, weights.weights().stripes(), WIDTH);
        index.remove(3);
        index.remove(8);
        index.insert(&kernels(), &weights, Some(&bias), 8);
        index.refresh(&kernels(), &weights, Some(&bias));
        assert_eq!([3, 8, 9].map(|id| stands(&index, id)), [0, TABLES, TABLES]);
    }
}
