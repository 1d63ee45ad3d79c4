//! The wide layer, neuron-major: each neuron owns a row of weights, one for every input.

use crate::config::{Loss, OptimizerConfig, OutputConfig};
use crate::optim::{Param, Update};
use crate::per_thread::PerThread;
use crate::rng::{Rng, Stream};
use crate::rows::{Matrix, Rows, Stripes};
use crate::sampler::{Drawn, Query, Sampler, Scratch};
use crate::simd::Kernels;
use crate::tape::{BLOCK, Tape};
use crate::touched::Edges;

use super::logits::{self, TILE, TopK};
use super::update::{ShardScratch, Target};

/// The output layer.
#[derive(Debug)]
pub struct Output {
    pub(super) weights: Param,
    pub(super) bias: Option<Param>,
    sampler: Sampler,
    scratch: PerThread<Scratch>,
    /// Room for exact products; taken by one block at a time.
    rooms: PerThread<Room>,
}

/// Room for the logits of a block against a tile of rows.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) transposed: Vec<f32>,
    pub(super) logits: Vec<f32>,
}

impl Output {
    /// A layer with `width` inputs; every value of `config` must be filled in.
    #[must_use]
    pub fn new(
        config: &OutputConfig,
        width: usize,
        optimizer: &OptimizerConfig,
        (seed, number): (u64, u64),
    ) -> Self {
        let weights = Rows::random(config.units, width, INITIAL, seed, number);
        let sampler = Sampler::new(&config.sampler, weights.stripes(), width);
        let bias = config.bias.then(|| Param::new(Rows::column(config.units), optimizer));
        Self {
            weights: Param::new(weights, optimizer),
            bias,
            sampler,
            scratch: PerThread::default(),
            rooms: PerThread::default(),
        }
    }

    /// Makes room for every thread of the current pool.
    pub fn ensure(&mut self, kernels: &Kernels) {
        let units = self.units();
        self.scratch.ensure(|| Scratch::new(units, *kernels));
        self.rooms.ensure(Room::default);
    }

    /// Number of neurons.
    #[must_use]
    pub const fn units(&self) -> usize {
        self.weights.weights().stripes().rows()
    }

    /// Which neurons are computed.
    #[must_use]
    pub const fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// Which neurons are computed.
    pub const fn sampler_mut(&mut self) -> &mut Sampler {
        &mut self.sampler
    }

    /// The parameters: weights, then biases (one column).
    #[must_use]
    pub fn params(&self) -> (&Param, Option<&Param>) {
        (&self.weights, self.bias.as_ref())
    }

    /// The parameters: weights, then biases (one column).
    pub fn params_mut(&mut self) -> (&mut Param, Option<&mut Param>) {
        (&mut self.weights, self.bias.as_mut())
    }

    /// Hashes the queries of a block.
    pub fn hash(&self, kernels: &Kernels, tape: &mut Tape) {
        let Some(index) = self.sampler.index() else { return };
        let Tape { dense, codes, projected, len, .. } = tape;
        let Some(queries) = dense.last().map(|tape| &tape.outputs) else { return };
        let ones = [f32::from(u8::from(self.bias.is_some())); BLOCK];
        codes.resize(BLOCK * index.hash().n_tables(), 0);
        let vectors = (queries.as_slice(), queries.stride());
        index.hash().codes(kernels, vectors, &ones[..*len], projected, codes);
    }

    /// Chooses the active neurons of every sample of a block, computes them, their loss and their
    /// deltas (times `scale`), and the gradients of the inputs.
    pub fn forward_backward(
        &self,
        kernels: &Kernels,
        (loss, scale): (Loss, f32),
        (seed, step): (u64, u64),
        tape: &mut Tape,
    ) {
        self.hash(kernels, tape);
        for i in 0..tape.len {
            let mut rng = Rng::new(seed, Stream::Sampler, step, (tape.first + i) as u64);
            let start = tape.active.ids.len();
            let codes = self.codes_of(tape, i);
            let label_start = if i == 0 { 0 } else { tape.label_ends[i - 1] };
            let labels = &tape.labels[label_start..tape.label_ends[i]];
            let active = &mut tape.active;
            let n_labels = labels.len();
            // A sample without labels has no loss, so nothing of it need be computed.
            let drawn = if n_labels == 0 {
                Drawn::default()
            } else {
                self.scratch.with(|scratch| {
                    let (codes, units) = (&tape.codes[codes], self.units());
                    let exact = &mut |_, _: &mut Vec<u32>| {};
                    let mut query = Query { labels, codes, units, pool: None, exact };
                    self.sampler.choose(&mut query, &mut rng, scratch, &mut active.ids)
                })
            };
            active.ends.push(active.ids.len());
            self.logits(kernels, tape, i);
            let (active, dense) = (&mut tape.active, tape.dense.last_mut());
            let (ids, deltas) = (&active.ids[start..], &mut active.coefs[start..]);
            self.sampler.correct(&drawn, (ids, n_labels), None, 1.0, deltas);
            tape.loss += loss.backward(kernels, deltas, n_labels, scale);
            if let Some(dense) = dense {
                let out = dense.deltas.row_mut(i);
                out.fill(0.0);
                let weights = self.weights.weights().as_slice();
                (kernels.axpy_rows)(weights, &active.slots[start..], deltas, out);
            }
        }
        if let Some(edges) = tape.edges.last_mut() {
            edges.group(tape.active.iter(tape.first));
        }
    }

