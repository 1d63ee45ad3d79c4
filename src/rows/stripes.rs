//! Where the rows of a layer live.

/// How many shards the rows of a layer are spread over.
pub const SHARDS: usize = 64;

/// Where the rows of a layer live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripes {
    rows: usize,
    per_shard: usize,
}

impl Stripes {
    /// Spreads `rows` rows.
    #[must_use]
    pub const fn new(rows: usize) -> Self {
        Self { rows, per_shard: rows.div_ceil(SHARDS) }
    }

    /// Number of rows.
    #[must_use]
    pub const fn rows(self) -> usize {
        self.rows
    }

    /// Places in one shard; the last places of some shards stay empty.
    #[must_use]
    pub const fn per_shard(self) -> usize {
        self.per_shard
    }

    /// Places in all shards.
    #[must_use]
    pub const fn slots(self) -> usize {
        self.per_shard * SHARDS
    }

    /// Place of row `id` in memory.
    #[must_use]
    #[inline]
    pub const fn slot(self, id: u32) -> u32 {
        let (shard, local) = Self::split(id);
        shard * self.per_shard as u32 + local
    }

    /// Shard of row `id`, and its place there.
    #[must_use]
    #[inline]
    pub const fn split(id: u32) -> (u32, u32) {
        (id % SHARDS as u32, id / SHARDS as u32)
    }

    /// Row at place `local` of `shard`, if there is one.
    #[must_use]
    #[inline]
    pub const fn id(self, shard: usize, local: usize) -> Option<u32> {
        let id = local * SHARDS + shard;
        if id < self.rows { Some(id as u32) } else { None }
    }

    /// Number of rows in `shard`; they fill its first places.
    #[must_use]
    pub const fn len(self, shard: usize) -> usize {
        (self.rows + SHARDS - 1 - shard) / SHARDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_one_slot_of_its_own() {
        for rows in [1, 2, 63, 64, 65, 1000] {
            let stripes = Stripes::new(rows);
            let mut slots: Vec<_> = (0..rows as u32).map(|id| stripes.slot(id)).collect();
            slots.sort_unstable();
            slots.dedup();
            assert_eq!(slots.len(), rows);
            assert!(slots.iter().all(|&slot| (slot as usize) < stripes.slots()));
            for id in 0..rows as u32 {
                let (shard, local) = Stripes::split(id);
                assert_eq!(stripes.id(shard as usize, local as usize), Some(id));
            }
            assert_eq!((0..SHARDS).map(|shard| stripes.len(shard)).sum::<usize>(), rows);
        }
    }
}
