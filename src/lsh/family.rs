//! One interface to all hash families.

use crate::config::{FamilyConfig, Projection, TablesConfig};
use crate::rng::{Rng, Stream};
use crate::simd::{Kernels, LANES};

use super::doph::Doph;
use super::dwta::Dwta;
use super::hadamard::{Hadamard, Room};
use super::simhash::SimHash;
use super::wta::Wta;
use super::{ShardCodes, Vectors};

/// The sizes that every family is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// L, the codes of a vector.
    pub n_tables: usize,
    /// K, the hash functions that make up a code.
    pub n_hashes: usize,
    /// Coordinates of a vector.
    pub width: usize,
    /// Coordinates that are passed beside it.
    pub n_extras: usize,
}

impl Shape {
    /// All coordinates.
    #[must_use]
    pub const fn dimension(&self) -> usize {
        self.width + self.n_extras
    }
}

/// L codes of a vector, each made of K values of hash functions.
///
/// All families see directions only: a vector times a positive number has the same codes.
#[derive(Clone, Debug)]
pub struct HashFamily {
    shape: Shape,
    functions: Functions,
}

#[derive(Clone, Debug)]
enum Functions {
    SimHash(SimHash),
    Hadamard(Hadamard),
    Wta(Wta),
    Dwta(Dwta),
    Doph(Doph),
}

/// Reusable memory of [`HashFamily::codes`].
#[derive(Clone, Debug, Default)]
pub struct HashScratch {
    floats: Vec<f32>,
    keys: Vec<u64>,
    bins: Vec<u64>,
    room: Box<Room>,
    codes: Vec<u16>,
    /// The additional coordinates of queries.
    pub(super) extras: Vec<f32>,
}

impl HashFamily {
    /// Draws the functions of a `generation` for the tables of `rows` vectors with `width`
    /// coordinates. Every value of `config` must be filled in; the seed counts as 0 where it is
    /// not.
    #[must_use]
    pub fn new(config: &TablesConfig, width: usize, rows: usize, generation: u64) -> Self {
        let shape = Shape {
            n_tables: config.n_tables.unwrap_or(1),
            n_hashes: config.n_hashes.unwrap_or(1),
            width,
            n_extras: usize::from(config.append_bias) + usize::from(config.mips),
        };
        let seed = config.seed.unwrap_or(0);
        let functions = match config.family {
            FamilyConfig::Simhash { projection: Some(Projection::Hadamard) } => {
                Functions::Hadamard(Hadamard::new(shape, seed, generation))
            }
            FamilyConfig::Simhash { projection } => {
                let projection = projection.unwrap_or(Projection::Gaussian);
                Functions::SimHash(SimHash::new(projection, shape, seed, generation))
            }
            FamilyConfig::Wta { bin_size } => {
                Functions::Wta(Wta::new(bin_size, shape, seed, generation))
            }
            FamilyConfig::Dwta { bin_size } => {
                Functions::Dwta(Dwta::new(bin_size, shape, seed, generation))
            }
            FamilyConfig::Doph { top } => {
                let bits = config.family.bits(shape.n_hashes, rows);
                Functions::Doph(Doph::new((top, bits), shape, seed, generation))
            }
        };
        Self { shape, functions }
    }

    /// The sizes.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// L, the number of codes of a vector.
    #[must_use]
    pub const fn n_tables(&self) -> usize {
        self.shape.n_tables
    }

    /// K, the hash functions that make up a code.
    #[must_use]
    pub const fn n_hashes(&self) -> usize {
        self.shape.n_hashes
    }

    /// Bits of a code, at most 16; a table has `1 << bits` buckets.
    #[must_use]
    pub const fn bits(&self) -> usize {
        match &self.functions {
            Functions::SimHash(family) => family.bits(),
            Functions::Hadamard(family) => family.bits(),
            Functions::Wta(family) => family.bits(),
            Functions::Dwta(family) => family.bits(),
            Functions::Doph(family) => family.bits(),
        }
    }

    /// The probability that one hash function has the same value for two vectors with this
    /// `cosine`, where the cosine alone says it.
    #[must_use]
    pub fn collision(&self, cosine: f64) -> Option<f64> {
        match self.functions {
            Functions::SimHash(_) | Functions::Hadamard(_) => {
                Some(1.0 - cosine.clamp(-1.0, 1.0).acos() / std::f64::consts::PI)
            }
            _ => None,
        }
    }

