//! Rows on their way to the hash functions: gathered, and brought to the form that is hashed.
//!
//! In this order, each step only where it was asked for. The bias becomes one more coordinate,
//! balanced against the weights ([`Transform::balance`]); queries have the other factor there. A
//! row is scaled to length 1, so that inner products with it are those of its direction. The mean
//! row is subtracted, which changes all inner products with a query by the same amount, and leaves
//! angles that differ more than before where all rows share a direction. One more coordinate makes all rows equally long; queries have a 0 there, so that the
//! order of the angles is that of the inner products (Neyshabur and Srebro, "On symmetric and
//! asymmetric LSHs for inner product search", ICML 2015; the idea to add coordinates is from
//! Shrivastava and Li, "Asymmetric LSH (ALSH) for sublinear time maximum inner product search",
//! NIPS 2014). It is the square root of the difference to the largest squared length: dividing
//! rows by that length first, as it is published, would change no direction.

use rayon::prelude::*;

use crate::config::{Dtype, TablesConfig};
use crate::per_thread::PerThread;
use crate::rows::{Matrix, Rows, SHARDS};
use crate::simd::Kernels;

use super::{Shape, Vectors};

/// Rows that are hashed by one matrix product, where they are not very wide.
pub(super) const BLOCK: usize = 64;

/// Floats of the rows in a block at most, unless there would be fewer than eight of them.
const FLOATS: usize = 1 << 18;

/// Rows by which the biases are balanced.
const BALANCED: usize = 4096;

/// Weights and biases of a layer.
pub(super) type Layer<'a> = (&'a Rows<'a>, Option<&'a Rows<'a>>);

/// What is done to rows before they are hashed.
#[expect(clippy::struct_excessive_bools, reason = "four options that are independent")]
#[derive(Debug)]
pub(super) struct Transform {
    append_bias: bool,
    normalize: bool,
    center: bool,
    mips: bool,
    /// What a query has where rows have their bias, which is divided by it.
    unit: f32,
    /// Length of the queries.
    expected: f32,
    /// The mean row with its bias; zeros unless rows are centred.
    mean: Vec<f32>,
    /// The largest length of a row.
    longest: f32,
    /// The sum of the rows of each shard.
    sums: Vec<f64>,
    /// Room for one row.
    row: Vec<f32>,
}

impl Transform {
    pub(super) fn new(config: &TablesConfig, shape: Shape) -> Self {
        let &TablesConfig { append_bias, normalize, center, mips, .. } = config;
        let mean = vec![0.0; if center { shape.width + 1 } else { 0 }];
        let sums = vec![0.0; mean.len() * SHARDS];
        let (unit, expected, longest) = (1.0, 1.0, 0.0);
        let row = Vec::new();
        Self { append_bias, normalize, center, mips, unit, expected, mean, longest, sums, row }
    }

    /// Says how long queries are.
    pub(super) const fn expect(&mut self, length: f32) {
        self.expected = length;
    }

    /// What a query has where rows have their bias.
    pub(super) const fn unit(&self) -> f32 {
        self.unit
    }

    /// Balances the bias against the weights; whether that changed anything.
    ///
    /// An inner product `w h + b` stays the same when the coordinate of the bias is `b / u` in the
    /// rows and `u` in the queries. The angle does not: biases that are large against the weights
    /// turn all rows the same way. The cosine is largest where the product of the lengths,
    /// `(w^2 + b^2 / u^2) (h^2 + u^2)`, is least: at `u^2 = h b / w`. The lengths are taken from
    /// a sample of the rows, and u in steps of half a power of two, so that it seldom changes; and
    /// it is a function of the weights as they are, so that a loaded network finds the same.
    pub(super) fn balance(&mut self, kernels: &Kernels, (weights, bias): Layer<'_>) -> bool {
        let mut unit = 1.0;
        if let Some(bias) = bias.filter(|_| self.append_bias) {
            let (rows, row) = (weights.stripes().rows(), &mut self.row);
            row.resize(weights.stride(), 0.0);
            let n = BALANCED.min(rows).min((BALANCED << 8) / weights.stride().max(1) + 1);
            let (mut of_weights, mut of_biases) = (0.0, 0.0);
            for i in 0..n {
                let id = (i * rows / n) as u32;
                weights.read(kernels, id, row);
                of_weights += f64::from((kernels.dot)(row, row));
                of_biases += f64::from(bias.row(id)[0]).powi(2);
            }
            let best = f64::from(self.expected).sqrt() * (of_biases / of_weights).powf(0.25);
            if best.is_finite() {
                unit = ((2.0 * best.log2()).round().clamp(0.0, 16.0) * 0.5).exp2() as f32;
            }
        }
        std::mem::replace(&mut self.unit, unit) != unit
    }

