//! A hidden layer of either kind, and the way of a block through all of them.

use crate::config::HiddenConfig;
use crate::optim::{Param, Update};
use crate::phases::Phase;
use crate::rows::Matrix;
use crate::simd::Kernels;
use crate::tape::{LayerTape, Tape};
use crate::touched::Edges;

use super::inputs::{BatchInputs, Inputs, inputs};
use super::update::UpdateScratch;
use super::{Dense, Place, Sampled};

/// A hidden layer.
#[derive(Debug)]
pub enum Hidden {
    /// All units are computed.
    Dense(Box<Dense>),
    /// Few units are computed.
    Sampled(Box<Sampled<'static>>),
}

impl Hidden {
    /// A layer; every value of `config` must be filled in.
    #[must_use]
    pub fn new(config: &HiddenConfig, place: Place<'_>) -> Self {
        match config {
            HiddenConfig::Dense(config) => Self::Dense(Box::new(Dense::new(config, place))),
            HiddenConfig::Sampled(config) => {
                Self::Sampled(Box::new(Sampled::hidden(config, place)))
            }
        }
    }

    /// The layer, where it is a sampled one.
    #[must_use]
    pub fn sampled(&self) -> Option<&Sampled<'static>> {
        match self {
            Self::Dense(_) => None,
            Self::Sampled(layer) => Some(layer),
        }
    }

    /// The layer, where it is a sampled one.
    pub fn sampled_mut(&mut self) -> Option<&mut Sampled<'static>> {
        match self {
            Self::Dense(_) => None,
            Self::Sampled(layer) => Some(layer),
        }
    }

    /// Weights and biases.
    #[must_use]
    pub fn params(&self) -> (&Param<'static>, Option<&Param<'static>>) {
        match self {
            Self::Dense(layer) => layer.params(),
            Self::Sampled(layer) => layer.params(),
        }
    }

    /// Weights and biases.
    pub fn params_mut(&mut self) -> (&mut Param<'static>, Option<&mut Param<'static>>) {
        match self {
            Self::Dense(layer) => layer.params_mut(),
            Self::Sampled(layer) => layer.params_mut(),
        }
    }

    /// Changes every row that a sample of the batch touched. The layer is number `number` in
    /// `tapes`, and `parts` are its edges there; `deltas` are those of a dense layer, `inputs` the
    /// inputs of a sampled one.
    pub fn update<'e, I: Iterator<Item = &'e Edges> + Clone>(
        &mut self,
        how: (&Kernels, &Update),
        (parts, tapes, number): (impl Fn() -> I + Sync, &[Tape], usize),
        (deltas, inputs, n): (&Matrix, BatchInputs<'_>, usize),
        (scratch, bias): (&mut UpdateScratch, &mut Vec<f32>),
    ) {
        match self {
            Self::Dense(layer) => {
                if layer.takes_products(tapes, number) {
                    layer.update_by_products(how, (tapes, number), deltas, scratch);
                } else {
                    layer.update_rows(how, parts, deltas, scratch);
                }
                layer.update_bias(how, (deltas, n), bias);
            }
            Self::Sampled(layer) => layer.update(how, parts, inputs, scratch),
        }
    }
}

/// Takes a block from its features to the input of the output layer. In training, `training` is
/// (seed, step).
pub fn forward(
    kernels: &Kernels,
    layers: &[Hidden],
    training: Option<(u64, u64)>,
    tape: &mut Tape,
) {
    let Tape { first, len, features, hidden, .. } = tape;
    if let Some(Hidden::Dense(layer)) = layers.first() {
        layer.find_rows(&mut features.lists);
    }
    for (i, layer) in layers.iter().enumerate() {
        let (before, here) = hidden.split_at_mut(i);
        let inputs = inputs(features, before.last());
        match (layer, &mut here[0]) {
            (Hidden::Dense(layer), LayerTape::Dense(tape)) => {
                layer.forward(kernels, inputs, *len, tape);
                layer.activate(kernels, (*first, *len), training, tape);
            }
            (Hidden::Sampled(layer), LayerTape::Sampled(tape)) => {
                let draw = training.map(|(seed, step)| (seed, step, *first));
                layer.forward(kernels, (inputs, *len), draw, tape);
            }
            _ => {}
        }
    }
}

