//! A sampled layer whose weights belong to somebody else, as those of a `PyTorch` module do.
//!
//! It has the sampler, the tables and room to work in; weights, biases and moments are lent to each
//! call. A call for losses leaves nothing behind: active sets and deltas go to the caller, who brings
//! those back that are to change the weights.

mod active;
mod common;
mod config;
mod loss;
mod read;
mod search;
mod update;

use crate::error::{Error, Result};
use crate::layer::{Sampled, UpdateScratch};
use crate::optim::Param;
use crate::rows::{Matrix, Numbers, Rows, Stripes};
use crate::sampler::Pool;
use crate::simd::{Kernels, LANES};
use crate::tape::{DenseTape, LayerTape, SampledTape, Tape};
use crate::touched::Edges;

use common::Common;

pub use active::Active;
pub use config::HeadConfig;
pub use loss::Losses;
pub use update::{Gradient, Moments, Step};

/// Weights and biases that are lent to a call, both at multiples of 64 bytes.
#[derive(Debug)]
pub struct Weights<'m> {
    /// As [`Head::shape`] says: rows in the order of their ids, zeros in the padding.
    pub weight: &'m mut [f32],
    /// As many as there are rows, where there are any.
    pub bias: Option<&'m mut [f32]>,
}

/// A sampled layer without weights.
#[derive(Debug)]
pub struct Head {
    config: HeadConfig,
    kernels: Kernels,
    /// None while a call has it, and for good after one that panicked.
    layer: Option<Sampled<'static>>,
    /// Whether the tables stand for rows as they were at some time.
    built: bool,
    /// Mean length of the inputs that were seen last.
    length: f32,
    room: Room,
}

/// Every reusable buffer.
#[derive(Debug, Default)]
struct Room {
    /// A tape for each block of the largest batch so far; its one hidden layer holds the inputs.
    tapes: Vec<Tape>,
    /// As many.
    common: Vec<Common>,
    /// The inputs of a batch, where they are dense.
    inputs: Matrix,
    update: UpdateScratch,
    /// The labels of the batch, where its samples are each other's negatives.
    pool: Pool,
}

/// The layer, what it reads, and how.
struct Work<'a, 'm> {
    config: &'a HeadConfig,
    kernels: &'a Kernels,
    layer: &'a mut Sampled<'m>,
    room: &'a mut Room,
}

impl Head {
    /// Checks `config` and fills in what it leaves open.
    ///
    /// # Errors
    ///
    /// If a value is outside its range, or `SLIDE_RS_ISA` names an unknown instruction set.
    pub fn new(config: HeadConfig) -> Result<Self> {
        let config = config.resolve()?;
        let sizes = (config.units, config.inputs);
        let layer = Sampled::bare(&config.sampler, sizes, 0);
        Ok(Self {
            kernels: Kernels::detect()?,
            layer: Some(layer),
            built: false,
            length: 1.0,
            room: Room::default(),
            config,
        })
    }

    /// The configuration with every value filled in.
    #[must_use]
    pub const fn config(&self) -> &HeadConfig {
        &self.config
    }

    /// Rows that the memory of the weights must have room for, and floats from one to the next.
    #[must_use]
    pub const fn shape(config: &HeadConfig) -> (usize, usize) {
        (Stripes::in_order(config.units).slots(), config.inputs.next_multiple_of(LANES))
    }

    /// Mean length of the inputs that were seen last, by which biases are balanced in the tables.
    #[must_use]
    pub const fn length(&self) -> f32 {
        self.length
    }

    /// Takes what [`Head::length`] gave.
    pub const fn set_length(&mut self, length: f32) {
        if length.is_finite() && length > 0.0 {
            self.length = length;
        }
    }

    /// Says that any row may have changed: all are hashed again before the next look-up.
    pub const fn forget(&mut self) {
        self.built = false;
    }

    /// Goes on from `steps` optimiser steps, as a copy of another head does; all rows wait to be hashed.
    pub fn resume(&mut self, steps: u64) {
        if let Some(layer) = &mut self.layer {
            layer.resume(steps);
        }
        self.built = false;
    }

