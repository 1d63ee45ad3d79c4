//! What the integration tests share: small data sets and configurations.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

pub mod formulas;
pub mod reference;

use slide_rs::config::{
    Activation, AdamMode, ClipConfig, Decay, DenseConfig, Dtype, HiddenConfig, InputConfig, LogQ,
    Loss, LshConfig, NetworkConfig, OptimizerConfig, OutputConfig, RebuildConfig, SampledConfig,
    SamplerConfig, ScheduleConfig, SecondMoment, TablesConfig, UpdateMode,
};
use slide_rs::rng::{Rng, Stream};
use slide_rs::rows::Rows;
use slide_rs::sparse::{CsrView, Features, IdLists, Indices};
use slide_rs::{EpochOptions, Network, Targets};

/// A data set in compressed rows.
pub struct Data {
    pub n_features: usize,
    pub n_labels: usize,
    pub x: (Vec<i64>, Vec<i64>, Vec<f32>),
    pub y: (Vec<i32>, Vec<i32>),
    /// A grade for each label; all count alike without.
    pub grades: Option<Vec<f32>>,
    /// A weight for each row; all count alike without.
    pub weights: Option<Vec<f32>>,
}

impl Data {
    /// More than one block of rows, the odd ones among them; 30 features, 70 labels.
    pub fn small() -> Self {
        Self::random(18, 30, 70, 3).with_odd_rows()
    }

    /// Random rows and the odd ones, with grades and weights, of each of which one is zero.
    pub fn graded(rows: usize, n_features: usize, n_labels: usize) -> Self {
        let mut data = Self::random(rows, n_features, n_labels, 3).with_odd_rows();
        let mut rng = Rng::new(12, Stream::Probe, 0, 0);
        let mut some = |n| -> Vec<f32> {
            (0..n).map(|i| if i == 3 { 0.0 } else { 0.25 + 2.0 * rng.uniform() }).collect()
        };
        data.grades = Some(some(data.y.1.len()));
        data.weights = Some(some(data.rows().len()));
        data
    }

    /// Adds a row without labels, and one without features whose labels stand in no order, one of
    /// them twice.
    fn with_odd_rows(mut self) -> Self {
        self.x.1.push(0);
        self.x.2.push(1.0);
        self.x.0.push(self.x.1.len() as i64);
        self.y.0.push(self.y.1.len() as i32);
        self.x.0.push(self.x.1.len() as i64);
        self.y.1.extend([5, 2, 5]);
        self.y.0.push(self.y.1.len() as i32);
        self
    }

    /// Random rows with 1 to `most` labels each.
    pub fn random(rows: usize, n_features: usize, n_labels: usize, most: u32) -> Self {
        let (x, y) = ((vec![0], vec![], vec![]), (vec![0], vec![]));
        let mut data = Self { n_features, n_labels, x, y, grades: None, weights: None };
        for row in 0..rows {
            let mut rng = Rng::new(11, Stream::Probe, 0, row as u64);
            for _ in 0..2 + rng.below(6) {
                data.x.1.push(i64::from(rng.below(n_features as u32)));
                data.x.2.push(rng.uniform() + 0.1);
            }
            data.x.0.push(data.x.1.len() as i64);
            let mut ids: Vec<i32> =
                (0..=rng.below(most)).map(|_| rng.below(n_labels as u32) as i32).collect();
            ids.sort_unstable();
            ids.dedup();
            data.y.1.extend(ids);
            data.y.0.push(data.y.1.len() as i32);
        }
        data
    }

    /// Row `row` alone.
    pub fn row(&self, row: usize) -> Self {
        let ((bounds, ids, values), (ends, labels)) = (&self.x, &self.y);
        let x = bounds[row] as usize..bounds[row + 1] as usize;
        let y = ends[row] as usize..ends[row + 1] as usize;
        Self {
            n_features: self.n_features,
            n_labels: self.n_labels,
            x: (vec![0, x.len() as i64], ids[x.clone()].to_vec(), values[x].to_vec()),
            y: (vec![0, y.len() as i32], labels[y].to_vec()),
            grades: None,
            weights: None,
        }
    }

    pub fn rows(&self) -> Vec<u32> {
        (0..self.y.0.len() as u32 - 1).collect()
    }
}

pub fn features(data: &Data) -> Features<'_> {
    let (indptr, ids, values) = &data.x;
    let lists =
        IdLists::new("X", Indices::I64(indptr), Indices::I64(ids), data.n_features).unwrap();
    Features::Sparse(CsrView::new(lists, values).unwrap())
}

pub fn targets(data: &Data) -> Targets<'_> {
    let (indptr, ids) = &data.y;
    let labels = IdLists::new("Y", Indices::I32(indptr), Indices::I32(ids), data.n_labels).unwrap();
    let mut targets = Targets::new(labels);
    if let Some(grades) = &data.grades {
        targets = targets.graded(grades).unwrap();
    }
    if let Some(weights) = &data.weights {
        targets = targets.weighted(weights).unwrap();
    }
    targets
}

pub fn epoch(batch_size: usize) -> EpochOptions<'static> {
    EpochOptions { batch_size, shuffle: true, rows: None }
}

/// One hidden layer, everything else by rule.
pub fn plain(features: usize, hidden: usize, units: usize) -> NetworkConfig {
    let mut config = config(&[hidden], Activation::Linear, 8.0, true);
    config.input = InputConfig { features, normalize: true, dropout: None };
    config.output.units = units;
    config.output.sampler = lsh(units.min(100));
    config
}