    /// Whether a row is hashed differently when another changes.
    pub(super) const fn depends_on_all(&self) -> bool {
        self.center || self.mips
    }

    /// Finds the mean row and the largest length. Sums have one order, whatever the threads.
    pub(super) fn fit(&mut self, kernels: &Kernels, layer: Layer<'_>, stages: &PerThread<Stage>) {
        self.mean.fill(0.0);
        self.longest = 0.0;
        if self.center {
            let width = self.mean.len();
            let mut sums = std::mem::take(&mut self.sums);
            sums.par_chunks_mut(width).enumerate().for_each(|(shard, sums)| {
                sums.fill(0.0);
                stages.with(|stage| {
                    stage.load_all(kernels, self, layer, shard, |block| block.add_to(sums));
                });
            });
            let rows = layer.0.stripes().rows() as f64;
            for (j, mean) in self.mean.iter_mut().enumerate() {
                *mean = (sums.iter().skip(j).step_by(width).sum::<f64>() / rows) as f32;
            }
            self.sums = sums;
        }
        if self.mips {
            let longest = (0..SHARDS).into_par_iter().map(|shard| {
                stages.with(|stage| {
                    let mut longest = 0.0_f32;
                    stage.load_all(kernels, self, layer, shard, |block| {
                        longest = block.lengths.iter().copied().fold(longest, f32::max);
                    });
                    longest
                })
            });
            self.longest = longest.reduce(|| 0.0, f32::max);
        }
    }

    /// What was found by [`Transform::balance`] and [`Transform::fit`].
    pub(super) fn state(&self) -> Vec<f32> {
        [self.unit, self.longest].into_iter().chain(self.mean.iter().copied()).collect()
    }

    /// Takes what [`Transform::state`] gave.
    pub(super) fn restore(&mut self, state: &[f32]) -> Result<(), &'static str> {
        let [unit, longest, mean @ ..] = state else { return Err("does not say how it hashes") };
        let finite = state.iter().all(|x| x.is_finite()) && *unit > 0.0 && *longest >= 0.0;
        if !finite || mean.len() != self.mean.len() {
            return Err("was hashed in a way that is not that of its tables");
        }
        (self.unit, self.longest) = (*unit, *longest);
        self.mean.copy_from_slice(mean);
        Ok(())
    }

    /// Whether [`Transform::change`] does anything.
    const fn changes(&self) -> bool {
        self.normalize || !self.mean.is_empty()
    }

    /// Scales and centres a row, where that was asked for.
    fn change(&self, kernels: &Kernels, row: &mut [f32], bias: &mut f32) {
        if self.normalize {
            let length = length(kernels, row, *bias);
            if length > 0.0 {
                (kernels.scale)(1.0 / length, row);
                *bias /= length;
            }
        }
        if let Some((mean_bias, mean)) = self.mean.split_last() {
            for (x, mean) in row.iter_mut().zip(mean) {
                *x -= mean;
            }
            *bias -= mean_bias;
        }
    }

    /// The additional coordinates of a row, and its length with them.
    fn beside(
        &self,
        kernels: &Kernels,
        row: &[f32],
        bias: f32,
    ) -> (impl Iterator<Item = f32> + use<>, f32) {
        let mut length = length(kernels, row, bias);
        let missing = self.mips.then(|| {
            let square = |x: f32| f64::from(x) * f64::from(x);
            let missing = (square(self.longest) - square(length)).max(0.0);
            length = length.max(self.longest);
            missing.sqrt() as f32
        });
        (self.append_bias.then_some(bias).into_iter().chain(missing), length)
    }
}

/// Rows in the form that is hashed.
#[derive(Debug)]
pub(super) struct Block<'a> {
    /// The rows.
    pub(super) vectors: Vectors<'a>,
    width: usize,
    biases: &'a [f32],
    /// Their additional coordinates.
    pub(super) extras: &'a [f32],
    /// Their lengths, with the additional coordinates.
    pub(super) lengths: &'a [f32],
}

/// Memory for a block of rows in the form that is hashed.
#[derive(Debug)]
pub(super) struct Stage {
    shape: Shape,
    places: Vec<usize>,
    vectors: Matrix,
    biases: Vec<f32>,
    extras: Vec<f32>,
    lengths: Vec<f32>,
    room: Vec<f32>,
}

