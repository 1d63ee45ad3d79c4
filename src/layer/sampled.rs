//! A layer of which a sample computes few neurons, neuron-major: each neuron owns a row of
//! weights, one for every input.
//!
//! The same layer serves anywhere: its inputs are dense or sparse, and its outputs are the sparse
//! inputs of the next layer, or the logits of the network (`output.rs`).

use crate::config::{
    Activation, OptimizerConfig, OutputConfig, SampledConfig, SamplerConfig, UpdateMode,
};
use crate::hogwild::SharedSums;
use crate::lsh::Due;
use crate::optim::{Param, Update};
use crate::per_thread::PerThread;
use crate::rng::{Rng, Stream};
use crate::rows::{Rows, Stripes};
use crate::sampler::{Query, Sampler, Scratch};
use crate::simd::Kernels;
use crate::tape::{BLOCK, Lists, SampledTape};
use crate::touched::Edges;

use super::activation::{scale_back, scale_to};
use super::inputs::{BatchInputs, Inputs};
use super::output::Room;
use super::update::{Target, UpdateScratch};

/// A sampled layer.
#[derive(Debug)]
pub struct Sampled<'m> {
    pub(super) weights: Param<'m>,
    pub(super) bias: Option<Param<'m>>,
    pub(super) sampler: Sampler,
    pub(super) scratch: PerThread<Scratch>,
    /// Room for exact products; taken by one block at a time.
    pub(super) rooms: PerThread<Room>,
    pub(super) sums: Option<SharedSums>,
    pub(super) activation: Activation,
    pub(super) norm: f32,
    /// Euclidean norm of the inputs, where it is known.
    pub(super) input_norm: f32,
    pub(super) number: u64,
}

/// What a layer is made from, beside its own configuration.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Number of inputs.
    pub inputs: usize,
    /// Whether few of the inputs are given, by their ids.
    pub sparse: bool,
    /// Euclidean norm of the inputs, where it is known.
    pub input_norm: f32,
    /// What changes the weights, unless the layer says so itself.
    pub optimizer: &'a OptimizerConfig,
    /// How the tasks of a step share the gradients.
    pub update: UpdateMode,
    /// Seed of the network.
    pub seed: u64,
    /// Number of the layer.
    pub number: u64,
}

impl Place<'_> {
    /// What the gradients of `weights` are summed in, where the tasks of a step race.
    pub(super) fn sums(&self, weights: &Rows<'_>) -> Option<SharedSums> {
        let racing = self.update == UpdateMode::Hogwild;
        racing.then(|| SharedSums::new(weights.stripes(), weights.stride()))
    }
}

impl<'m> Sampled<'m> {
    /// A hidden layer; every value of `config` must be filled in.
    #[must_use]
    pub fn hidden(config: &SampledConfig, place: Place<'_>) -> Self {
        // Pre-activations of about 1.
        Self::new(config, 1.0 / place.input_norm, place)
    }

    /// The output layer; every value of `config` must be filled in.
    #[must_use]
    pub fn output(config: &OutputConfig, place: Place<'_>) -> Self {
        Self::new(&config.as_layer(), INITIAL, place)
    }

    fn new(config: &SampledConfig, std: f32, place: Place<'_>) -> Self {
        let optimizer = config.optimizer.as_ref().unwrap_or(place.optimizer);
        let sizes = (config.units, place.inputs);
        let weights = Rows::random_as(
            config.dtype.unwrap_or_default(),
            sizes,
            std,
            (place.seed, place.number),
        );
        Self {
            sampler: Sampler::new(&config.sampler, weights.stripes(), place.inputs)
                .expecting(place.input_norm),
            bias: config.bias.then(|| Param::new(Rows::column(config.units), optimizer)),
            // Where all neurons are computed by products, nothing is raced for.
            sums: place.sums(&weights).filter(|_| place.sparse || !is_full(&config.sampler)),
            weights: Param::new(weights, optimizer),
            scratch: PerThread::default(),
            rooms: PerThread::default(),
            activation: config.activation,
            norm: config.norm.unwrap_or(0.0),
            input_norm: place.input_norm,
            number: place.number,
        }
    }

    /// Makes room for every thread of the current pool.
    pub fn ensure(&mut self, kernels: &Kernels) {
        let units = self.units();
        self.scratch.ensure(|| Scratch::new(units, *kernels));
        self.rooms.ensure(Room::default);
    }

    /// Whether the tasks of a step race for the sums of the gradients.
    pub(super) const fn races(&self) -> bool {
        self.sums.is_some()
    }

    /// Number of neurons.
    #[must_use]
    pub const fn units(&self) -> usize {
        self.stripes().rows()
    }

