//! Rows that come, go and move between builds.
//!
//! A bucket that changes is copied once, and queries read the copy: they see one slice, exactly
//! what a fresh build would give. Few buckets change between builds; where many do, a build is
//! cheaper.

use std::collections::BTreeMap;

use crate::config::BucketPolicy;

use super::HashTables;

/// The buckets that changed since the last build.
#[derive(Clone, Debug)]
pub(super) struct Overlay {
    tables: Vec<BTreeMap<u16, Vec<u32>>>,
    /// Whether no bucket has changed, which is what a query asks first.
    empty: bool,
    /// Whether codes were written that no build has seen: then changes wait for it as well.
    pub(super) waiting: bool,
}

impl Overlay {
    /// Before the first build.
    pub(super) fn new(n_tables: usize) -> Self {
        Self { tables: vec![BTreeMap::new(); n_tables], empty: true, waiting: true }
    }

    /// After a build.
    pub(super) fn clear(&mut self) {
        if !self.empty {
            self.tables.iter_mut().for_each(BTreeMap::clear);
        }
        (self.empty, self.waiting) = (true, false);
    }

    /// The ids of a bucket, if it changed.
    #[inline]
    pub(super) fn changed(&self, table: usize, code: u16) -> Option<&[u32]> {
        if self.empty {
            return None;
        }
        self.tables[table].get(&code).map(Vec::as_slice)
    }

    /// Bytes of all copies.
    pub(super) fn bytes(&self) -> usize {
        let copies = self.tables.iter().flat_map(BTreeMap::values);
        copies.map(|ids| size_of::<Vec<u32>>() + size_of_val(ids.as_slice())).sum()
    }
}

impl HashTables {
    /// Puts row `id` into the buckets of `codes`, one a table, and takes it out of those it stood
    /// in. A row that was removed comes back.
    ///
    /// Where codes wait for a build ([`HashTables::codes_mut`]) the row waits with them.
    pub fn insert(&mut self, id: u32, codes: &[u16]) {
        let slot = self.stripes.slot(id) as usize;
        let stood = !std::mem::replace(&mut self.removed[slot], false);
        for (table, &code) in codes.iter().enumerate() {
            let old = std::mem::replace(self.codes.at(id, table), code);
            if self.overlay.waiting || (stood && old == code) {
                continue;
            }
            if stood {
                self.edit(table, old, |ids| ids.retain(|&other| other != id));
            }
            self.edit(table, code, |ids| ids.push(id));
        }
    }

    /// Takes row `id` out of all tables; no build brings it back, only [`HashTables::insert`].
    pub fn remove(&mut self, id: u32) {
        let slot = self.stripes.slot(id) as usize;
        if std::mem::replace(&mut self.removed[slot], true) || self.overlay.waiting {
            return;
        }
        for table in 0..self.n_tables {
            let code = *self.codes.at(id, table);
            self.edit(table, code, |ids| ids.retain(|&other| other != id));
        }
    }

    /// Changes the copy of one bucket.
    fn edit(&mut self, table: usize, code: u16, change: impl FnOnce(&mut Vec<u32>)) {
        let (stripes, cap) = (self.stripes, self.cap);
        let mut copies = std::mem::take(&mut self.overlay.tables[table]);
        let ids = copies.entry(code).or_insert_with(|| self.built(table, code).to_vec());
        change(ids);
        // As a build would have it; but in a queue what comes last shall stand last.
        if cap.policy != BucketPolicy::Fifo {
            ids.sort_unstable_by_key(|&id| stripes.slot(id));
            cap.settle(table, usize::from(code), ids);
        }
        self.overlay.tables[table] = copies;
        self.overlay.empty = false;
    }
}
