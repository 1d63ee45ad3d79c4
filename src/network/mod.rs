//! The network: hidden layers of both kinds, then a wide layer of which a sample computes a few
//! neurons.

mod epoch;
mod exact;
mod found;
mod grow;
mod observe;
mod predict;
mod recall;
mod state;
mod step;

use std::time::Instant;

use crate::config::{HiddenConfig, NetworkConfig};
use crate::error::{Error, Result};
use crate::layer::{FewScratch, FullScratch, Hidden, Place, Sampled, UpdateScratch};
use crate::optim::{Optimizer, Param};
use crate::phases::{Phase, Phases};
use crate::rows::Matrix;
use crate::sampler::Pool;
use crate::schedule::Run;
use crate::simd::Kernels;
use crate::tape::{BLOCK, LayerTape, Tape};

pub(crate) use exact::{Exact, Searched};

pub use epoch::{Cursor, EpochOptions, EpochReport, Progress};
pub use grow::NewLabels;
pub use observe::LayerTables;
pub use predict::Mode;
pub use state::LayerState;
pub use step::BatchReport;

/// A network and everything that its training needs.
///
/// All work runs on the rayon pool of the caller (`ThreadPool::install`); weights, losses and
/// predictions are the same bits at any number of threads.
#[derive(Debug)]
pub struct Network {
    config: NetworkConfig,
    kernels: Kernels,
    hidden: Vec<Hidden>,
    output: Sampled<'static>,
    /// One for each layer, the output layer last.
    optimizers: Vec<Optimizer>,
    counters: Counters,
    /// On every learning rate, beside the schedule. It is not saved: who sets it keeps it.
    rate_factor: f32,
    workspace: Workspace,
}

/// How far training has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Optimiser steps.
    pub steps: u64,
    /// Epochs begun.
    pub epochs: u64,
    /// Steps since the moments of the optimiser began at zero.
    pub updates: u64,
    /// The run that the learning rate follows.
    pub run: Run,
}

/// Every reusable buffer of a step.
#[derive(Debug, Default)]
struct Workspace {
    /// A tape for each block of the largest batch so far; the first `blocks` are in use.
    tapes: Vec<Tape>,
    blocks: usize,
    /// Those of predictions, which leave the others as the last batch left them.
    prediction: Vec<Tape>,
    /// One for each hidden layer.
    layers: Vec<LayerRoom>,
    /// Active neurons of each sampled hidden layer in all samples of the epoch.
    hidden_active: Vec<u64>,
    update: UpdateScratch,
    full: FullScratch,
    few: FewScratch,
    bias_gradient: Vec<f32>,
    rehash_seconds: f64,
    phases: Phases,
    /// The labels of the batch, where its samples are each other's negatives.
    pool: Pool,
    labels: Vec<u32>,
    label_ends: Vec<usize>,
}

/// What a dense layer gives to the whole batch, a row for each sample.
#[derive(Debug, Default)]
struct LayerRoom {
    /// Outputs, where a sampled layer reads them.
    outputs: Matrix,
    /// Gradients of the pre-activations.
    deltas: Matrix,
}

