//! How much memory a network takes, from its configuration alone.

use crate::config::{
    Dtype, HiddenConfig, NetworkConfig, OptimizerConfig, SamplerConfig, UpdateMode,
};
use crate::rows::SHARDS;
use crate::simd::LANES;
use crate::tape::BLOCK;

/// Bytes that a network takes while it trains, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Weights and biases.
    pub weights: u128,
    /// What the optimiser keeps beside them, and sums where the tasks of a step race.
    pub moments: u128,
    /// Codes of all rows, buckets, and what else is known of each row.
    pub tables: u128,
    /// Hash functions, and the mean row where rows are centred.
    pub functions: u128,
    /// Work space of the threads and of a batch.
    pub scratch: u128,
}

impl Memory {
    /// Bytes that are taken as soon as the network is made.
    #[must_use]
    pub const fn lasting(&self) -> u128 {
        self.weights + self.moments + self.tables + self.functions
    }

    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u128 {
        self.lasting() + self.scratch
    }
}

/// Bytes of an active neuron of a sample: id, slot, logit, delta, and its edge to the row, which is
/// grouped once by the block and once by the batch; buffers grow by doubling.
const ACTIVE: u128 = 72;

/// Bytes of a sample for each unit of a dense layer: outputs, slopes and deltas in the tape, and
/// outputs and deltas of the batch.
const UNIT: u128 = 5 * FLOAT;

/// Bytes of a neuron in what each thread counts votes and candidates with.
const VOTES: u128 = 14;

/// Rows that meet a batch at a time where all are computed.
const TILE: u128 = 256;

const FLOAT: u128 = size_of::<f32>() as u128;

impl NetworkConfig {
    /// What the network takes while `threads` threads train it on batches of `batch` rows. Every
    /// value must be filled in.
    ///
    /// Of what depends on the data, the features of a batch, nothing is counted: it is little.
    #[must_use]
    pub fn memory(&self, batch: usize, threads: usize) -> Memory {
        let mut memory = Memory::default();
        let (batch, threads) = (batch as u128, threads as u128);
        let (mut inputs, mut sparse) = (self.input.features, true);
        for layer in &self.hidden {
            let (own, units) = (layer.optimizer(), layer.units());
            match layer {
                HiddenConfig::Dense(layer) => {
                    memory.add_rows(self, (inputs, units), (own, layer.dtype));
                    memory.add_rows(self, (1, units), (own, Dtype::F32));
                    memory.scratch += batch * padded(units) * UNIT;
                }
                HiddenConfig::Sampled(layer) => {
                    memory.add_sampled(
                        self,
                        (units, inputs),
                        (own, layer.dtype.unwrap_or_default()),
                    );
                    let sizes = (units, inputs, sparse);
                    memory.add_sampler(&layer.sampler, sizes, (batch, threads));
                }
            }
            inputs = units;
            sparse = matches!(layer, HiddenConfig::Sampled(_));
        }
        let (output, units) = (&self.output, self.output.units);
        let stored = (output.optimizer.as_ref(), output.dtype.unwrap_or_default());
        memory.add_sampled(self, (units, inputs), stored);
        memory.add_sampler(&output.sampler, (units, inputs, sparse), (batch, threads));
        memory
    }

    /// Bytes that are taken as soon as the network is made. Every value must be filled in.
    #[must_use]
    pub fn bytes(&self) -> u128 {
        self.memory(0, 0).lasting()
    }
}

impl Memory {
    /// A layer with a row for each neuron, and a bias for each.
    fn add_sampled(
        &mut self,
        config: &NetworkConfig,
        sizes: (usize, usize),
        (own, dtype): (Option<&OptimizerConfig>, Dtype),
    ) {
        self.add_rows(config, sizes, (own, dtype));
        let numbers = padded(sizes.0);
        self.add_param(config, (sizes.0, numbers), (own, Dtype::F32), true);
    }

    /// So many rows of that many weights.
    fn add_rows(
        &mut self,
        config: &NetworkConfig,
        (rows, width): (usize, usize),
        (own, dtype): (Option<&OptimizerConfig>, Dtype),
    ) {
        self.add_param(config, (rows, rows as u128 * padded(width)), (own, dtype), false);
    }

    /// So many rows, and weights in all of them; in a column a row is a single number.
    fn add_param(
        &mut self,
        config: &NetworkConfig,
        (rows, weights): (usize, u128),
        (own, dtype): (Option<&OptimizerConfig>, Dtype),
        column: bool,
    ) {
        let (of_weight, of_row) = own.unwrap_or(&config.optimizer).moments(column);
        let racing = u128::from(config.update == UpdateMode::Hogwild);
        self.weights += weights * dtype.bytes() as u128;
        self.moments += weights * (of_weight + FLOAT * racing);
        self.moments += (rows as u128).next_multiple_of(SHARDS as u128) * of_row;
    }