    pub(crate) const fn stripes(&self) -> Stripes {
        self.weights.weights().stripes()
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
    pub fn params(&self) -> (&Param<'m>, Option<&Param<'m>>) {
        (&self.weights, self.bias.as_ref())
    }

    /// The parameters: weights, then biases (one column).
    pub fn params_mut(&mut self) -> (&mut Param<'m>, Option<&mut Param<'m>>) {
        (&mut self.weights, self.bias.as_mut())
    }

    /// Hashes the inputs of a block of `n` samples.
    pub fn hash(&self, kernels: &Kernels, inputs: Inputs<'_>, n: usize, tape: &mut SampledTape) {
        let Some(index) = self.sampler.index() else { return };
        let SampledTape { codes, hashing, .. } = tape;
        codes.resize(BLOCK * index.hash().n_tables(), 0);
        index.query_codes(kernels, inputs.vectors(n), self.bias.is_some(), hashing, codes);
    }

    /// The codes of sample `i` out of those of its block.
    pub(super) fn codes_of<'t>(&self, codes: &'t [u16], i: usize) -> &'t [u16] {
        let n = self.sampler.index().map_or(0, |index| index.hash().n_tables());
        codes.get(i * n..(i + 1) * n).unwrap_or_default()
    }

    /// Appends slots and pre-activations of the active neurons of sample `i`, the next without
    /// them; those that are computed for the block are left open.
    pub(super) fn sums(
        &self,
        kernels: &Kernels,
        inputs: Inputs<'_>,
        i: usize,
        tape: &mut SampledTape,
    ) {
        let (own, stripes) = (tape.own(i), self.stripes());
        let active = &mut tape.active;
        let end = active.range(i).end;
        active.slots.extend(active.ids[own.clone()].iter().map(|&id| stripes.slot(id)));
        active.slots.resize(end, 0);
        active.coefs.resize(end, 0.0);
        let (slots, out) = (&active.slots[own.clone()], &mut active.coefs[own]);
        self.row_sums(kernels, (inputs, i), slots, out);
    }

    /// The pre-activations of the neurons in `slots` for sample `i`.
    pub(super) fn row_sums(
        &self,
        kernels: &Kernels,
        (inputs, i): (Inputs<'_>, usize),
        slots: &[u32],
        out: &mut [f32],
    ) {
        let weights = self.weights.weights();
        match inputs {
            Inputs::Dense(inputs) => weights.dot_rows(kernels, slots, inputs.row(i), out),
            Inputs::Sparse(lists) => weights.dot_columns(kernels, slots, lists.of(i), out),
        }
        if let Some(bias) = &self.bias {
            let bias = bias.weights().as_slice();
            for (out, &slot) in out.iter_mut().zip(slots) {
                *out += bias[slot as usize];
            }
        }
    }

    /// Adds the gradients of the inputs of sample `i` to `out`: of the given columns, or of all.
    /// `deltas` are those of all active neurons of the block.
    pub fn input_gradients(
        &self,
        kernels: &Kernels,
        (active, deltas): (&Lists, &[f32]),
        (i, columns): (usize, Option<&[u32]>),
        out: &mut [f32],
    ) {
        let range = active.range(i);
        let edges = (&active.slots[range.clone()], &deltas[range]);
        self.row_gradients(kernels, edges, columns, out);
    }

    /// The same of the neurons in some slots, each with its delta.
    pub(super) fn row_gradients(
        &self,
        kernels: &Kernels,
        (slots, deltas): (&[u32], &[f32]),
        columns: Option<&[u32]>,
        out: &mut [f32],
    ) {
        let weights = self.weights.weights();
        match columns {
            None => weights.axpy_rows(kernels, slots, deltas, out),
            Some(columns) => weights.axpy_columns(kernels, (slots, deltas), columns, out),
        }
    }

    /// A hidden layer: chooses the active neurons of every sample of a block and computes their
    /// outputs. `draw` is (seed, step, first sample) in training; without it nothing is drawn at
    /// random, and what is found for a sample does not depend on where it stands.
    pub fn forward(
        &self,
        kernels: &Kernels,
        (inputs, n): (Inputs<'_>, usize),
        draw: Option<(u64, u64, usize)>,
        tape: &mut SampledTape,
    ) {
        self.hash(kernels, inputs, n, tape);
        if let Some((seed, step, first)) = draw {
            // The output layer is 0 here: no two layers draw the same numbers.
            let block = (self.number + 1) << 32 | (first / BLOCK) as u64;
            let rng = &mut Rng::new(seed, Stream::SharedNegatives, step, block);
            self.scratch.with(|scratch| {
                self.sampler.share(self.units(), rng, scratch, &mut tape.shared);
            });
        }
        for i in 0..n {
            let start = tape.active.ids.len();
            let draw = draw.map(|(seed, step, first)| (seed, step, first + i));
            self.choose_hidden(kernels, (inputs, i), draw, tape);
            // Ascending ids: memory is walked in one direction, and a sparse vector hashes to the
            // same bits as the dense one.
            tape.active.ids[start..].sort_unstable();
            tape.active.ends.push(tape.active.ids.len());
            self.sums(kernels, inputs, i, tape);
            tape.slopes.resize(tape.active.ids.len(), 0.0);
            let out = &mut tape.active.coefs[start..];
            self.activation.apply(out, &mut tape.slopes[start..]);
            tape.scales[i] = scale_to(kernels, self.norm, out);
        }
        tape.deltas.clear();
        tape.deltas.resize(tape.active.ids.len(), 0.0);
    }

    fn choose_hidden(
        &self,
        kernels: &Kernels,
        (inputs, i): (Inputs<'_>, usize),
        draw: Option<(u64, u64, usize)>,
        tape: &mut SampledTape,
    ) {
        let (codes, units) = (self.codes_of(&tape.codes, i), self.units());
        let ids = &mut tape.active.ids;
        let exact = &mut |n, out: &mut Vec<u32>| self.best(kernels, (inputs, i), n, out);
        let (labels, shared) = (&[][..], &mut tape.shared);
        let query = &mut Query { labels, codes, units, pool: None, shared, exact };
        self.scratch.with(|scratch| {
            if let Some((seed, step, sample)) = draw {
                let item = (self.number + 1) << 32 | sample as u64;
                let rng = &mut Rng::new(seed, Stream::Sampler, step, item);
                self.sampler.choose(query, rng, scratch, ids);
            } else {
                let rng = &mut Rng::new(0, Stream::Probe, 0, inputs.key(i));
                self.sampler.retrieve(query, 0, rng, scratch, ids);
            }
        });
    }

    /// A hidden layer: turns the gradients of the outputs into those of the pre-activations.
    pub fn backward(&self, kernels: &Kernels, n: usize, tape: &mut SampledTape) {
        let SampledTape { active, slopes, deltas, scales, .. } = tape;
        for (i, &scale) in scales[..n].iter().enumerate() {
            let range = active.range(i);
            let (outputs, deltas) = (&active.coefs[range.clone()], &mut deltas[range.clone()]);
            scale_back(kernels, (self.norm, scale), outputs, deltas);
            for (delta, slope) in deltas.iter_mut().zip(&slopes[range]) {
                *delta *= slope;
            }
        }
    }

    /// Changes every row that was active, by the inputs of the samples that had it active.
    pub fn update<'e, I: Iterator<Item = &'e Edges> + Clone>(
        &mut self,
        how: (&Kernels, &Update),
        parts: impl Fn() -> I + Sync,
        inputs: BatchInputs<'_>,
        scratch: &mut UpdateScratch,
    ) {
        let moved = self.sampler.index_mut().map(crate::lsh::Index::moved_mut);
        let target = Target {
            weights: &mut self.weights,
            bias: self.bias.as_mut(),
            moved,
            sums: self.sums.as_ref(),
        };
        target.update(how, parts, inputs, scratch);
    }

    /// Does what the schedule of the hash tables says is due after `steps` steps; whether anything
    /// was.
    pub fn rehash_if_due(&mut self, kernels: &Kernels, steps: u64) -> bool {
        let Sampler::Lsh(lsh) = &mut self.sampler else { return false };
        let due = match (lsh.rebuild.due(steps), lsh.rebuild.drift()) {
            (Due::No, _) => false,
            (Due::Rehash, None) => true,
            (Due::Rehash, Some(limit)) => {
                let drift = lsh.index.drift(kernels, &self.weights, self.bias.as_ref());
                drift > f64::from(limit)
            }
            (Due::Redraw, _) => {
                lsh.index.redraw();
                true
            }
        };
        if due {
            self.rehash(kernels);
        }
        due
    }

    /// Goes on from `steps` steps, as a loaded network does; all rows wait to be inserted.
    pub fn resume(&mut self, steps: u64) {
        if let Sampler::Lsh(lsh) = &mut self.sampler {
            lsh.rebuild.due(steps);
            lsh.index.set_generation(lsh.rebuild.generation());
            lsh.index.moved_mut().into_iter().for_each(|moved| moved.fill(true));
        }
    }

    /// Inserts all rows that moved into the hash tables again.
    pub fn rehash(&mut self, kernels: &Kernels) {
        if let Some(index) = self.sampler.index_mut() {
            index.refresh(kernels, &self.weights, self.bias.as_ref());
        }
    }
}

const fn is_full(sampler: &SamplerConfig) -> bool {
    matches!(sampler, SamplerConfig::Full {})
}

/// Small against the hidden vector's norm: at the start all logits are about equal.
pub(super) const INITIAL: f32 = 0.05;
