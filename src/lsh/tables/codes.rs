//! The stored codes of all rows: shard after shard, in each table after table.
//!
//! A build reads the codes of one table, which lie together; a shard is written by one task.

use rayon::prelude::*;

use crate::rows::{SHARDS, Stripes};
use crate::simd::LANES;

/// The codes of all rows.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    stripes: Stripes,
    n_tables: usize,
    all: Vec<u16>,
}

/// The codes of the rows of one shard, to be written.
#[derive(Debug)]
pub struct ShardCodes<'a> {
    per_shard: usize,
    codes: &'a mut [u16],
}

impl Codes {
    pub(super) fn new(stripes: Stripes, n_tables: usize) -> Self {
        Self { stripes, n_tables, all: vec![0; stripes.slots() * n_tables] }
    }

    /// Takes over the codes of other rows: row `id` those of row `sources[id]`, where that names one.
    pub(super) fn take_over(&mut self, other: &Self, sources: &[Option<u32>]) {
        let (stripes, n_tables) = (self.stripes, self.n_tables);
        let own = self.all.par_chunks_mut((stripes.per_shard() * n_tables).max(1));
        own.enumerate().for_each(|(shard, codes)| {
            for (table, column) in codes.chunks_exact_mut(stripes.per_shard()).enumerate() {
                let sources = stripes.ids(shard).map_while(|id| sources.get(id as usize));
                for (code, source) in column.iter_mut().zip(sources) {
                    if let Some((from, local)) = source.map(|id| other.stripes.split(id)) {
                        *code = other.column(from as usize, table)[local as usize];
                    }
                }
            }
        });
    }

    /// The codes of every shard.
    pub(super) fn shards_mut(&mut self) -> [ShardCodes<'_>; SHARDS] {
        let per_shard = self.stripes.per_shard();
        let mut rest = &mut self.all[..];
        std::array::from_fn(|_| {
            let codes = rest.split_off_mut(..per_shard * self.n_tables).unwrap_or_default();
            ShardCodes { per_shard, codes }
        })
    }

    /// The codes in one table of the rows of `shard`, by their places.
    pub(super) fn column(&self, shard: usize, table: usize) -> &[u16] {
        let first = (shard * self.n_tables + table) * self.stripes.per_shard();
        &self.all[first..][..self.stripes.len(shard)]
    }

    /// The codes of row `id`, one a table.
    pub(super) fn of(&self, id: u32) -> impl Iterator<Item = u16> {
        let (shard, local) = self.stripes.split(id);
        (0..self.n_tables).map(move |table| self.column(shard as usize, table)[local as usize])
    }

    /// The codes of one table, in the order of the ids.
    pub(super) fn in_table(&self, table: usize) -> impl Iterator<Item = u16> {
        (0..self.stripes.rows() as u32).map(move |id| {
            let (shard, local) = self.stripes.split(id);
            self.column(shard as usize, table)[local as usize]
        })
    }

    /// Takes the codes of every table, each in the order of the ids.
    pub(super) fn assign(&mut self, codes: &[u16]) {
        for (table, codes) in codes.chunks(self.stripes.rows().max(1)).enumerate() {
            for (id, &code) in (0..).zip(codes) {
                *self.at(id, table) = code;
            }
        }
    }

    /// The code of row `id` in one table.
    pub(super) fn at(&mut self, id: u32, table: usize) -> &mut u16 {
        let (shard, local) = self.stripes.split(id);
        let column = shard as usize * self.n_tables + table;
        &mut self.all[column * self.stripes.per_shard() + local as usize]
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.all.as_slice())
    }
}

impl ShardCodes<'_> {
    /// Stores the codes of the rows at `places`: of each row its codes, one a table.
    ///
    /// # Panics
    ///
    /// If there is no such place, or a row has no code for every table.
    pub fn put(&mut self, places: &[usize], codes: &[u16]) {
        let Some(n_tables) = codes.len().checked_div(places.len()) else { return };
        for (table, column) in self.codes.chunks_exact_mut(self.per_shard).enumerate() {
            // Table by table, so that rows side by side write to one line.
            for (&place, codes) in places.iter().zip(codes.chunks_exact(n_tables)) {
                column[place] = codes[table];
            }
        }
    }

    /// Stores the codes of up to [`LANES`] rows, those at the first of the ascending `places`: of
    /// each table those of all rows, side by side.
    pub(in crate::lsh) fn put_lanes(&mut self, places: &[usize], codes: &[[u16; LANES]]) {
        let places = &places[..places.len().min(LANES)];
        let together = places.len() == LANES && places[LANES - 1] - places[0] == LANES - 1;
        for (column, codes) in self.codes.chunks_exact_mut(self.per_shard).zip(codes) {
            if together && let Some(column) = column[places[0]..].first_chunk_mut() {
                *column = *codes;
                continue;
            }
            for (&place, &code) in places.iter().zip(codes) {
                column[place] = code;
            }
        }
    }
}