    /// Appends slots and logits of the active neurons of sample `i`, the next without them.
    fn logits(&self, kernels: &Kernels, tape: &mut Tape, i: usize) {
        let Tape { active, dense, .. } = tape;
        let Some(query) = dense.last().map(|tape| tape.outputs.row(i)) else { return };
        let (stripes, range) = (self.stripes(), active.range(i));
        active.slots.extend(active.ids[range.clone()].iter().map(|&id| stripes.slot(id)));
        active.coefs.resize(range.end, 0.0);
        let (slots, out) = (&active.slots[range.clone()], &mut active.coefs[range]);
        (kernels.dot_rows)(self.weights.weights().as_slice(), slots, query, out);
        if let Some(bias) = &self.bias {
            let bias = bias.weights().as_slice();
            for (out, &slot) in out.iter_mut().zip(slots) {
                *out += bias[slot as usize];
            }
        }
    }

    /// Changes every row that was active, by the inputs of the samples that had it active.
    pub fn update<'e, I: Iterator<Item = &'e Edges> + Clone>(
        &mut self,
        how: (&Kernels, &Update),
        parts: impl Fn() -> I + Sync,
        inputs: &Matrix,
        scratch: &mut [ShardScratch],
    ) {
        let moved = self.sampler.index_mut().map(crate::lsh::Index::moved_mut);
        let target = Target { weights: &mut self.weights, bias: self.bias.as_mut(), moved };
        target.update(how, parts, inputs, scratch);
    }

    /// Inserts all rows that moved into the hash tables again.
    pub fn rehash(&mut self, kernels: &Kernels) {
        if let Some(index) = self.sampler.index_mut() {
            index.refresh(kernels, &self.weights, self.bias.as_ref());
        }
    }

    /// Looks up a hashed block: appends the neurons found for each sample, without labels or fill;
    /// as many as in training, and at least `least` where there are so many.
    /// What is found for a sample does not depend on where it stands.
    pub fn retrieve(&self, seed: u64, least: usize, tape: &mut Tape) {
        for i in 0..tape.len {
            let mut rng = Rng::new(seed, Stream::Probe, 0, 0);
            let codes = &tape.codes[self.codes_of(tape, i)];
            let active = &mut tape.active;
            self.scratch.with(|scratch| {
                let exact = &mut |_, _: &mut Vec<u32>| {};
                let mut query =
                    Query { labels: &[], codes, units: self.units(), pool: None, exact };
                self.sampler.retrieve(&mut query, least, &mut rng, scratch, &mut active.ids);
            });
            active.ends.push(active.ids.len());
        }
    }

    /// Computes the logits of the active neurons of every sample, as they stand in the tape.
    pub fn score_active(&self, kernels: &Kernels, tape: &mut Tape) {
        tape.active.slots.clear();
        tape.active.coefs.clear();
        for i in 0..tape.len {
            self.logits(kernels, tape, i);
        }
    }

    /// Offers every neuron to each of the first `tops.len()` queries.
    pub fn exact(&self, kernels: &Kernels, queries: &Matrix, tops: &mut [TopK]) {
        self.each_tile(kernels, queries, tops.len(), |shard, first, count, logits| {
            for (top, logits) in tops.iter_mut().zip(logits.chunks(TILE)) {
                let logits = &logits[..count];
                if (kernels.max)(logits) < top.threshold() {
                    continue;
                }
                for (i, &logit) in logits.iter().enumerate() {
                    if logit >= top.threshold()
                        && let Some(id) = self.stripes().id(shard, first + i)
                    {
                        top.offer(logit, id);
                    }
                }
            }
        });
    }

    /// Calls `work(shard, first place, rows, logits)` for every tile of rows.
    pub fn each_tile(
        &self,
        kernels: &Kernels,
        queries: &Matrix,
        n: usize,
        mut work: impl FnMut(usize, usize, usize, &[f32]),
    ) {
        let stride = queries.stride();
        let weights = self.weights.weights().shards();
        let bias = super::update::each(self.bias.as_ref().map(|bias| bias.weights().shards()));
        self.rooms.with(|Room { transposed, logits }| {
            for shard in 0..weights.len() {
                let rows = self.stripes().len(shard);
                for first in (0..rows).step_by(TILE) {
                    let count = TILE.min(rows - first);
                    let weights = &weights[shard][first * stride..];
                    let rows = (weights, bias[shard].map(|bias| &bias[first..]));
                    let queries = (queries.as_slice(), n, stride);
                    logits::tile(kernels, queries, rows, count, transposed, logits);
                    work(shard, first, count, logits);
                }
            }
        });
    }

    pub(super) const fn stripes(&self) -> Stripes {
        self.weights.weights().stripes()
    }

    fn codes_of(&self, tape: &Tape, i: usize) -> std::ops::Range<usize> {
        let n = self.sampler.index().map_or(0, |index| index.hash().n_tables());
        if tape.codes.is_empty() { 0..0 } else { i * n..(i + 1) * n }
    }
}

/// Small against the hidden vector's norm: at the start all logits are about equal.
const INITIAL: f32 = 0.05;