impl Network {
    /// Makes a network: checks `config`, fills in what it leaves open, draws the weights, builds
    /// the hash tables.
    ///
    /// ```
    /// # use slide_rs::config::NetworkConfig;
    /// let json = r#"{"seed": 0, "loss": "softmax",
    ///     "input": {"features": 50, "normalize": true, "dropout": null},
    ///     "hidden": [{"kind": "dense", "units": 8, "activation": "linear", "norm": null,
    ///         "dropout": 0.0, "dtype": "f32", "optimizer": null}],
    ///     "output": {"units": 20, "bias": true, "sampler": {"kind": "full"}, "dtype": "f32",
    ///         "optimizer": null},
    ///     "optimizer": {"kind": "sgd", "lr": null, "momentum": 0.0, "nesterov": false},
    ///     "clip": {"norm": null, "value": null}, "update": "sharded",
    ///     "schedule": {"warmup": null, "decay": "cosine"}}"#;
    /// let network = slide_rs::Network::new(NetworkConfig::from_json(json)?)?;
    /// assert_eq!(network.config().output.units, 20);
    /// # Ok::<(), slide_rs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If a value is outside its range, there is not enough memory, or `SLIDE_RS_ISA` names an
    /// unknown instruction set.
    pub fn new(config: NetworkConfig) -> Result<Self> {
        config.check()?;
        let config = config.resolve();
        // Values that were left open may not go with those that were given.
        config.check()?;
        check_memory(config.bytes())?;
        let (optimizer, seed) = (&config.optimizer, config.seed);
        let mut place = Place {
            inputs: config.input.features,
            sparse: true,
            input_norm: 1.0,
            optimizer,
            update: config.update,
            seed,
            number: 0,
        };
        let mut hidden: Vec<Hidden> = Vec::with_capacity(config.hidden.len());
        for layer in &config.hidden {
            hidden.push(Hidden::new(layer, place));
            place.inputs = layer.units();
            place.sparse = matches!(layer, HiddenConfig::Sampled(_));
            place.input_norm = layer.norm().filter(|&norm| norm > 0.0).unwrap_or(1.0);
            place.number += 1;
        }
        let output = Sampled::output(&config.output, place);
        let workspace = Workspace {
            layers: hidden.iter().map(|_| LayerRoom::default()).collect(),
            hidden_active: vec![0; hidden.len()],
            ..Workspace::default()
        };
        let mut network = Self {
            kernels: Kernels::detect()?,
            hidden,
            output,
            optimizers: config
                .optimizers()
                .map(|optimizer| Optimizer::new(optimizer, config.clip))
                .collect(),
            counters: Counters::default(),
            rate_factor: 1.0,
            workspace,
            config,
        };
        network.rehash();
        Ok(network)
    }

    /// The configuration with every value filled in.
    #[must_use]
    pub const fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// The kernels in use.
    #[must_use]
    pub const fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// The hidden layers, first to last.
    #[must_use]
    pub fn hidden(&self) -> &[Hidden] {
        &self.hidden
    }

