//! The hash tables of a layer, and when its rows are inserted again.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::rows::SHARDS;
use crate::simd::Line;

use super::check::{ensure, share};

/// The hash tables of a layer.
#[expect(clippy::struct_excessive_bools, reason = "four options that are independent")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TablesConfig {
    /// What turns a vector into codes.
    pub family: FamilyConfig,
    /// L, the number of tables.
    pub n_tables: Option<usize>,
    /// K, the hash functions that make up a table's code.
    pub n_hashes: Option<usize>,
    /// The most ids that count in one bucket.
    pub bucket_size: Option<usize>,
    /// Which ids count in a bucket that holds more.
    pub bucket_policy: BucketPolicy,
    /// Seed of the functions; the network's when not given.
    pub seed: Option<u64>,
    /// Whether the mean row is subtracted from the rows.
    pub center: bool,
    /// Whether vectors are scaled to norm 1, the additional coordinate included.
    pub normalize: bool,
    /// Whether rows carry their bias as one more coordinate, and queries what it is multiplied with.
    pub append_bias: bool,
    /// Whether rows are brought to one length by one more coordinate, in which queries are 0.
    pub mips: bool,
}

/// A family of hash functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FamilyConfig {
    /// Signs of random projections.
    Simhash {
        /// How the projections are drawn; by rule when not given.
        projection: Option<Projection>,
    },
    /// Winner take all: which of a few random coordinates is the largest.
    Wta {
        /// Coordinates that are compared, a power of two.
        bin_size: usize,
    },
    /// The same for sparse vectors, with bins shared by permutations and empty ones filled.
    Dwta {
        /// Coordinates that are compared, a power of two.
        bin_size: usize,
    },
    /// One-permutation `MinHash` of the set of the largest coordinates, empty bins filled.
    Doph {
        /// Coordinates in the set.
        top: usize,
    },
}

/// How the entries of random projections are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Projection {
    /// Standard normal.
    Gaussian,
    /// +1 or -1.
    Rademacher,
    /// +1 or -1 on a random third of the coordinates, 0 elsewhere.
    Sparse,
    /// By fast Hadamard transforms between random signs: nearly normal, and much faster.
    Hadamard,
}

/// Which ids count in a bucket that holds more than `bucket_size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BucketPolicy {
    /// All are kept, and a query reads a window that starts at a random place and may go on at the
    /// front: each is equally likely.
    Window,
    /// A uniform sample is kept when the tables are built.
    Reservoir,
    /// Those inserted last are kept.
    Fifo,
}

/// When moved rows are inserted again, and when new functions are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RebuildConfig {
    /// Steps to the first time.
    pub every: Option<u64>,
    /// Each pause is this many times the one before.
    pub growth: Option<f32>,
    /// Share of the bits of a sample of rows that must have changed; without it, none need have.
    pub drift: Option<f32>,
    /// New functions are drawn every so many times; never when not given.
    pub redraw: Option<u64>,
}

impl TablesConfig {
    /// Checks every value that is given.
    pub(super) fn check(&self) -> Result<()> {
        let (l, k) = (self.n_tables.unwrap_or(1), self.n_hashes.unwrap_or(1));
        // Votes are counted in bytes.
        ensure((1..=255).contains(&l), "tables.n_tables", l, "from 1 to 255")?;
        ensure((1..=16).contains(&k), "tables.n_hashes", k, "from 1 to 16")?;
        let cap = self.bucket_size.unwrap_or(1);
        ensure(cap > 0, "tables.bucket_size", cap, "at least 1")?;
        match self.family {
            FamilyConfig::Simhash { .. } => Ok(()),
            FamilyConfig::Wta { bin_size: m } | FamilyConfig::Dwta { bin_size: m } => {
                let fine = m.is_power_of_two() && (2..=256).contains(&m);
                ensure(fine, "tables.bin_size", m, "a power of two from 2 to 256")
            }
            FamilyConfig::Doph { top } => ensure(top > 0, "tables.top", top, "at least 1"),
        }
    }

    /// Fills in what is open for a layer of `units` rows, whose inputs are `dense` and so many or
    /// else sparse.
    pub(super) fn resolve(&mut self, dense: Option<usize>, units: usize, seed: u64) {
        if let FamilyConfig::Simhash { projection } = &mut self.family {
            projection.get_or_insert(Projection::by_rule(dense));
        }
        let k = *self.n_hashes.get_or_insert(self.family.hashes(units));
        self.n_tables.get_or_insert(TABLES);
        let expected = self.family.rows_in_bucket(k, units) as usize;
        self.bucket_size.get_or_insert(4 * expected.max(32));
        self.seed.get_or_insert(seed);
    }
}