/// Takes the gradients of a block back from the outputs of the last hidden layer to the first, and
/// notes which rows of each layer are changed, those of the output layer too.
pub fn backward(kernels: &Kernels, layers: &[Hidden], output: &Sampled<'static>, tape: &mut Tape) {
    let Tape { first, len, hidden, output: last, edges, watch, .. } = tape;
    if let Some(edges) = edges.last_mut()
        && !(output.has_few() && matches!(hidden.last(), Some(LayerTape::Dense(_))))
    {
        let active = &last.active;
        edges.group(
            output.stripes(),
            (0..*len).map(|i| {
                let own = last.own(i);
                ((*first + i) as u32, &active.ids[own.clone()], &active.coefs[own])
            }),
        );
        if last.products.apart {
            let values = &last.products.values;
            let deltas = (values.as_slice(), values.stride());
            edges.bundle(output.stripes(), (*first, *len), last.shared.taken(), deltas);
        }
    }
    watch.lap(Phase::Transpose);
    backward_hidden(kernels, layers, tape);
}

/// The same from the gradients of the outputs of the last hidden layer.
pub fn backward_hidden(kernels: &Kernels, layers: &[Hidden], tape: &mut Tape) {
    let Tape { first, len, features, hidden, edges, watch, .. } = tape;
    for (number, layer) in layers.iter().enumerate().rev() {
        let (before, here) = hidden.split_at_mut(number);
        match (layer, &mut here[0]) {
            (Hidden::Dense(layer), LayerTape::Dense(tape)) => {
                layer.backward(kernels, *len, tape);
                for i in 0..*len {
                    match before.last_mut() {
                        None => {}
                        Some(LayerTape::Dense(before)) => {
                            let out = before.deltas.row_mut(i);
                            layer.input_gradients(kernels, tape, (i, None), out);
                        }
                        Some(LayerTape::Sampled(before)) => {
                            let range = before.active.range(i);
                            let slots = &before.active.slots[range.clone()];
                            let out = &mut before.deltas[range];
                            layer.input_gradients(kernels, tape, (i, Some(slots)), out);
                        }
                    }
                }
                let stripes = layer.weights().weights().stripes();
                match inputs(features, before.last()) {
                    Inputs::Sparse(lists) => edges[number].group(stripes, lists.iter(*first)),
                    Inputs::Dense(_) if !layer.races() => {}
                    Inputs::Dense(values) => {
                        let ids = layer.inputs();
                        let rows = (0..*len).map(|i| (i, &values.row(i)[..ids.len()]));
                        let lists = rows.map(|(i, coefs)| ((*first + i) as u32, ids, coefs));
                        edges[number].group(stripes, lists);
                    }
                }
            }
            (Hidden::Sampled(layer), LayerTape::Sampled(tape)) => {
                layer.backward(kernels, *len, tape);
                for i in 0..*len {
                    let gradient = |columns: Option<&[u32]>, out: &mut [f32]| {
                        let active = (&tape.active, &tape.deltas[..]);
                        layer.input_gradients(kernels, active, (i, columns), out);
                    };
                    into_inputs(before, i, gradient);
                }
                edges[number].group(layer.stripes(), tape.active.with(&tape.deltas, *first));
            }
            _ => {}
        }
    }
    watch.lap(Phase::HiddenBackward);
}

/// Has `gradient` added to those of the outputs of sample `i` of the last layer of `before`: to the
/// given columns, or to all.
pub(crate) fn into_inputs(
    before: &mut [LayerTape],
    i: usize,
    gradient: impl Fn(Option<&[u32]>, &mut [f32]),
) {
    match before.last_mut() {
        None => {}
        Some(LayerTape::Dense(before)) => {
            let out = before.deltas.row_mut(i);
            out.fill(0.0);
            gradient(None, out);
        }
        Some(LayerTape::Sampled(before)) => {
            let range = before.active.range(i);
            let out = &mut before.deltas[range.clone()];
            out.fill(0.0);
            gradient(Some(&before.active.ids[range]), out);
        }
    }
}