    /// Does `work` with the layer on memory that is lent. Tables are built first if they never were
    /// and `looks_up` says that they are needed.
    fn with<'m, R>(
        &mut self,
        weights: Weights<'m>,
        looks_up: bool,
        work: impl FnOnce(Work<'_, 'm>) -> Result<R>,
    ) -> Result<R> {
        self.on(weights, (Vec::new(), Vec::new()), |head, mut layer| {
            if looks_up && !std::mem::replace(&mut head.built, true) {
                head.hash_all(&mut layer);
            }
            let Self { config, kernels, room, .. } = head;
            let result = work(Work { config, kernels, layer: &mut layer, room });
            (layer, result)
        })
    }

    /// Puts the layer on memory that is lent, with moments for weights and biases, and takes it back.
    fn on<'m, R>(
        &mut self,
        Weights { weight, bias }: Weights<'m>,
        (of_weight, of_bias): (Lent<'m>, Lent<'m>),
        work: impl FnOnce(&mut Self, Sampled<'m>) -> (Sampled<'m>, Result<R>),
    ) -> Result<R> {
        let (units, inputs) = (self.config.units, self.config.inputs);
        if bias.is_some() != self.config.bias {
            let found = if bias.is_some() { "an array" } else { "none" }.to_owned();
            let wanted = if self.config.bias { "an array" } else { "none" }.to_owned();
            return Err(Error::Shape { name: "bias", found, wanted });
        }
        let weight = Rows::lent("weight", (units, inputs), Numbers::F32(weight))?;
        let bias = bias.map(|bias| Rows::lent_column("bias", units, bias)).transpose()?;
        let mut layer = self
            .layer
            .take()
            .ok_or(Error::Busy("an earlier call was abandoned"))?
            .on(Param::lent(weight, of_weight), bias.map(|bias| Param::lent(bias, of_bias)));
        layer.ensure(&self.kernels);
        let (layer, result) = work(self, layer);
        self.layer = Some(layer.on(Param::none(), None));
        result
    }

    /// Inserts every row into the tables.
    fn hash_all(&self, layer: &mut Sampled<'_>) {
        if let Some(index) = layer.sampler_mut().index_mut() {
            index.expect(self.length);
            index.moved_mut().into_iter().for_each(|moved| moved.fill(true));
        }
        layer.rehash(&self.kernels);
    }

    /// Does what the schedule of the tables says is due after `steps` optimiser steps; whether
    /// anything was.
    ///
    /// # Errors
    ///
    /// If the memory does not fit.
    pub fn rehash_if_due(&mut self, weights: Weights<'_>, steps: u64) -> Result<bool> {
        if !self.built {
            return Ok(false);
        }
        let length = self.length;
        self.with(weights, false, |Work { kernels, layer, .. }| {
            if let Some(index) = layer.sampler_mut().index_mut() {
                index.expect(length);
            }
            Ok(layer.rehash_if_due(kernels, steps))
        })
    }
}

/// Moments, by name.
type Lent<'m> = Vec<(&'static str, Rows<'m>)>;

impl Room {
    /// Tapes for `blocks` blocks.
    fn tapes(&mut self, blocks: usize, config: &HeadConfig) -> &mut [Tape] {
        if self.tapes.len() < blocks {
            self.tapes.resize_with(blocks, || config.tape());
            self.common.resize_with(blocks, Common::default);
        }
        &mut self.tapes[..blocks]
    }
}

impl HeadConfig {
    /// A tape of which one hidden layer stands for the inputs.
    fn tape(&self) -> Tape {
        let mut tape = Tape::new(&[]);
        tape.edges.push(Edges::default());
        tape.output.logits = Some(Vec::new());
        tape.hidden.push(if self.sparse {
            LayerTape::Sampled(Box::<SampledTape>::default())
        } else {
            LayerTape::Dense(DenseTape::new(self.inputs))
        });
        tape
    }
}