pub fn lsh(n_active: usize) -> SamplerConfig {
    let open = LshConfig::open();
    SamplerConfig::Lsh(LshConfig {
        n_active: Some(n_active),
        random_share: Some(0.25),
        tables: TablesConfig { n_tables: Some(20), n_hashes: Some(4), ..open.tables.clone() },
        rebuild: RebuildConfig { every: Some(3), growth: Some(1.5), ..open.rebuild.clone() },
        ..open
    })
}

/// Few neurons, those found in the tables first; no log q.
pub fn lsh_alone(n_active: usize) -> SamplerConfig {
    let open = LshConfig::open();
    SamplerConfig::Lsh(LshConfig {
        n_active: Some(n_active),
        random_share: Some(0.0),
        log_q: LogQ::None,
        tables: TablesConfig { n_tables: Some(6), n_hashes: Some(3), ..open.tables.clone() },
        rebuild: RebuildConfig { every: Some(3), growth: Some(1.0), ..open.rebuild.clone() },
        ..open
    })
}

pub const fn uniform(n_active: usize) -> SamplerConfig {
    SamplerConfig::Uniform { n_active: Some(n_active), log_q: true, shared_negatives: false }
}

/// The same, drawn once for a block.
pub const fn shared_uniform(n_active: usize) -> SamplerConfig {
    SamplerConfig::Uniform { n_active: Some(n_active), log_q: true, shared_negatives: true }
}

pub fn dense(units: usize, activation: Activation, norm: f32) -> HiddenConfig {
    HiddenConfig::Dense(DenseConfig {
        units,
        activation,
        norm: Some(norm),
        dropout: 0.0,
        dtype: Dtype::F32,
        optimizer: None,
    })
}

pub fn sampled(
    units: usize,
    sampler: SamplerConfig,
    activation: Activation,
    (norm, bias): (f32, bool),
) -> HiddenConfig {
    HiddenConfig::Sampled(SampledConfig {
        units,
        activation,
        norm: Some(norm),
        bias,
        sampler,
        dtype: Some(Dtype::F32),
        optimizer: None,
    })
}

/// For `Data::small`, with dense hidden layers: all neurons computed, by active sets or by
/// products.
pub fn config(hidden: &[usize], activation: Activation, norm: f32, by_sets: bool) -> NetworkConfig {
    let hidden = hidden.iter().map(|&units| dense(units, activation, norm)).collect();
    let sampler = if by_sets { lsh(70) } else { SamplerConfig::Full {} };
    stack(&Data::small(), hidden, sampler)
}

/// For `data`, without dropout, at a constant learning rate.
pub fn stack(data: &Data, hidden: Vec<HiddenConfig>, sampler: SamplerConfig) -> NetworkConfig {
    NetworkConfig {
        seed: 3,
        loss: Loss::Softmax,
        input: InputConfig { features: data.n_features, normalize: true, dropout: Some(0.0) },
        hidden,
        output: OutputConfig {
            units: data.n_labels,
            bias: true,
            sampler,
            dtype: Some(Dtype::F32),
            optimizer: None,
        },
        optimizer: adam(0.01),
        clip: ClipConfig::default(),
        schedule: ScheduleConfig { warmup: Some(0), decay: Decay::Constant },
        update: UpdateMode::Sharded,
    }
}

/// Plain gradient descent with learning rate 1: a step changes the weights by minus the gradient.
pub const fn gradient_descent() -> OptimizerConfig {
    OptimizerConfig::Sgd { lr: Some(1.0), momentum: 0.0, nesterov: false }
}

/// Gives random values to biases that are zero: a row without features then does not stand at
/// the kink of a rectifier, nor at zero, which has no direction.
pub fn move_biases(network: &mut Network) {
    for (i, param) in network.params_mut().into_iter().enumerate() {
        if param.weights().as_slice().iter().all(|&w| w == 0.0) {
            let mut rng = Rng::new(5, Stream::Probe, 1, i as u64);
            param.weights_mut().assign(std::iter::repeat_with(|| rng.uniform() - 0.4));
        }
    }
    network.rehash_all();
}

/// The bits of every parameter.
pub fn bits(network: &Network) -> Vec<Vec<u32>> {
    let params = network.params();
    let of_param = |rows: &Rows<'_>| rows.to_vec().into_iter().map(f32::to_bits).collect();
    params.iter().map(|(_, param)| of_param(param.weights())).collect()
}

/// Lazy Adam with the usual decays.
pub const fn adam(lr: f32) -> OptimizerConfig {
    OptimizerConfig::Adam {
        lr: Some(lr),
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        mode: AdamMode::Lazy,
        second_moment: Some(SecondMoment::Entry),
        moments: Some(Dtype::F32),
    }
}

/// The same with as little memory as there can be: everything in halves, the output in
/// those of IEEE, and one second moment a row.
pub fn lightest(mut config: NetworkConfig) -> NetworkConfig {
    for layer in &mut config.hidden {
        match layer {
            HiddenConfig::Dense(layer) => layer.dtype = Dtype::Bf16,
            HiddenConfig::Sampled(layer) => layer.dtype = Some(Dtype::Bf16),
        }
    }
    config.output.dtype = Some(Dtype::F16);
    if let OptimizerConfig::Adam { second_moment, moments, .. } = &mut config.optimizer {
        (*second_moment, *moments) = (Some(SecondMoment::Row), Some(Dtype::Bf16));
    }
    config
}

/// Runs `work` on a pool of its own.
pub fn with_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}
