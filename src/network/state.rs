//! What a network in the middle of its training knows beside its parameters: the steps that rows
//! are owed, and the tables as they stand.
//!
//! Random numbers are a function of the seed and the step, and so are the schedules of rates and
//! of tables, so nothing of these is kept but the counters.

use crate::layer::Hidden;
use crate::lsh::IndexState;
use crate::optim::Param;

use super::Network;

/// What a layer knows beside its parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerState {
    /// The learning rates of the steps that rows may have missed.
    pub rates: Vec<f32>,
    /// How many of these steps the rows of each parameter have seen, weights first.
    pub seen: Vec<Vec<u32>>,
    /// What its hash tables know of rows that moved.
    pub index: Option<IndexState>,
}

impl Network {
    /// What each layer knows beside its parameters, the output layer last. A network with the same
    /// parameters and counters that takes it ([`Network::restore`]) goes on bit for bit like this.
    #[must_use]
    pub fn state(&self) -> Vec<LayerState> {
        let params = self.hidden.iter().map(Hidden::params).chain([self.output.params()]);
        let indexes = self.hidden.iter().map(Hidden::sampled).chain([Some(&self.output)]);
        let indexes = indexes.map(|layer| layer.and_then(|layer| layer.sampler().index()));
        let layers = self.optimizers.iter().zip(params.zip(indexes));
        let state = layers.map(|(optimizer, ((weights, bias), index))| {
            let params = [Some(weights), bias].into_iter().flatten();
            let params = params.filter(|_| optimizer.is_pending());
            LayerState {
                rates: optimizer.missed(),
                seen: params.map(Param::seen).collect(),
                index: index.and_then(crate::lsh::Index::state),
            }
        });
        state.collect()
    }

    /// Takes what [`Network::state`] gave. Parameters and counters are there already; tables of
    /// which nothing is remembered are built from the weights.
    ///
    /// # Errors
    ///
    /// If it is not the state of such a network.
    pub fn restore(&mut self, state: &[LayerState]) -> Result<(), &'static str> {
        self.all_moved();
        self.ready();
        let Self { hidden, output, optimizers, kernels, counters, .. } = self;
        if state.len() != optimizers.len() {
            return Err("has more or fewer layers");
        }
        let indexes = hidden.iter_mut().map(Hidden::sampled_mut).chain([Some(&mut *output)]);
        for (layer, state) in indexes.zip(state) {
            let Some(layer) = layer else { continue };
            match (&state.index, layer.sampler_mut().index_mut()) {
                (Some(state), Some(index)) => index.restore(state)?,
                (Some(_), None) => return Err("has tables where its configuration has none"),
                (None, _) => layer.rehash(kernels),
            }
        }
        let layers = hidden.iter_mut().map(Hidden::params_mut).chain([output.params_mut()]);
        let layers = optimizers.iter_mut().zip(layers).zip(state);
        for ((optimizer, (weights, bias)), state) in layers {
            let rates = &state.rates;
            if rates.len() as u64 > counters.updates || !rates.iter().all(|lr| lr.is_finite()) {
                return Err("has missed steps that were not made");
            }
            optimizer.remember(counters.updates, rates);
            let params: Vec<&mut Param<'static>> =
                [Some(weights), bias].into_iter().flatten().collect();
            if rates.is_empty() && state.seen.is_empty() {
                continue;
            }
            let seen = state.seen.iter().flatten().all(|&seen| seen as usize <= rates.len());
            let fits = optimizer.is_pending() && seen && state.seen.len() == params.len();
            let mut both = params.into_iter().zip(&state.seen);
            if !fits || !both.all(|(param, seen)| param.set_seen(seen)) {
                return Err("has rows that have seen other steps than were made");
            }
        }
        Ok(())
    }
}