impl TablesConfig {
    /// Bytes that the tables over `units` rows of `inputs` coordinates and their hash functions
    /// take at least. Every value must be filled in.
    pub(crate) fn bytes(&self, inputs: u128, units: usize) -> u128 {
        let (l, k) = (self.n_tables.unwrap_or(1), self.n_hashes.unwrap_or(1));
        let (functions, float) = ((l * k) as u128, size_of::<f32>() as u128);
        let dimension = inputs + u128::from(self.append_bias) + u128::from(self.mips);
        let of_functions = match self.family {
            FamilyConfig::Simhash { projection: Some(Projection::Hadamard) } => {
                let n = transformed(inputs);
                let signs = n * (1 + 2 * functions.div_ceil(n));
                (signs + (dimension - inputs) * functions) * float
            }
            FamilyConfig::Simhash { .. } => dimension * functions * float,
            FamilyConfig::Wta { bin_size } => {
                (dimension + functions * dimension.min(bin_size as u128)) * float
            }
            FamilyConfig::Dwta { bin_size } => {
                let permutations = (functions * bin_size as u128).div_ceil(dimension);
                dimension * (1 + permutations) * float
            }
            FamilyConfig::Doph { .. } => 0,
        };
        // The mean row, and a sum in twice the precision for every shard.
        let of_mean = u128::from(self.center) * (inputs + 1) * (2 * SHARDS as u128 + 1) * float;
        of_functions + of_mean + self.bytes_of_tables(units)
    }

    /// Bytes of the room in which a block of inputs, or one of rows, is hashed: little, unless
    /// sixteen padded vectors are transformed, with three times as much to work in.
    pub(crate) fn bytes_of_room(&self, inputs: u128) -> u128 {
        match self.family {
            FamilyConfig::Simhash { projection: Some(Projection::Hadamard) } => {
                4 * transformed(inputs) * size_of::<Line>() as u128
            }
            _ => 0,
        }
    }

    /// Bytes of the tables alone.
    pub(crate) fn bytes_of_tables(&self, units: usize) -> u128 {
        let (l, k) = (self.n_tables.unwrap_or(1) as u128, self.n_hashes.unwrap_or(1));
        let (rows, buckets) = (units as u128, 1 << self.family.bits(k, units));
        // An id and a code for each row and table, and where each bucket begins; of each row its
        // length, whether it has moved, and whether it was removed.
        l * (rows * 6 + buckets * size_of::<f32>() as u128) + rows * 6
    }
}

/// Coordinates of the vectors that are transformed in place of those with so many.
const fn transformed(inputs: u128) -> u128 {
    let n = inputs.next_power_of_two();
    if n < 64 { 64 } else { n }
}

impl RebuildConfig {
    /// Checks every value that is given.
    pub(super) fn check(&self) -> Result<()> {
        let every = self.every.unwrap_or(1);
        ensure(every > 0, "rebuild.every", every, "at least 1 step")?;
        let growth = self.growth.unwrap_or(1.0);
        let fine = growth.is_finite() && growth >= 1.0;
        ensure(fine, "rebuild.growth", growth, "at least 1")?;
        share("rebuild.drift", self.drift.unwrap_or(0.0))?;
        ensure(self.redraw != Some(0), "rebuild.redraw", 0, "at least 1")
    }

    /// Inserting all rows costs about as much as training on `units / 100` samples, or `units / 25,000`
    /// batches; this keeps it below a tenth.
    pub(super) fn resolve(&mut self, units: usize) {
        self.every.get_or_insert((units as u64 / 2000).clamp(8, 1000));
        self.growth.get_or_insert(1.1);
    }
}

impl Projection {
    /// Transforms go through all coordinates of a vector, so that they suit dense ones. Sixteen
    /// vectors four times over should stay in the cache of a core.
    fn by_rule(dense: Option<usize>) -> Self {
        if dense.is_some_and(|width| width <= WIDEST) { Self::Hadamard } else { Self::Gaussian }
    }
}

/// The widest vectors that are transformed by rule: 1 MiB.
const WIDEST: usize = 4096;

/// Tables trade recall against the time to count their candidates.
const TABLES: usize = 96;

impl FamilyConfig {
    /// K by rule: as many functions as leave about a hundred rows in a bucket.
    fn hashes(&self, units: usize) -> usize {
        let k = bits(units) as f64 / self.bits_of_one();
        let most = if matches!(self, Self::Doph { .. }) { MOST_MIN_HASHES } else { MOST_BITS };
        (k.round() as usize).clamp(1, most)
    }

