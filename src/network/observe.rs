//! Looking at hash tables: how full they are, what they find, and what others would find.

use rayon::prelude::*;

use crate::config::{HiddenConfig, LshConfig, SamplerConfig, TablesConfig};
use crate::error::{Error, Result};
use crate::lsh::TableStats;
use crate::rng::{Rng, Stream};
use crate::sparse::Features;
use crate::tape::{BLOCK, Tape};

use super::epoch::row_numbers;
use super::exact::Exact;
use super::{Network, check_memory};

/// Pairs of which [`Network::retrieval`] says something at most: half a gigabyte.
const MOST_PAIRS: usize = 1 << 26;

/// How full the hash tables of a layer are, and what they are.
#[derive(Clone, Debug)]
pub struct LayerTables {
    /// L
    pub n_tables: usize,
    /// K
    pub n_hashes: usize,
    /// Bits of a code.
    pub bits: usize,
    /// Ids that count in a bucket.
    pub bucket_size: usize,
    /// Rows of the layer.
    pub rows: usize,
    /// How full the buckets are.
    pub stats: TableStats,
}

impl Network {
    /// The tables of a sampled layer; layers with tables are counted from 0, the output layer is
    /// the last.
    ///
    /// # Errors
    ///
    /// If there is no such layer.
    pub fn table_stats(&self, layer: usize) -> Result<LayerTables> {
        let all = self.sampled();
        let with_tables: Vec<_> = all.iter().filter_map(|l| l.sampler().index()).collect();
        let Some(index) = with_tables.get(layer) else {
            let n = with_tables.len();
            return Err(Error::Config {
                name: "layer",
                found: format!("{layer} (layers with hash tables: {n})"),
                wanted: "the number of a layer with hash tables, from 0",
            });
        };
        Ok(LayerTables {
            n_tables: index.hash().n_tables(),
            n_hashes: index.hash().n_hashes(),
            bits: index.hash().bits(),
            bucket_size: index.tables().cap(),
            rows: index.tables().rows(),
            stats: index.tables().stats(),
        })
    }

    /// Replaces the sampler of the output layer, and builds its tables.
    ///
    /// # Errors
    ///
    /// If a value is outside its range, or there is not enough memory.
    pub fn set_sampler(&mut self, mut sampler: SamplerConfig) -> Result<()> {
        let (units, seed) = (self.output.units(), self.config.seed);
        sampler.check(units)?;
        sampler.resolve(self.dense_outputs(), units, seed);
        sampler.check(units)?;
        self.check_room(&sampler)?;
        // What rows are owed is paid while the index that must know of it is there.
        self.settle();
        self.output.replace_sampler(&sampler);
        self.output.resume(self.counters.steps);
        self.config.output.sampler = sampler;
        self.output.ensure(&self.kernels);
        self.output.rehash(&self.kernels);
        Ok(())
    }