    /// The output layer.
    #[must_use]
    pub const fn output(&self) -> &Sampled<'static> {
        &self.output
    }

    /// How far training has come.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Goes on from `counters`, as a loaded network does.
    pub fn set_counters(&mut self, counters: Counters) {
        self.counters = counters;
        for layer in self.sampled_mut() {
            layer.resume(counters.steps);
        }
    }

    /// Every parameter with its name, in a fixed order.
    #[must_use]
    pub fn params(&self) -> Vec<(String, &Param<'static>)> {
        let mut all = vec![];
        for (i, layer) in self.hidden.iter().enumerate() {
            let (weights, bias) = layer.params();
            all.push((format!("hidden.{i}.weight"), weights));
            all.extend(bias.map(|bias| (format!("hidden.{i}.bias"), bias)));
        }
        let (weights, bias) = self.output.params();
        all.push(("output.weight".to_owned(), weights));
        all.extend(bias.map(|bias| ("output.bias".to_owned(), bias)));
        all
    }

    /// Sets the biases of the output layer, one for each neuron.
    ///
    /// # Errors
    ///
    /// If it has no biases, there are more or fewer values, or one is not finite.
    pub fn set_output_bias(&mut self, values: &[f32]) -> Result<()> {
        self.settle();
        let units = self.output.units();
        let (_, bias) = self.output.params_mut();
        let fine = bias.is_some() && values.len() == units && values.iter().all(|x| x.is_finite());
        let Some(bias) = bias.filter(|_| fine) else {
            let found = format!("{} values", values.len());
            let wanted = format!("a finite one for each of {units} outputs, which have biases");
            return Err(Error::Shape { name: "bias", found, wanted });
        };
        bias.weights_mut().assign(values.iter().copied());
        self.rehash_all();
        Ok(())
    }

    /// Every parameter, in the order of [`Network::params`]. Rows that are changed by hand are
    /// found by hashing only after [`Network::rehash_all`].
    pub fn params_mut(&mut self) -> Vec<&mut Param<'static>> {
        let hidden = self.hidden.iter_mut().map(Hidden::params_mut);
        let all = hidden.chain([self.output.params_mut()]);
        all.flat_map(|(weights, bias)| [Some(weights), bias]).flatten().collect()
    }

    /// Where the time went since the last epoch began.
    #[must_use]
    pub const fn phases(&self) -> &Phases {
        &self.workspace.phases
    }

    /// The sampled layers, first to last; the output layer is one of them.
    #[must_use]
    pub fn sampled(&self) -> Vec<&Sampled<'static>> {
        self.hidden.iter().filter_map(Hidden::sampled).chain([&self.output]).collect()
    }

    /// The active neurons of sample `sample` of the last batch, in layer `layer`: of a sampled
    /// hidden layer, or of the output layer, which is the last; labels first there.
    #[must_use]
    pub fn last_active(&self, layer: usize, sample: usize) -> &[u32] {
        let Some(tape) = self.workspace.tapes.get(sample / BLOCK) else { return &[] };
        let sampled = match tape.hidden.get(layer) {
            None => &tape.output,
            Some(LayerTape::Sampled(tape)) => tape,
            Some(LayerTape::Dense(_)) => return &[],
        };
        sampled.active.ids_of(sample % BLOCK)
    }

    fn sampled_mut(&mut self) -> impl Iterator<Item = &mut Sampled<'static>> {
        self.hidden.iter_mut().filter_map(Hidden::sampled_mut).chain([&mut self.output])
    }

    /// Starts a run of `total` optimiser steps: warm-up, then decay to its end.
    pub const fn begin_run(&mut self, total: u64) {
        self.counters.run = Run { start: self.counters.steps, total: Some(total) };
    }

    /// Multiplies the learning rates of the steps that follow, whatever the schedule says; a new
    /// network has 1.
    ///
    /// # Errors
    ///
    /// If it is negative or not finite.
    pub fn set_rate_factor(&mut self, factor: f32) -> Result<()> {
        if !(factor.is_finite() && factor >= 0.0) {
            let wanted = "a finite number of at least 0";
            return Err(Error::Config { name: "rate_factor", found: factor.to_string(), wanted });
        }
        self.rate_factor = factor;
        Ok(())
    }

    /// Goes on at the full learning rate, with no end in sight: after the warm-up of the first steps
    /// of the network it stays, unless it goes down in steps.
    pub fn begin_stream(&mut self) {
        self.counters.run = Run::default();
    }

    /// Inserts every row that moved into the hash tables again.
    pub fn rehash(&mut self) {
        self.settle();
        let clock = Instant::now();
        let kernels = self.kernels;
        self.ready();
        self.sampled_mut().for_each(|layer| layer.rehash(&kernels));
        self.workspace.add_rehash(clock);
    }

    /// Makes up for the steps that rows have missed, where the optimiser asks for it: with weight
    /// decay, and with moments that decay. Done when tables are built and a network is saved; what
    /// only reads a network leaves it as it is.
    pub fn settle(&mut self) {
        let Self { hidden, output, optimizers, kernels, .. } = self;
        let layers = hidden.iter_mut().map(Hidden::params_mut).chain([output.params_mut()]);
        let mut settled = false;
        for (optimizer, (weights, bias)) in optimizers.iter_mut().zip(layers) {
            settled |= optimizer.is_pending();
            optimizer.flush(kernels, [Some(weights), bias].into_iter().flatten());
        }
        if settled {
            self.all_moved();
        }
    }

    fn all_moved(&mut self) {
        for layer in self.sampled_mut() {
            if let Some(index) = layer.sampler_mut().index_mut() {
                index.moved_mut().into_iter().for_each(|moved| moved.fill(true));
            }
        }
    }

    /// Inserts every row into the hash tables again.
    pub fn rehash_all(&mut self) {
        self.all_moved();
        self.rehash();
    }
}

impl Workspace {
    fn add_rehash(&mut self, clock: Instant) {
        let seconds = clock.elapsed().as_secs_f64();
        self.rehash_seconds += seconds;
        self.phases.add(Phase::Rehash, seconds * rayon::current_num_threads() as f64);
    }
}

/// Asks the system whether it would give that much, before pieces of it are asked for with no way
/// to take a refusal.
fn check_memory(bytes: u128) -> Result<()> {
    let fits = |bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok();
    if usize::try_from(bytes).is_ok_and(fits) {
        Ok(())
    } else {
        Err(Error::Memory { what: "a network of these sizes", bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::plain;

    #[test]
    fn a_network_that_no_memory_can_hold_is_refused() {
        let most = i32::MAX as usize;
        let refused = Network::new(plain(most, most, most)).unwrap_err();
        assert!(matches!(refused, Error::Memory { .. }), "{refused}");
    }
}
