//! A dense network in f64, written from the formulas.

use slide_rs::Network;
use slide_rs::config::{Activation, Loss, NetworkConfig};

use super::Data;

/// Parameters in the order of `Network::params`, as plain vectors.
#[derive(Clone)]
pub struct Reference {
    config: NetworkConfig,
    pub params: Vec<Vec<f64>>,
    moments: Vec<[Vec<f64>; 2]>,
}

/// `|got - wanted| / |wanted|` in the Euclidean norm; absolute where `wanted` is zero.
pub fn relative_error(got: &[f64], wanted: &[f64]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let error = norm(&mut got.iter().zip(wanted).map(|(a, b)| a - b));
    error / norm(&mut wanted.iter().copied()).max(1e-3)
}

impl Reference {
    pub fn of(network: &Network) -> Self {
        let params: Vec<Vec<f64>> = network
            .params()
            .iter()
            .map(|(_, p)| p.weights().to_vec().into_iter().map(f64::from).collect())
            .collect();
        let moments = params.iter().map(|p| [vec![0.0; p.len()], vec![0.0; p.len()]]).collect();
        Self { config: network.config().clone(), params, moments }
    }

    fn input(&self, data: &Data, row: usize) -> Vec<f64> {
        let (indptr, ids, values) = &data.x;
        let range = indptr[row] as usize..indptr[row + 1] as usize;
        // Duplicate ids add up after scaling, as the engine sees the row as it stands.
        let norm = values[range.clone()].iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let mut x = vec![0.0; data.n_features];
        for i in range {
            x[ids[i] as usize] += f64::from(values[i]) / norm;
        }
        x
    }

    fn labels(data: &Data, row: usize) -> Vec<usize> {
        let (indptr, ids) = &data.y;
        let range = indptr[row] as usize..indptr[row + 1] as usize;
        let mut labels: Vec<usize> = ids[range].iter().map(|&id| id as usize).collect();
        labels.dedup();
        labels
    }

    /// Mean loss over the rows with labels, and the gradient of the sum of losses over all rows.
    pub fn loss_and_gradients(&self, data: &Data) -> (f64, Vec<Vec<f64>>) {
        let mut gradients: Vec<Vec<f64>> = self.params.iter().map(|p| vec![0.0; p.len()]).collect();
        let rows = data.y.0.len() - 1;
        let (mut total, mut labelled) = (0.0, 0);
        for row in 0..rows {
            let labels = Self::labels(data, row);
            if !labels.is_empty() {
                labelled += 1;
                total += self.sample(&self.input(data, row), &labels, rows, &mut gradients);
            }
        }
        // The engine's gradient is of the mean over all rows, its loss the mean over labelled ones.
        (total / f64::from(labelled), gradients)
    }

    fn sample(&self, x: &[f64], labels: &[usize], rows: usize, out: &mut [Vec<f64>]) -> f64 {
        let depth = self.config.hidden.len();
        let mut inputs = vec![x.to_vec()];
        let mut kept = vec![];
        for l in 0..depth {
            let (weights, bias) = (&self.params[2 * l], &self.params[2 * l + 1]);
            let (units, before) = (bias.len(), &inputs[l]);
            let z: Vec<f64> = (0..units)
                .map(|u| {
                    let sum: f64 =
                        (0..before.len()).map(|i| before[i] * weights[i * units + u]).sum();
                    bias[u] + sum
                })
                .collect();
            let layer = &self.config.hidden[l];
            let a: Vec<f64> = z
                .iter()
                .map(|&z| match layer.activation {
                    Activation::Linear => z,
                    Activation::Relu => z.max(0.0),
                    Activation::Tanh => z.tanh(),
                })
                .collect();
            let norm = f64::from(layer.norm.unwrap());
            let length = a.iter().map(|a| a * a).sum::<f64>().sqrt();
            let factor = match (norm > 0.0, length > 0.0) {
                (false, _) => 1.0,
                (true, true) => norm / length,
                (true, false) => 0.0,
            };
            inputs.push(a.iter().map(|a| a * factor).collect());
            kept.push((z, a, factor, length));
        }
        let (weights, bias) = (&self.params[2 * depth], &self.params[2 * depth + 1]);
        let h = &inputs[depth];
        let logits: Vec<f64> = (0..bias.len())
            .map(|u| bias[u] + (0..h.len()).map(|i| h[i] * weights[u * h.len() + i]).sum::<f64>())
            .collect();
        let target = match self.config.loss {
            Loss::Softmax => 1.0 / labels.len() as f64,
            Loss::SoftmaxPerLabel => 1.0,
        };
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|a| (a - max).exp()).sum();
        let loss = labels.iter().map(|&l| -target * (logits[l] - max - sum.ln())).sum();

