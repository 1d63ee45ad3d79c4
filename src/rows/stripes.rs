//! Where the rows of a layer live.

/// How many shards the rows of a layer are spread over.
pub const SHARDS: usize = 64;

/// Where the rows of a layer live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripes {
    rows: usize,
    per_shard: usize,
    /// Whether a shard holds rows whose ids follow each other, and not every 64th.
    in_order: bool,
}

impl Stripes {
    /// Spreads `rows` rows, neighbours over different shards.
    #[must_use]
    pub const fn new(rows: usize) -> Self {
        Self { rows, per_shard: rows.div_ceil(SHARDS), in_order: false }
    }

    /// Leaves `rows` rows in the order of their ids, as memory has them that others own: row `id` is
    /// in slot `id`. Popular rows may then share a shard, so a step may take longer on many threads.
    #[must_use]
    pub const fn in_order(rows: usize) -> Self {
        Self { rows, per_shard: rows.div_ceil(SHARDS), in_order: true }
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
        if self.in_order {
            return id;
        }
        let (shard, local) = self.split(id);
        shard * self.per_shard as u32 + local
    }

    /// Shard of row `id`, and its place there.
    #[must_use]
    #[inline]
    pub const fn split(self, id: u32) -> (u32, u32) {
        if self.in_order {
            let per_shard = self.per_shard as u32;
            (id / per_shard, id % per_shard)
        } else {
            (id % SHARDS as u32, id / SHARDS as u32)
        }
    }

    /// The rows of `shard`, by their places.
    #[inline]
    pub fn ids(self, shard: usize) -> impl Iterator<Item = u32> {
        let (first, step) =
            if self.in_order { (shard * self.per_shard, 1) } else { (shard, SHARDS) };
        (first as u32..).step_by(step).take(self.len(shard))
    }

    /// Row at place `local` of `shard`, if there is one.
    #[must_use]
    #[inline]
    pub const fn id(self, shard: usize, local: usize) -> Option<u32> {
        let id =
            if self.in_order { shard * self.per_shard + local } else { local * SHARDS + shard };
        if id < self.rows && local < self.per_shard { Some(id as u32) } else { None }
    }

    /// Number of rows in `shard`; they fill its first places.
    #[must_use]
    pub const fn len(self, shard: usize) -> usize {
        if !self.in_order {
            return (self.rows + SHARDS - 1 - shard) / SHARDS;
        }
        let left = self.rows.saturating_sub(shard * self.per_shard);
        if left < self.per_shard { left } else { self.per_shard }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_one_slot_of_its_own() {
        let sizes = [1, 2, 63, 64, 65, 1000];
        for stripes in sizes.map(Stripes::new).into_iter().chain(sizes.map(Stripes::in_order)) {
            let rows = stripes.rows();
            let mut slots: Vec<_> = (0..rows as u32).map(|id| stripes.slot(id)).collect();
            slots.sort_unstable();
            slots.dedup();
            assert_eq!(slots.len(), rows);
            assert!(slots.iter().all(|&slot| (slot as usize) < stripes.slots()));
            for id in 0..rows as u32 {
                let (shard, local) = stripes.split(id);
                assert_eq!(stripes.id(shard as usize, local as usize), Some(id));
                assert_eq!(stripes.ids(shard as usize).nth(local as usize), Some(id));
                let slot = shard as usize * stripes.per_shard() + local as usize;
                assert_eq!(stripes.slot(id) as usize, slot);
            }
            assert_eq!((0..SHARDS).map(|shard| stripes.len(shard)).sum::<usize>(), rows);
            assert_eq!((0..SHARDS).map(|shard| stripes.ids(shard).count()).sum::<usize>(), rows);
        }
    }
}
