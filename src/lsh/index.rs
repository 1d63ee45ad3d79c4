//! The hash index of a layer: its hash functions, its tables, and which rows have moved since
//! they were inserted.

use rayon::prelude::*;

use crate::config::TablesConfig;
use crate::optim::Param;
use crate::per_thread::PerThread;
use crate::rows::{Matrix, SHARDS, Stripes};
use crate::simd::Kernels;

use super::{Cap, HashTables, SimHash};

/// Rows that are hashed by one matrix product.
const BLOCK: usize = 64;

/// Finds the rows of a layer that have a small angle to a query.
#[derive(Debug)]
pub struct Index {
    hash: SimHash,
    tables: HashTables,
    stripes: Stripes,
    moved: Vec<bool>,
    /// Length of the row in each slot when it was hashed.
    lengths: Vec<f32>,
    scratch: PerThread<Scratch>,
}

impl Index {
    /// An index over rows of `width` floats in `stripes`; all of them wait to be inserted. Every
    /// value of `config` must be filled in.
    #[must_use]
    pub fn new(config: &TablesConfig, stripes: Stripes, width: usize) -> Self {
        let (l, k) = (config.n_tables.unwrap_or(1), config.n_hashes.unwrap_or(1));
        let hash = SimHash::new(l, k, width, config.seed.unwrap_or(0));
        let tables = HashTables::new(stripes, l, k).capped(Cap::new(config));
        let moved = vec![true; stripes.slots()];
        let lengths = vec![0.0; stripes.slots()];
        Self { hash, tables, stripes, moved, lengths, scratch: PerThread::default() }
    }

    /// The hash functions.
    #[must_use]
    pub const fn hash(&self) -> &SimHash {
        &self.hash
    }

    /// The tables.
    #[must_use]
    pub const fn tables(&self) -> &HashTables {
        &self.tables
    }

    /// Length of row `id`, its bias included, when it was hashed.
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

    /// Hashes the rows that moved and sorts all ids into their buckets again.
    pub fn refresh(&mut self, kernels: &Kernels, weights: &Param, bias: Option<&Param>) {
        if !self.moved.contains(&true) {
            return;
        }
        let Self { hash, tables, stripes, moved, lengths, scratch } = self;
        let stride = weights.weights().stride();
        scratch.ensure(|| Scratch::new(hash, stripes.per_shard(), stride));
        let weights = weights.weights();
        let biases = bias.map(|b| b.weights().shards());
        let shards = weights.shards();
        let moved = moved.par_chunks_mut(stripes.per_shard());
        let moved = moved.zip(lengths.par_chunks_mut(stripes.per_shard()));
        let tasks = tables.codes_mut().into_par_iter().zip(moved).enumerate();
        let (hash, scratch) = (&*hash, &*scratch);
        tasks.for_each(|(shard, (codes, (moved, lengths)))| {
            scratch.with(|scratch| {
                scratch.pending.clear();
                let rows = moved.iter().take(stripes.len(shard)).enumerate();
                scratch.pending.extend(rows.filter(|(_, moved)| **moved).map(|(local, _)| local));
                let bias = biases.map(|biases| biases[shard]);
                scratch.hash(kernels, hash, (shards[shard], stride), bias, codes);
                scratch.measure(kernels, (shards[shard], stride), bias, lengths);
            });
            moved.fill(false);
        });
        self.tables.build();
    }
}

/// Reusable memory of one task.
#[derive(Debug)]
struct Scratch {
    pending: Vec<usize>,
    vectors: Matrix,
    extra: Vec<f32>,
    projected: Vec<f32>,
    codes: Vec<u16>,
}

impl Scratch {
    fn new(hash: &SimHash, per_shard: usize, stride: usize) -> Self {
        Self {
            pending: Vec::with_capacity(per_shard),
            vectors: Matrix::zeros(BLOCK, stride),
            extra: Vec::with_capacity(BLOCK),
            projected: Vec::with_capacity(hash.scratch(BLOCK)),
            codes: Vec::with_capacity(BLOCK * hash.n_tables()),
        }
    }

    /// Writes the lengths of the pending rows of a shard.
    fn measure(
        &self,
        kernels: &Kernels,
        (weights, stride): (&[f32], usize),
        bias: Option<&[f32]>,
        lengths: &mut [f32],
    ) {
        for &local in &self.pending {
            let row = &weights[local * stride..][..stride];
            let bias = bias.map_or(0.0, |bias| bias[local]);
            lengths[local] = bias.mul_add(bias, (kernels.dot)(row, row)).sqrt();
        }
    }

    /// Gathers the pending rows of a shard block by block and writes their codes.
    fn hash(
        &mut self,
        kernels: &Kernels,
        hash: &SimHash,
        (weights, stride): (&[f32], usize),
        bias: Option<&[f32]>,
        codes: &mut [u16],
    ) {
        let n_tables = hash.n_tables();
        for block in self.pending.chunks(BLOCK) {
            self.extra.clear();
            for (i, &local) in block.iter().enumerate() {
                self.vectors.row_mut(i).copy_from_slice(&weights[local * stride..][..stride]);
                self.extra.push(bias.map_or(0.0, |bias| bias[local]));
            }
            self.codes.resize(block.len() * n_tables, 0);
            let vectors = (self.vectors.as_slice(), stride);
            hash.codes(kernels, vectors, &self.extra, &mut self.projected, &mut self.codes);
            for (&local, new) in block.iter().zip(self.codes.chunks(n_tables)) {
                codes[local * n_tables..][..n_tables].copy_from_slice(new);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LshConfig, OptimizerConfig};
    use crate::rows::Rows;

    const SGD: OptimizerConfig = OptimizerConfig::Sgd { lr: None, momentum: 0.0, nesterov: false };

    fn codes(index: &Index, kernels: &Kernels, query: &[f32]) -> Vec<u16> {
        let mut codes = vec![0; index.hash.n_tables()];
        index.hash.codes(kernels, (query, query.len()), &[0.0], &mut vec![], &mut codes);
        codes
    }

    #[test]
    fn a_row_finds_itself_after_every_refresh() {
        let kernels = Kernels::available().next().unwrap();
        let mut weights = Param::new(Rows::random(300, 20, 1.0, 5, 0), &SGD);
        let config = TablesConfig {
            n_tables: Some(6),
            n_hashes: Some(5),
            seed: Some(1),
            ..LshConfig::open().tables
        };
        let mut index = Index::new(&config, weights.weights().stripes(), 20);
        index.refresh(&kernels, &weights, None);
        let finds_itself = |index: &Index, weights: &Param, id: u32| {
            let codes = codes(index, &kernels, weights.weights().row(id));
            (0..6).all(|t| index.tables.bucket(t, codes[t]).contains(&id))
        };
        assert!((0..300).all(|id| finds_itself(&index, &weights, id)));

        for id in [7, 100] {
            for w in weights.weights_mut().row_mut(id) {
                *w = -*w;
            }
        }
        assert!(!finds_itself(&index, &weights, 7));
        let (shard, local) = Stripes::split(7);
        index.moved_mut()[shard as usize][local as usize] = true;
        index.refresh(&kernels, &weights, None);
        assert!(finds_itself(&index, &weights, 7));
        // Row 100 was not marked, so its old code still stands: only moved rows are hashed.
        assert!(!finds_itself(&index, &weights, 100));
    }
}