        let mut delta: Vec<f64> = logits
            .iter()
            .map(|a| (a - max).exp() / sum * target * labels.len() as f64 / rows as f64)
            .collect();
        for &label in labels {
            delta[label] -= target / rows as f64;
        }
        let mut back = vec![0.0; h.len()];
        for (u, delta) in delta.iter().enumerate() {
            out[2 * depth + 1][u] += delta;
            for i in 0..h.len() {
                out[2 * depth][u * h.len() + i] += delta * h[i];
                back[i] += delta * weights[u * h.len() + i];
            }
        }
        for l in (0..depth).rev() {
            let (z, a, factor, length) = &kept[l];
            let layer = &self.config.hidden[l];
            if layer.norm.unwrap() > 0.0 {
                let along: f64 = a.iter().zip(&back).map(|(a, d)| a * d).sum();
                for (d, a) in back.iter_mut().zip(a) {
                    *d = if *length > 0.0 {
                        factor * (*d - a * along / (length * length))
                    } else {
                        0.0
                    };
                }
            }
            for (d, z) in back.iter_mut().zip(z) {
                *d *= match layer.activation {
                    Activation::Linear => 1.0,
                    Activation::Relu => f64::from(u8::from(*z > 0.0)),
                    Activation::Tanh => 1.0 - z.tanh().powi(2),
                };
            }
            let (before, units) = (&inputs[l], back.len());
            let mut next = vec![0.0; before.len()];
            for (u, delta) in back.iter().enumerate() {
                out[2 * l + 1][u] += delta;
                for i in 0..before.len() {
                    out[2 * l][i * units + u] += delta * before[i];
                    next[i] += delta * self.params[2 * l][i * units + u];
                }
            }
            back = next;
        }
        loss
    }

    /// One step of Adam; a row of a parameter that no sample touches rests, as in the engine.
    pub fn adam_step(&mut self, data: &Data, lr: f64, t: i32) -> f64 {
        let (loss, gradients) = self.loss_and_gradients(data);
        let (beta1, beta2, eps) = (f64::from(0.9_f32), f64::from(0.999_f32), f64::from(1e-8_f32));
        let touched = self.touched_features(data);
        let units = self.config.hidden[0].units;
        for (p, gradient) in gradients.iter().enumerate() {
            for (i, &g) in gradient.iter().enumerate() {
                if p == 0 && !touched[i / units] {
                    continue;
                }
                let [m, v] = &mut self.moments[p];
                m[i] = beta1 * m[i] + (1.0 - beta1) * g;
                v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                let unbiased = (m[i] / (1.0 - beta1.powi(t)), v[i] / (1.0 - beta2.powi(t)));
                self.params[p][i] -= lr * unbiased.0 / (unbiased.1.sqrt() + eps);
            }
        }
        loss
    }

    fn touched_features(&self, data: &Data) -> Vec<bool> {
        let mut touched = vec![false; data.n_features];
        for &id in &data.x.1 {
            touched[id as usize] = true;
        }
        touched
    }
}
