//! A network in f64 of any stack of layers, written from the formulas, with given active sets.
//!
//! Every layer is a loop over its active neurons; the others output zero and get no gradient. A
//! dense layer is one in which all are active, whose weights lie feature by feature.

use std::collections::BTreeMap;

use slide_rs::Network;
use slide_rs::config::{Activation, HiddenConfig, Loss, NetworkConfig, SamplerConfig};

use super::{Data, formulas};

/// The active neurons of one sample in every layer, the output layer last.
pub type Active = Vec<Vec<usize>>;

/// A network in f64.
#[derive(Clone)]
pub struct Reference {
    loss: Loss,
    normalize: bool,
    /// Whether the output layer subtracts log q from the logits of random neurons, as only a
    /// softmax wants it.
    log_q: bool,
    layers: Vec<Layer>,
    /// In the order of `Network::params`, row after row.
    pub params: Vec<Vec<f64>>,
}

/// One layer; weights and biases are numbers of parameters.
#[derive(Clone)]
struct Layer {
    weights: usize,
    bias: Option<usize>,
    inputs: usize,
    units: usize,
    by_feature: bool,
    activation: Activation,
    norm: f64,
}

/// What a sample leaves behind in a layer; zero where a neuron is not active.
struct Trace {
    inputs: Vec<f64>,
    sums: Vec<f64>,
    activations: Vec<f64>,
    outputs: Vec<f64>,
}

/// The loss of a batch.
pub struct Value {
    /// Mean of the rows with labels, as the engine reports it.
    pub loss: f64,
    /// Mean of all rows: what the gradients belong to.
    pub objective: f64,
    /// The side of every kink that a pre-activation or a logit is on.
    pub sides: Vec<bool>,
}

/// The Euclidean norm.
pub fn length(x: impl IntoIterator<Item = f64>) -> f64 {
    x.into_iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The Euclidean norm of the difference.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    length(a.iter().zip(b).map(|(a, b)| a - b))
}

impl Layer {
    /// Place of a weight in its parameter.
    fn at(&self, unit: usize, input: usize) -> usize {
        if self.by_feature { input * self.units + unit } else { unit * self.inputs + input }
    }

    fn forward(&self, params: &[Vec<f64>], active: &[usize], inputs: Vec<f64>) -> Trace {
        let zeros = vec![0.0; self.units];
        let (mut sums, mut activations) = (zeros.clone(), zeros);
        let weights = &params[self.weights];
        for &unit in active {
            let products = (0..self.inputs).map(|i| inputs[i] * weights[self.at(unit, i)]);
            sums[unit] = products.sum::<f64>() + self.bias.map_or(0.0, |bias| params[bias][unit]);
            activations[unit] = formulas::activation(self.activation, sums[unit]).0;
        }
        let factor = self.factor(&activations);
        let outputs = activations.iter().map(|a| a * factor).collect();
        Trace { inputs, sums, activations, outputs }
    }

    /// What scales the activations to the norm of the layer.
    fn factor(&self, activations: &[f64]) -> f64 {
        let length = length(activations.iter().copied());
        match (self.norm > 0.0, length > 0.0) {
            (false, _) => 1.0,
            (true, true) => self.norm / length,
            (true, false) => 0.0,
        }
    }

    /// From the gradients of the outputs to those of the inputs; adds those of the parameters.
    fn backward(
        &self,
        params: &[Vec<f64>],
        active: &[usize],
        trace: &Trace,
        of_outputs: &[f64],
        gradients: &mut [Vec<f64>],
    ) -> Vec<f64> {
        let Trace { inputs, sums, activations, .. } = trace;
        // h = n a / |a|, so da = n / |a| (dh - a (a . dh) / |a|^2).
        let factor = self.factor(activations);
        let square: f64 = activations.iter().map(|a| a * a).sum();
        let along = if self.norm > 0.0 && square > 0.0 {
            activations.iter().zip(of_outputs).map(|(a, d)| a * d).sum::<f64>() / square
        } else {
            0.0
        };
        let mut of_inputs = vec![0.0; self.inputs];
        for &unit in active {
            let of_activation = factor * (of_outputs[unit] - activations[unit] * along);
            let delta = of_activation * formulas::activation(self.activation, sums[unit]).1;
            if let Some(bias) = self.bias {
                gradients[bias][unit] += delta;
            }
            for input in 0..self.inputs {
                let at = self.at(unit, input);
                gradients[self.weights][at] += delta * inputs[input];
                of_inputs[input] += delta * params[self.weights][at];
            }
        }
        of_inputs
    }
}

