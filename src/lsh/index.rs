//! The hash index of a layer: its hash functions, its tables, and which rows have moved since
//! they were inserted.

use rayon::prelude::*;

use crate::config::TablesConfig;
use crate::optim::Param;
use crate::per_thread::PerThread;
use crate::rows::{SHARDS, Stripes};
use crate::simd::Kernels;

use super::stage::{BLOCK, Layer, Stage, Transform};
use super::{Cap, HashFamily, HashScratch, HashTables, Vector, Vectors};

/// Finds the rows of a layer that have a small angle to a query.
#[derive(Debug)]
pub struct Index {
    pub(super) config: TablesConfig,
    pub(super) hash: HashFamily,
    /// The generation of `hash`.
    pub(super) built: u64,
    /// The generation that `hash` is to have after the next refresh.
    pub(super) wanted: u64,
    pub(super) tables: HashTables,
    pub(super) stripes: Stripes,
    pub(super) transform: Transform,
    pub(super) moved: Vec<bool>,
    /// Length of the row in each slot as it was hashed.
    pub(super) lengths: Vec<f32>,
    scratch: PerThread<Scratch>,
    stages: PerThread<Stage>,
}

impl Index {
    /// An index over rows of `width` floats in `stripes`; all of them wait to be inserted. Every
    /// value of `config` must be filled in.
    #[must_use]
    pub fn new(config: &TablesConfig, stripes: Stripes, width: usize) -> Self {
        let hash = HashFamily::new(config, width, stripes.rows(), 0);
        Self {
            tables: HashTables::new(stripes, hash.n_tables(), hash.bits()).capped(Cap::new(config)),
            transform: Transform::new(config, hash.shape()),
            hash,
            built: 0,
            wanted: 0,
            stripes,
            moved: vec![true; stripes.slots()],
            lengths: vec![0.0; stripes.slots()],
            scratch: PerThread::default(),
            stages: PerThread::default(),
            config: config.clone(),
        }
    }