impl Stage {
    /// For blocks of up to `rows` rows, or fewer if they are very wide.
    pub(super) fn new(shape: Shape, rows: usize) -> Self {
        let rows = rows.min((FLOATS / shape.width.max(1)).max(8));
        Self {
            shape,
            places: Vec::with_capacity(rows),
            vectors: Matrix::zeros(rows, shape.width),
            biases: Vec::with_capacity(rows),
            extras: Vec::with_capacity(rows * shape.n_extras),
            lengths: Vec::with_capacity(rows),
            room: Vec::new(),
        }
    }

    /// Makes room for `weights` stored as halves. On every thread before the work begins: which of
    /// them will meet the rows of a shard differs from time to time.
    pub(super) fn make_room(&mut self, weights: &Rows<'_>) {
        if weights.dtype() != Dtype::F32 {
            let floats = self.rows() * weights.stride();
            self.room.reserve(floats.saturating_sub(self.room.len()));
        }
    }

    /// Rows of a block at most.
    pub(super) fn rows(&self) -> usize {
        self.vectors.as_slice().len() / self.vectors.stride()
    }

    /// Calls `work` for every block of a shard.
    fn load_all(
        &mut self,
        kernels: &Kernels,
        transform: &Transform,
        layer: Layer<'_>,
        shard: usize,
        mut work: impl FnMut(&Block<'_>),
    ) {
        let (rows, block) = (layer.0.stripes().len(shard), self.rows());
        let mut places = std::mem::take(&mut self.places);
        for first in (0..rows).step_by(block) {
            places.clear();
            places.extend(first..rows.min(first + block));
            work(&self.load(kernels, transform, layer, (shard, &places)));
        }
        self.places = places;
    }

    /// The rows at the ascending `places` of a shard, transformed. They stay where they are if they
    /// lie side by side and nothing is done to them.
    pub(super) fn load<'a>(
        &'a mut self,
        kernels: &Kernels,
        transform: &Transform,
        (weights, bias): Layer<'a>,
        (shard, places): (usize, &[usize]),
    ) -> Block<'a> {
        let Self { shape: Shape { width, .. }, ref mut vectors, .. } = *self;
        self.biases.clear();
        for run in places.chunk_by(|a, b| a + 1 == *b) {
            match bias.filter(|_| transform.append_bias) {
                Some(bias) => {
                    let tile = (shard, run[0], run.len());
                    let biases = bias.tile(kernels, tile, &mut self.room).iter();
                    self.biases.extend(biases.map(|bias| bias / transform.unit));
                }
                None => self.biases.resize(self.biases.len() + run.len(), 0.0),
            }
        }
        let stride = weights.stride();
        let (values, stride) = if !transform.changes() && places.is_sorted_by(|a, b| a + 1 == *b) {
            let first = places.first().copied().unwrap_or_default();
            (weights.tile(kernels, (shard, first, places.len()), &mut self.room), stride)
        } else {
            let mut biases = self.biases.iter_mut();
            let mut i = 0;
            for run in places.chunk_by(|a, b| a + 1 == *b) {
                let tile = (shard, run[0], run.len());
                let rows = weights.tile(kernels, tile, &mut self.room).chunks(stride);
                for (from, bias) in rows.zip(&mut biases) {
                    let row = &mut vectors.row_mut(i)[..width];
                    row.copy_from_slice(&from[..width]);
                    transform.change(kernels, row, bias);
                    i += 1;
                }
            }
            (vectors.as_slice(), vectors.stride())
        };
        self.extras.clear();
        self.lengths.clear();
        for (row, &bias) in values.chunks(stride).zip(&self.biases) {
            let (extras, length) = transform.beside(kernels, &row[..width], bias);
            self.extras.extend(extras);
            self.lengths.push(length);
        }
        let vectors = Vectors::Dense { values, stride, n: places.len() };
        Block { vectors, width, biases: &self.biases, extras: &self.extras, lengths: &self.lengths }
    }
}

impl Block<'_> {
    /// Adds every row, its bias last, to `sums`.
    fn add_to(&self, sums: &mut [f64]) {
        for (i, bias) in self.biases.iter().enumerate() {
            let row = self.vectors.get(i, self.width).dense.iter();
            for (sum, &x) in sums.iter_mut().zip(row.chain([bias])) {
                *sum += f64::from(x);
            }
        }
    }
}

fn length(kernels: &Kernels, row: &[f32], bias: f32) -> f32 {
    bias.mul_add(bias, (kernels.dot)(row, row)).sqrt()
}