    /// Rows of `units` that are expected in a bucket of `k` hash functions.
    fn rows_in_bucket(&self, k: usize, units: usize) -> f64 {
        let bits = (k as f64 * self.bits_of_one()).min(MOST_BITS as f64);
        units as f64 * (-bits).exp2()
    }

    /// The log of the number of parts that one hash function divides the rows into.
    fn bits_of_one(&self) -> f64 {
        match self {
            Self::Simhash { .. } => 1.0,
            Self::Wta { bin_size } | Self::Dwta { bin_size } => f64::from(bin_size.ilog2()),
            Self::Doph { .. } => MIN_HASH,
        }
    }

    /// Bits of the code that `k` hash functions make, for a layer of `units` rows.
    pub(crate) fn bits(&self, k: usize, units: usize) -> usize {
        match self {
            Self::Simhash { .. } => k,
            Self::Wta { bin_size } | Self::Dwta { bin_size } => {
                (k * bin_size.ilog2() as usize).min(MOST_BITS)
            }
            // Rows that share no value should add little to the hundred that do: about twelve.
            Self::Doph { .. } => (bits(units) + 3).min(MOST_BITS),
        }
    }
}

/// The most bits of a code.
const MOST_BITS: usize = 16;

/// Two sets of 30 out of 200 coordinates share one value in twelve by chance.
const MIN_HASH: f64 = 3.6;

/// Near rows share a value in a few: with more than three functions few are found.
const MOST_MIN_HASHES: usize = 3;

/// As many bits as leave about a hundred rows in a bucket.
fn bits(units: usize) -> usize {
    ((units as f64 / 100.0).log2().round() as usize).clamp(3, MOST_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LshConfig;

    #[test]
    fn rules_leave_about_a_hundred_rows_in_a_bucket() {
        for (family, within) in [
            (FamilyConfig::Simhash { projection: None }, 1.5),
            (FamilyConfig::Wta { bin_size: 8 }, 4.0),
            (FamilyConfig::Dwta { bin_size: 4 }, 3.0),
            (FamilyConfig::Doph { top: 30 }, 4.0),
        ] {
            for units in [1000, 5000, 22_085, 300_000] {
                let mut tables =
                    TablesConfig { family: family.clone(), ..LshConfig::open().tables };
                tables.resolve(None, units, 0);
                tables.check().unwrap();
                let k = tables.n_hashes.unwrap();
                let rows = family.rows_in_bucket(k, units);
                assert!(
                    (100.0 / within..100.0 * within).contains(&rows),
                    "{family:?} {units} {rows}"
                );
                assert!(tables.bucket_size.unwrap() as f64 >= rows);
                assert!(family.bits(k, units) <= 16);
            }
        }
    }

    #[test]
    fn dense_vectors_are_transformed_by_rule_and_what_is_given_stays() {
        let resolved = |projection, dense| {
            let family = FamilyConfig::Simhash { projection };
            let mut tables = TablesConfig { family, ..LshConfig::open().tables };
            tables.resolve(dense, 1000, 0);
            match tables.family {
                FamilyConfig::Simhash { projection } => projection,
                _ => None,
            }
        };
        for (dense, by_rule) in [
            (None, Projection::Gaussian),
            (Some(2), Projection::Hadamard),
            (Some(4096), Projection::Hadamard),
            (Some(4097), Projection::Gaussian),
        ] {
            assert_eq!(resolved(None, dense), Some(by_rule));
            assert_eq!(resolved(Some(Projection::Sparse), dense), Some(Projection::Sparse));
        }
    }

    #[test]
    fn signs_of_transforms_take_less_memory_than_projections() {
        let bytes = |projection| {
            let mut tables = TablesConfig {
                family: FamilyConfig::Simhash { projection: Some(projection) },
                n_tables: Some(50),
                n_hashes: Some(12),
                ..LshConfig::open().tables
            };
            tables.resolve(Some(128), 1000, 0);
            tables.bytes(128, 1000)
        };
        // 600 functions of 129 coordinates; or 5 blocks of two times 128 signs, the 128 signs they
        // share, and the weight of the bias in each of 600 outputs.
        let (products, transforms) = (600 * 129, 128 + 5 * 256 + 600);
        let saved = bytes(Projection::Gaussian) - bytes(Projection::Hadamard);
        assert_eq!(saved, (products - transforms) * 4);
    }
}