    /// Tables and work space of a layer of `units` neurons, whose inputs may be sparse.
    fn add_sampler(
        &mut self,
        sampler: &SamplerConfig,
        (units, inputs, sparse): (usize, usize, bool),
        (batch, threads): (u128, u128),
    ) {
        let rows = units as u128;
        self.scratch += threads * rows * VOTES;
        let active = match sampler {
            SamplerConfig::Full {} if sparse => None,
            SamplerConfig::Full {} => {
                // Each shard has its part of the gradients of the inputs, and room for a tile: the
                // transposed weights, their gradients, logits and deltas.
                let (stride, tile) = (padded(inputs), rows.div_ceil(SHARDS as u128).min(TILE));
                let of_tile = (TILE + tile) * stride + 2 * TILE * batch;
                self.scratch += SHARDS as u128 * FLOAT * (batch * stride + of_tile);
                return;
            }
            SamplerConfig::Lsh(lsh) => {
                let tables = &lsh.tables;
                let of_tables = tables.bytes_of_tables(units);
                self.tables += of_tables;
                self.functions += tables.bytes(inputs as u128, units) - of_tables;
                let bits = tables.n_tables.unwrap_or(1) * tables.n_hashes.unwrap_or(1);
                self.scratch += batch * bits as u128 * FLOAT;
                // Every tape has its own room, and so has every thread that hashes rows.
                let rooms = batch.div_ceil(BLOCK as u128) + threads;
                self.scratch += rooms * tables.bytes_of_room(inputs as u128);
                lsh.n_active
            }
            SamplerConfig::Uniform { n_active, .. }
            | SamplerConfig::LogUniform { n_active, .. }
            | SamplerConfig::InBatch { n_active, .. }
            | SamplerConfig::Oracle { n_active, .. } => *n_active,
        };
        self.scratch += batch * active.unwrap_or(units) as u128 * ACTIVE;
    }
}

/// Floats of a row that starts at a cache line.
const fn padded(width: usize) -> u128 {
    width.next_multiple_of(LANES) as u128
}

#[cfg(test)]
mod tests {
    use crate::config::tests::plain;
    use crate::config::{
        AdamMode, Dtype, FamilyConfig, OptimizerConfig, Projection, SamplerConfig, SecondMoment,
    };

    #[test]
    fn parts_of_the_largest_show_are_those_counted_by_hand() {
        let memory = plain(135_909, 128, 670_091).resolve().memory(256, 2);
        // Biases are padded to lines once for all rows.
        let weights = (135_910 * 128 + 670_096) * 4 + 670_091 * 128 * 2;
        assert_eq!(memory.weights, weights);
        // By rule, a half for each weight and a float for each place of a row, as many in each of
        // 64 shards; the biases of the hidden units are one row, those of the outputs have floats.
        let places = 135_936 + 64 + 670_144;
        let light = (135_909 + 1 + 670_091) * 128 * 2 + places * 4;
        assert_eq!(memory.moments, light + 670_096 * 2 * 4);
        // 96 tables of 2^13 buckets: an id and a code for each row; then a length and two marks.
        assert_eq!(memory.tables, 96 * (670_091 * 6 + 8192 * 4) + 670_091 * 6);
        assert!(memory.functions < 1 << 20, "{memory:?}");
        assert!(memory.scratch < memory.total() / 20, "{memory:?}");
    }

    #[test]
    fn every_block_and_every_thread_has_room_for_its_own_transforms() {
        let scratch = |projection, batch, threads| {
            let mut config = plain(1000, 100, 2000).resolve();
            let SamplerConfig::Lsh(lsh) = &mut config.output.sampler else { unreachable!() };
            lsh.tables.family = FamilyConfig::Simhash { projection: Some(projection) };
            config.memory(batch, threads).scratch
        };
        for (batch, threads, rooms) in [(0, 0, 0), (1, 1, 2), (16, 1, 2), (17, 3, 5), (256, 2, 18)]
        {
            let room = scratch(Projection::Hadamard, batch, threads)
                - scratch(Projection::Gaussian, batch, threads);
            // 100 coordinates padded to 128, sixteen floats of each, and three times as much.
            assert_eq!(room, rooms * 4 * 128 * 64);
        }
    }

    #[test]
    fn moments_of_biases_are_floats_whatever_those_of_the_weights_are() {
        let mut config = plain(1000, 100, 2000).resolve();
        config.optimizer = OptimizerConfig::Adam {
            lr: None,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.1,
            mode: AdamMode::Lazy,
            second_moment: Some(SecondMoment::Row),
            moments: Some(Dtype::Bf16),
        };
        // The weights: a half each, then a second moment and a stamp for each place of a row, of
        // which there are as many in each of 64 shards.
        let weights = (1000 + 1 + 2000) * 112 * 2 + (1024 + 64 + 2048) * 8;
        // The biases of the outputs: two floats each, and a stamp for each place.
        let biases = 2000 * 8 + 2048 * 4;
        assert_eq!(config.memory(0, 0).moments, weights + biases);
    }
}