impl Reference {
    /// The same weights as `network`.
    pub fn of(network: &Network) -> Self {
        let config = network.config();
        let mut number = 0;
        let mut inputs = config.input.features;
        let mut layers = vec![];
        let mut push = |units: usize,
                        bias: bool,
                        by_feature: bool,
                        activation: Activation,
                        norm: Option<f32>| {
            let weights = number;
            number += 1 + usize::from(bias);
            let (bias, norm) = (bias.then_some(weights + 1), f64::from(norm.unwrap_or(0.0)));
            layers.push(Layer { weights, bias, inputs, units, by_feature, activation, norm });
            inputs = units;
        };
        for layer in &config.hidden {
            match layer {
                HiddenConfig::Dense(l) => push(l.units, true, true, l.activation, l.norm),
                HiddenConfig::Sampled(l) => push(l.units, l.bias, false, l.activation, l.norm),
            }
        }
        push(config.output.units, config.output.bias, false, Activation::Linear, None);
        let floats = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
        Self {
            loss: config.loss,
            normalize: config.input.normalize,
            log_q: config.loss.is_softmax()
                && matches!(config.output.sampler, SamplerConfig::Uniform { log_q: true, .. }),
            layers,
            params: network.params().iter().map(|(_, p)| floats(p.weights().to_vec())).collect(),
        }
    }

    /// All neurons active, for every row of `data`.
    pub fn all_active(&self, data: &Data) -> Vec<Active> {
        let all: Active = self.layers.iter().map(|layer| (0..layer.units).collect()).collect();
        vec![all; data.rows().len()]
    }

    /// Loss and the gradient of every parameter, of a batch of all rows of `data`.
    pub fn batch(&self, data: &Data, active: &[Active]) -> (Value, Vec<Vec<f64>>) {
        let mut gradients: Vec<Vec<f64>> = self.params.iter().map(|p| vec![0.0; p.len()]).collect();
        (self.run(data, active, Some(&mut gradients)), gradients)
    }

    /// The same without gradients.
    pub fn value(&self, data: &Data, active: &[Active]) -> Value {
        self.run(data, active, None)
    }

    fn run(&self, data: &Data, active: &[Active], mut gradients: Option<&mut [Vec<f64>]>) -> Value {
        let (rows, mut total, mut labelled) = (active.len() as f64, 0.0, 0);
        let mut sides = vec![];
        for (row, active) in active.iter().enumerate() {
            let targets = self.targets(data, row);
            if !targets.is_empty() {
                let weight = data.weights.as_ref().map_or(1.0, |all| f64::from(all[row]));
                let gradients = gradients.as_deref_mut().map(|all| (all, weight / rows));
                let x = self.features(data, row);
                total += weight * self.sample((x, &targets), active, gradients, &mut sides);
                labelled += 1;
            }
        }
        Value { loss: total / f64::from(labelled.max(1)), objective: total / rows, sides }
    }

    fn features(&self, data: &Data, row: usize) -> Vec<f64> {
        let (indptr, ids, values) = &data.x;
        let range = indptr[row] as usize..indptr[row + 1] as usize;
        // Duplicate ids add up after scaling, as the engine sees the row as it stands.
        let norm = length(values[range.clone()].iter().map(|&v| f64::from(v)));
        let norm = if self.normalize && norm > 0.0 { norm } else { 1.0 };
        let mut x = vec![0.0; data.n_features];
        for i in range {
            x[ids[i] as usize] += f64::from(values[i]) / norm;
        }
        x
    }

    /// The distinct labels of a row with their targets: each has its greatest grade.
    fn targets(&self, data: &Data, row: usize) -> BTreeMap<usize, f64> {
        let (indptr, ids) = &data.y;
        let mut grades = BTreeMap::new();
        for i in indptr[row] as usize..indptr[row + 1] as usize {
            let grade = data.grades.as_ref().map_or(1.0, |grades| f64::from(grades[i]));
            let best = grades.entry(ids[i] as usize).or_insert(grade);
            *best = grade.max(*best);
        }
        let sum: f64 = grades.values().sum();
        if self.loss == Loss::Softmax && sum > 0.0 {
            for grade in grades.values_mut() {
                *grade /= sum;
            }
        }
        grades
    }