    /// For every row the place, counted from 1, of its exact best label among the candidates that
    /// tables as described would find for it, best first; 0 where they would not find it. The
    /// tables are built from the rows of the output layer and dropped afterwards.
    ///
    /// # Errors
    ///
    /// If a setting is out of its range, a row is, there is not enough memory, the arrays change
    /// during the call, or `go_on` says no.
    pub fn ranks(
        &mut self,
        tables: &TablesConfig,
        (x, rows): (&Features<'_>, Option<&[i64]>),
        go_on: impl FnMut() -> bool,
    ) -> Result<Vec<i32>> {
        let units = self.output.units();
        let all = LshConfig {
            tables: tables.clone(),
            n_active: Some(units),
            random_share: Some(0.0),
            ..LshConfig::open()
        };
        let mut sampler = SamplerConfig::Lsh(all);
        sampler.check(units)?;
        sampler.resolve(self.dense_outputs(), units, self.config.seed);
        sampler.check(units)?;
        self.check_room(&sampler)?;
        let before = self.output.replace_sampler(&sampler);
        self.output.ensure(&self.kernels);
        self.output.rehash(&self.kernels);
        let ranks = self.rank_best(x, rows, go_on);
        *self.output.sampler_mut() = before;
        ranks
    }

    /// How many numbers the last hidden layer puts out, unless they are sparse.
    fn dense_outputs(&self) -> Option<usize> {
        self.config.hidden.last().and_then(HiddenConfig::dense_units)
    }

    /// Asks for memory for a sampler of the output layer, which stands beside the one it has.
    fn check_room(&self, sampler: &SamplerConfig) -> Result<()> {
        let inputs = self.output.params().0.weights().width() as u128;
        check_memory(sampler.bytes(inputs, self.output.units()))
    }

    fn rank_best(
        &mut self,
        x: &Features<'_>,
        rows: Option<&[i64]>,
        go_on: impl FnMut() -> bool,
    ) -> Result<Vec<i32>> {
        let seed = self.config.seed;
        self.each_best(x, rows, go_on, |network, tape, best| {
            (0..tape.len).map(|i| network.output.rank(seed, i, best[i], tape) as i32).collect()
        })
    }

    /// For every row, cosines between the input of the output layer and rows of it, both as they
    /// are hashed (with what `tables` say is done to rows, and the additional coordinates), and in how many tables each of these rows shares the bucket of the input:
    /// `pairs` rows at random by `seed`, then the row with the best logit.
    ///
    /// # Errors
    ///
    /// If the output layer has no tables, a row is out of range, there are more than 2^26 pairs
    /// in all, the arrays change during the call, or `go_on` says no.
    pub fn retrieval(
        &mut self,
        (x, rows): (&Features<'_>, Option<&[i64]>),
        (pairs, seed): (usize, u64),
        go_on: impl FnMut() -> bool,
    ) -> Result<(Vec<f32>, Vec<u8>)> {
        if self.output.sampler().index().is_none() {
            let found = "a layer without hash tables".to_owned();
            let wanted = "an output layer with samplers.LSH";
            return Err(Error::Config { name: "sampler", found, wanted });
        }
        let n = rows.map_or(x.len(), <[i64]>::len);
        let found = pairs.saturating_mul(n);
        if found > MOST_PAIRS {
            return Err(Error::Range { name: "pairs", found, low: 0, high: MOST_PAIRS });
        }
        let units = self.output.units() as u32;
        let found = self.each_best(x, rows, go_on, |network, tape, best| {
            let mut of_block = vec![];
            for (i, &best) in best.iter().enumerate().take(tape.len) {
                let sample = (tape.first + i) as u64;
                let mut rng = Rng::new(seed, Stream::Probe, 1, sample);
                let ids: Vec<u32> = (0..pairs).map(|_| rng.below(units)).chain([best]).collect();
                of_block.extend(network.output.collisions(&network.kernels, i, &ids, tape));
            }
            of_block
        })?;
        Ok(found.into_iter().unzip())
    }

    /// Calls `work` with every block, hashed, and the exact best labels of its samples; what it
    /// returns is put together in order.
    fn each_best<T: Send>(
        &mut self,
        x: &Features<'_>,
        rows: Option<&[i64]>,
        go_on: impl FnMut() -> bool,
        work: impl Fn(&Self, &mut Tape, &[u32]) -> Vec<T> + Sync,
    ) -> Result<Vec<T>> {
        let rows = rows.map(|rows| row_numbers(rows, x.len())).transpose()?;
        self.ready();
        let mut room = Exact::new(1);
        let mut all = vec![];
        let (mut best, mut scores) = (vec![], vec![]);
        self.each_chunk(x, rows.as_deref(), go_on, |network, _, tapes| {
            let rows: usize = tapes.iter().map(|tape| tape.len).sum();
            best.resize(rows, -1);
            scores.resize(rows, 0.0);
            room.run(network.searched(), tapes, (&mut best, &mut scores));
            let blocks = tapes.par_iter_mut().zip(best.par_chunks(BLOCK));
            let of_blocks: Vec<Vec<T>> = blocks
                .map(|(tape, best)| {
                    let mut ids = [0; BLOCK];
                    ids.iter_mut().zip(best).for_each(|(id, &best)| *id = best as u32);
                    network.output.hash_block(&network.kernels, tape);
                    work(network, tape, &ids)
                })
                .collect();
            all.extend(of_blocks.into_iter().flatten());
        })?;
        Ok(all)
    }
}
