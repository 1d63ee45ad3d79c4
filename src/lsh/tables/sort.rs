//! Counting sort of the rows into the buckets of one table.
//!
//! One table at a time, so that what is written at random stays in the cache of a core: a counter
//! for each bucket, and the line at which each bucket stands.

use crate::rows::{SHARDS, Stripes};

use super::codes::Codes;

/// Fills one table: `starts` of all buckets and the end of the last, and `ids` in the order of the
/// rows in memory. `removed` marks slots to be left out; it is empty where none are.
pub(super) fn sort(
    (codes, table): (&Codes, usize),
    (stripes, removed): (Stripes, &[bool]),
    starts: &mut [u32],
    ids: &mut [u32],
) {
    starts.fill(0);
    // Counts stand two places on: sums then leave the start of a bucket one place on, where it
    // serves as a cursor, and ends as the start of the next bucket, which is what is wanted there.
    each(codes, table, (stripes, removed), |code, _| {
        if let Some(count) = starts.get_mut(code as usize + 2) {
            *count += 1;
        }
    });
    let mut total = 0;
    for start in starts.iter_mut() {
        total += *start;
        *start = total;
    }
    each(codes, table, (stripes, removed), |code, id| {
        let at = &mut starts[code as usize + 1];
        ids[*at as usize] = id;
        *at += 1;
    });
}

/// Calls `work` with the code and the id of every row that is not removed.
#[inline]
fn each(
    codes: &Codes,
    table: usize,
    (stripes, removed): (Stripes, &[bool]),
    mut work: impl FnMut(u16, u32),
) {
    for shard in 0..SHARDS {
        let rows = codes.column(shard, table).iter().zip(stripes.ids(shard));
        if removed.is_empty() {
            rows.for_each(|(&code, id)| work(code, id));
        } else {
            let removed = &removed[shard * stripes.per_shard()..];
            let rows = rows.zip(removed).filter(|(_, removed)| !**removed);
            rows.for_each(|((&code, id), _)| work(code, id));
        }
    }
}