    /// Goes on from the index of a layer whose row `sources[id]` is row `id` here, where that names
    /// one: such rows keep their codes, and only the others and those that had moved wait to be
    /// hashed. Where the number of rows changes the functions, all wait.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn take_over(&mut self, old: Self, sources: &[Option<u32>]) {
        self.wanted = old.wanted;
        if self.hash.bits() != old.hash.bits() {
            return;
        }
        self.tables.take_over(&old.tables, sources);
        for (id, source) in (0..).zip(sources) {
            if let Some(from) = source.map(|source| old.stripes.slot(source) as usize) {
                let to = self.stripes.slot(id) as usize;
                (self.moved[to], self.lengths[to]) = (old.moved[from], old.lengths[from]);
            }
        }
        (self.hash, self.built, self.transform) = (old.hash, old.built, old.transform);
    }

    /// Says how long queries are, from the next refresh on; else they are taken to have length 1.
    pub const fn expect(&mut self, length: f32) {
        self.transform.expect(length);
    }

    /// What a query has where rows have their bias, as they are hashed.
    #[must_use]
    pub const fn bias_unit(&self) -> f32 {
        self.transform.unit()
    }

    /// The hash functions that the tables were built with.
    #[must_use]
    pub const fn hash(&self) -> &HashFamily {
        &self.hash
    }

    /// The tables.
    #[must_use]
    pub const fn tables(&self) -> &HashTables {
        &self.tables
    }

    /// Length of row `id` as it was hashed, with its additional coordinates.
    #[must_use]
    #[inline]
    pub fn length(&self, id: u32) -> f32 {
        self.lengths[self.stripes.slot(id) as usize]
    }

    /// A mark for every slot of every shard: set it when the row changes.
    #[must_use]
    pub fn moved_mut(&mut self) -> [&mut [bool]; SHARDS] {
        let slots = self.stripes.per_shard();
        let mut rest = &mut self.moved[..];
        std::array::from_fn(|_| rest.split_off_mut(..slots).unwrap_or_default())
    }

    /// The generation of the functions, after the next refresh at the latest.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.wanted
    }

    /// Asks for the functions of a `generation`: the next refresh draws them and inserts every
    /// row. Until then the tables answer by the functions they were built with.
    pub fn set_generation(&mut self, generation: u64) {
        self.wanted = generation;
        if self.built != generation {
            self.moved.fill(true);
        }
    }

    /// Asks for new functions, as [`Index::set_generation`] does.
    pub fn redraw(&mut self) {
        self.set_generation(self.wanted + 1);
    }

    /// Writes the codes of queries, which are inputs of the layer; it `has_bias` or not.
    ///
    /// With `append_bias` a query has a constant where rows have their bias (a 0 where there is none),
    /// and a 0 where rows have the coordinate that makes them equally long: so every inner product
    /// is that of the rows as they are. Nothing else is done to a query. Its length changes no
    /// code, and it is the rows that are centred: their inner products with it all change by the
    /// same amount, so their order stays.
    pub fn query_codes(
        &self,
        kernels: &Kernels,
        vectors: Vectors<'_>,
        has_bias: bool,
        scratch: &mut HashScratch,
        codes: &mut [u16],
    ) {
        let mut extras = std::mem::take(&mut scratch.extras);
        extras.clear();
        for _ in 0..vectors.len() {
            extras.extend(self.query_extras(has_bias));
        }
        self.hash.codes(kernels, vectors, &extras, scratch, codes);
        scratch.extras = extras;
    }

    /// The additional coordinates of a query.
    fn query_extras(&self, has_bias: bool) -> impl Iterator<Item = f32> {
        let unit = if has_bias { self.bias_unit() } else { 0.0 };
        let unit = self.config.append_bias.then_some(unit);
        unit.into_iter().chain(self.config.mips.then_some(0.0))
    }

    /// The cosines of a query and rows `ids`, of both as they are hashed: of the rows with what is
    /// done to them, and of both with their additional coordinates. 0 where one of them is zero.
    ///
    /// The rows are taken as they are now, but the mean row and the largest length are those of the
    /// last refresh. This is for looking at tables, not for training: each row is gathered anew.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[must_use]
    pub fn cosines(
        &self,
        kernels: &Kernels,
        (weights, bias): (&Param<'_>, Option<&Param<'_>>),
        query: Vector<'_>,
        ids: &[u32],
    ) -> Vec<f32> {
        let width = self.hash.shape().width;
        let extras: Vec<f32> = self.query_extras(bias.is_some()).collect();
        let query: Vec<(usize, f32)> = query.present(width, &extras).collect();
        let square = |x: f32| f64::from(x) * f64::from(x);
        let length = query.iter().map(|&(_, x)| square(x)).sum::<f64>().sqrt();
        let layer = (weights.weights(), bias.map(Param::weights));
        let mut stage = Stage::new(self.hash.shape(), 1);
        let cosine = |&id: &u32| {
            let (shard, local) = self.stripes.split(id);
            let places = (shard as usize, &[local as usize][..]);
            let block = stage.load(kernels, &self.transform, layer, places);
            let row = block.vectors.get(0, width).dense;
            let at = |i: usize| row.get(i).unwrap_or_else(|| &block.extras[i - width]);
            let dot: f64 = query.iter().map(|&(i, x)| f64::from(x) * f64::from(*at(i))).sum();
            let row_length: f64 = row.iter().chain(block.extras).map(|&x| square(x)).sum();
            let cosine = dot / (length * row_length.sqrt());
            if cosine.is_finite() { cosine.clamp(-1.0, 1.0) as f32 } else { 0.0 }
        };
        ids.iter().map(cosine).collect()
    }

    /// Hashes the rows that moved and sorts all ids into their buckets again.
    ///
    /// What is done to a row may depend on all others (its mean, their largest length); then all
    /// are hashed when one moved.
    pub fn refresh(&mut self, kernels: &Kernels, weights: &Param<'_>, bias: Option<&Param<'_>>) {
        if !self.moved.contains(&true) && !self.tables.is_waiting() {
            return;
        }
        if self.built != self.wanted {
            let (width, rows) = (self.hash.shape().width, self.stripes.rows());
            self.built = self.wanted;
            self.hash = HashFamily::new(&self.config, width, rows, self.built);
        }
        let Self { hash, tables, stripes, transform, moved, lengths, scratch, stages, .. } = self;
        stages.ensure(|| Stage::new(hash.shape(), BLOCK));
        scratch.ensure(|| Scratch::new(hash, stripes.per_shard()));
        stages.all_mut().for_each(|stage| stage.make_room(weights.weights()));
        let layer = (weights.weights(), bias.map(Param::weights));
        if transform.balance(kernels, layer) {
            moved.fill(true);
        }
        if transform.depends_on_all() {
            moved.fill(true);
            transform.fit(kernels, layer, stages);
        }
        let moved = moved.par_chunks_mut(stripes.per_shard());
        let moved = moved.zip(lengths.par_chunks_mut(stripes.per_shard()));
        let tasks = tables.codes_mut().into_par_iter().zip(moved).enumerate();
        let (hash, transform) = (&*hash, &*transform);
        tasks.for_each(|(shard, (mut codes, (moved, lengths)))| {
            scratch.with(|Scratch { pending, hashing, .. }| {
                pending.clear();
                let rows = moved.iter().take(stripes.len(shard)).enumerate();
                pending.extend(rows.filter(|(_, moved)| **moved).map(|(local, _)| local));
                stages.with(|stage| {
                    for places in pending.chunks(stage.rows()) {
                        let block = stage.load(kernels, transform, layer, (shard, places));
                        let rows = (block.vectors, block.extras);
                        hash.store(kernels, rows, hashing, places, &mut codes);
                        for (&local, &length) in places.iter().zip(block.lengths) {
                            lengths[local] = length;
                        }
                    }
                });
            });
            moved.fill(false);
        });
        self.tables.build();
    }

    /// Inserts row `id` again, by its weights as they are: queries find it at its new place at once,
    /// and a row that was removed comes back. Before the first [`Index::refresh`] it waits for
    /// that.
    ///
    /// The functions are those of the last refresh, and so are the mean row and the largest length
    /// where rows are centred or made equally long. The row counts as moved, so that the next
    /// refresh leaves everything as built fresh. With 670,091 rows in 96 tables a build takes no
    /// longer than inserting a few hundred rows all of whose codes changed: this is for few rows, and
    /// a refresh, before which training moves many more, does not use it.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn insert(
        &mut self,
        kernels: &Kernels,
        weights: &Param<'_>,
        bias: Option<&Param<'_>>,
        id: u32,
    ) {
        let Self { hash, tables, stripes, transform, moved, lengths, scratch, stages, .. } = self;
        stages.ensure(|| Stage::new(hash.shape(), BLOCK));
        scratch.ensure(|| Scratch::new(hash, stripes.per_shard()));
        let layer = (weights.weights(), bias.map(Param::weights));
        let slot = stripes.slot(id) as usize;
        scratch.with(|room| {
            lengths[slot] = room.hash_row(kernels, (hash, transform, stages), layer, id);
            tables.insert(id, &room.codes);
        });
        moved[slot] = true;
    }

    /// Takes row `id` out of all tables: no query finds it, and no refresh brings it back, until it
    /// is inserted again. Before the first [`Index::refresh`] this waits for that. Models that are
    /// saved and loaded do not remember it.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn remove(&mut self, id: u32) {
        self.tables.remove(id);
        self.moved[self.stripes.slot(id) as usize] = true;
    }

    /// How far the rows have drifted from their buckets: of the code bits of a fixed sample of up
    /// to 256 rows, the share that differs from those they were inserted by. 0.5 is as far as
    /// random codes are apart.
    pub fn drift(
        &mut self,
        kernels: &Kernels,
        weights: &Param<'_>,
        bias: Option<&Param<'_>>,
    ) -> f64 {
        let Self { hash, tables, stripes, transform, scratch, stages, .. } = self;
        stages.ensure(|| Stage::new(hash.shape(), BLOCK));
        scratch.ensure(|| Scratch::new(hash, stripes.per_shard()));
        let layer = (weights.weights(), bias.map(Param::weights));
        let (n_tables, n) = (hash.n_tables(), DRIFTING.min(stripes.rows()));
        let mut differing = 0;
        scratch.with(|room| {
            for i in 0..n {
                // Evenly spread, since neighbours may be alike.
                let id = (i * stripes.rows() / n) as u32;
                room.hash_row(kernels, (hash, transform, stages), layer, id);
                let both = room.codes.iter().zip(tables.codes_of(id));
                differing += both.map(|(new, old)| (*new ^ old).count_ones()).sum::<u32>();
            }
        });
        f64::from(differing) / (n * n_tables * hash.bits()) as f64
    }
}