    /// Writes the codes of all `vectors`, [`HashFamily::n_tables`] each; `extras` holds the
    /// additional coordinates of each. A code does not depend on the vectors beside it.
    ///
    /// # Panics
    ///
    /// If a vector or its additional coordinates are not there.
    pub fn codes(
        &self,
        kernels: &Kernels,
        vectors: Vectors<'_>,
        extras: &[f32],
        scratch: &mut HashScratch,
        codes: &mut [u16],
    ) {
        let HashScratch { floats, keys, bins, room, .. } = scratch;
        let codes = &mut codes[..vectors.len() * self.shape.n_tables];
        match &self.functions {
            Functions::SimHash(family) => family.codes(kernels, vectors, extras, floats, codes),
            Functions::Hadamard(family) => {
                let l = self.shape.n_tables;
                family.codes(kernels, vectors, extras, room, |first, lanes| {
                    for (i, codes) in codes[first * l..].chunks_mut(l).take(LANES).enumerate() {
                        codes.iter_mut().zip(lanes).for_each(|(code, lanes)| *code = lanes[i]);
                    }
                });
            }
            Functions::Wta(family) => family.codes(vectors, extras, floats, codes),
            Functions::Dwta(family) => family.codes(vectors, extras, bins, codes),
            Functions::Doph(family) => family.codes(vectors, extras, (keys, bins), codes),
        }
    }

    /// Stores the codes of all `vectors` as those of the rows at `places` of a shard; see
    /// [`HashFamily::codes`].
    pub(super) fn store(
        &self,
        kernels: &Kernels,
        (vectors, extras): (Vectors<'_>, &[f32]),
        scratch: &mut HashScratch,
        places: &[usize],
        out: &mut ShardCodes<'_>,
    ) {
        if let Functions::Hadamard(family) = &self.functions {
            family.codes(kernels, vectors, extras, &mut scratch.room, |first, lanes| {
                out.put_lanes(&places[first..], lanes);
            });
            return;
        }
        let mut codes = std::mem::take(&mut scratch.codes);
        codes.resize(vectors.len() * self.shape.n_tables, 0);
        self.codes(kernels, vectors, extras, scratch, &mut codes);
        out.put(places, &codes);
        scratch.codes = codes;
    }

    /// The share of tables in which two vectors with this `cosine` have the same code, measured on
    /// random `pairs` whose coordinates are Gaussian. For families whose collisions are no
    /// function of the angle, this says what a count of tables is worth.
    #[must_use]
    pub fn measured(&self, kernels: &Kernels, cosine: f32, pairs: usize) -> f64 {
        let dimension = self.shape.dimension();
        let (mut both, mut noise) = (vec![0.0; 2 * dimension], vec![0.0; dimension]);
        let (mut codes, mut scratch) = (vec![0; 2 * self.shape.n_tables], self.scratch(1));
        let mut same = 0;
        for pair in 0..pairs as u64 {
            let mut rng = Rng::new(0, Stream::Probe, u64::MAX, pair);
            let (x, y) = both.split_at_mut(dimension);
            rng.fill_normal(1.0, x);
            rng.fill_normal((1.0 - cosine * cosine).max(0.0).sqrt(), &mut noise);
            for ((x, y), noise) in x.iter().zip(y).zip(&noise) {
                *y = cosine.mul_add(*x, *noise);
            }
            let halves = both.chunks(dimension).zip(codes.chunks_mut(self.shape.n_tables));
            for (vector, codes) in halves {
                let (values, extras) = vector.split_at(self.shape.width);
                let vectors = Vectors::Dense { values, stride: values.len(), n: 1 };
                self.codes(kernels, vectors, extras, &mut scratch, codes);
            }
            let (a, b) = codes.split_at(self.shape.n_tables);
            same += a.iter().zip(b).filter(|(a, b)| a == b).count();
        }
        same as f64 / (pairs * self.shape.n_tables).max(1) as f64
    }

    /// Memory for [`HashFamily::codes`] of up to `vectors` vectors.
    #[must_use]
    pub fn scratch(&self, vectors: usize) -> HashScratch {
        let mut room = Box::<Room>::default();
        let (floats, keys, bins) = match &self.functions {
            Functions::SimHash(family) => (family.scratch(vectors), 0, 0),
            Functions::Hadamard(family) => {
                *room = family.room();
                (0, 0, 0)
            }
            Functions::Wta(family) => (family.scratch(), 0, 0),
            Functions::Dwta(family) => (0, 0, family.scratch()),
            Functions::Doph(family) => {
                let (keys, bins) = family.scratch();
                (0, keys, bins)
            }
        };
        HashScratch {
            floats: Vec::with_capacity(floats),
            keys: Vec::with_capacity(keys),
            bins: Vec::with_capacity(bins),
            room,
            codes: Vec::with_capacity(vectors * self.shape.n_tables),
            extras: Vec::with_capacity(vectors * self.shape.n_extras),
        }
    }
}