    /// The loss of one sample. Adds its sides, and its gradients times the given scale.
    fn sample(
        &self,
        (mut x, targets): (Vec<f64>, &BTreeMap<usize, f64>),
        active: &Active,
        gradients: Option<(&mut [Vec<f64>], f64)>,
        sides: &mut Vec<bool>,
    ) -> f64 {
        let mut traces = vec![];
        for (layer, active) in self.layers.iter().zip(active) {
            let trace = layer.forward(&self.params, active, std::mem::take(&mut x));
            let side =
                |&unit: &usize| formulas::side_of_activation(layer.activation, trace.sums[unit]);
            sides.extend(active.iter().filter_map(side));
            x.clone_from(&trace.outputs);
            traces.push(trace);
        }
        let units = active.last().unwrap();
        let targets: Vec<Option<f64>> =
            units.iter().map(|unit| targets.get(unit).copied()).collect();
        let log_q = self.log_q(&targets);
        let correct = |(&unit, target): (&usize, &Option<f64>)| {
            if target.is_some() { x[unit] } else { x[unit] - log_q }
        };
        let logits: Vec<f64> = units.iter().zip(&targets).map(correct).collect();
        let pairs = logits.iter().zip(&targets);
        sides.extend(pairs.filter_map(|(&a, &y)| formulas::side_of_loss(self.loss, a, y)));
        let (loss, of_logits) = formulas::loss(self.loss, &logits, &targets);

        let Some((gradients, scale)) = gradients else { return loss };
        let mut deltas = vec![0.0; x.len()];
        for (&unit, delta) in units.iter().zip(&of_logits) {
            deltas[unit] = scale * delta;
        }
        for ((layer, active), trace) in self.layers.iter().zip(active).zip(&traces).rev() {
            deltas = layer.backward(&self.params, active, trace, &deltas, gradients);
        }
        loss
    }

    /// The log of the probability that a neuron that is no label is drawn.
    fn log_q(&self, targets: &[Option<f64>]) -> f64 {
        let labels = targets.iter().flatten().count();
        let (drawn, others) = (targets.len() - labels, self.layers.last().unwrap().units - labels);
        if self.log_q && drawn > 0 { (drawn as f64 / others as f64).ln() } else { 0.0 }
    }
}

/// Asserts that a step of the engine, of plain gradient descent at learning rate 1 and with these
/// active sets, had the loss of the reference and changed every parameter by minus its gradient.
pub fn assert_step(
    name: &str,
    data: &Data,
    active: &[Active],
    (before, after): (&Reference, &Reference),
    loss: f64,
) {
    let (wanted, gradients) = before.batch(data, active);
    // Sums of up to 70 products in f32, carried through three layers.
    let error = (loss - wanted.loss).abs();
    assert!(error < 1e-5 * wanted.loss.max(1.0), "{name}: loss {loss}, not {}", wanted.loss);
    let params = before.params.iter().zip(&after.params);
    for (p, ((before, after), gradient)) in params.zip(&gradients).enumerate() {
        let got: Vec<f64> = before.iter().zip(after).map(|(b, a)| b - a).collect();
        // The same sums, where positive and negative terms cancel to a tenth or less; and the
        // rounding of the changed weights themselves, half a unit in the last place of each.
        let rounding = f64::from(f32::EPSILON) / 2.0 * length(after.iter().copied());
        let bound = 1e-4 * length(gradient.iter().copied()) + rounding;
        let error = distance(&got, gradient);
        assert!(error < bound, "{name}: parameter {p}: {error} above {bound}");
    }
}

/// The active sets of the last batch of `network`, of as many samples as `data` has rows.
pub fn last_active(network: &Network, data: &Data) -> Vec<Active> {
    let NetworkConfig { hidden, output, .. } = network.config();
    let of_hidden = hidden.iter().map(|layer| match layer {
        HiddenConfig::Dense(_) => (layer.units(), &SamplerConfig::Full {}),
        HiddenConfig::Sampled(sampled) => (layer.units(), &sampled.sampler),
    });
    let layers: Vec<_> = of_hidden.chain([(output.units, &output.sampler)]).collect();
    let of_sample = |sample| {
        let of_layer = |(number, &(units, sampler)): (usize, &(usize, &SamplerConfig))| {
            if matches!(sampler, SamplerConfig::Full {}) {
                return (0..units).collect();
            }
            network.last_active(number, sample).iter().map(|&id| id as usize).collect()
        };
        layers.iter().enumerate().map(of_layer).collect()
    };
    (0..data.rows().len()).map(of_sample).collect()
}