/// Rows that are hashed to see how far they have drifted.
const DRIFTING: usize = 256;

/// Reusable memory of one task.
#[derive(Debug)]
struct Scratch {
    pending: Vec<usize>,
    hashing: HashScratch,
    codes: Vec<u16>,
}

impl Scratch {
    fn new(hash: &HashFamily, per_shard: usize) -> Self {
        Self {
            pending: Vec::with_capacity(per_shard),
            hashing: hash.scratch(BLOCK),
            codes: Vec::with_capacity(hash.n_tables()),
        }
    }

    /// Leaves the codes of one row in `codes`, and returns its length.
    fn hash_row(
        &mut self,
        kernels: &Kernels,
        (hash, transform, stages): (&HashFamily, &Transform, &PerThread<Stage>),
        layer: Layer<'_>,
        id: u32,
    ) -> f32 {
        let Self { hashing, codes, .. } = self;
        let (shard, local) = layer.0.stripes().split(id);
        codes.resize(hash.n_tables(), 0);
        stages.with(|stage| {
            let places = (shard as usize, &[local as usize][..]);
            let block = stage.load(kernels, transform, layer, places);
            hash.codes(kernels, block.vectors, block.extras, hashing, codes);
            block.lengths.first().copied().unwrap_or_default()
        })
    }
}
