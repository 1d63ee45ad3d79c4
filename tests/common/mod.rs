//! What the integration tests share: small data sets and configurations.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

pub mod reference;

use slide_rs::EpochOptions;
use slide_rs::config::{
    Activation, AdamMode, ClipConfig, Decay, DenseConfig, Dtype, HiddenConfig, InputConfig, Loss,
    LshConfig, NetworkConfig, OptimizerConfig, OutputConfig, RebuildConfig, SamplerConfig,
    ScheduleConfig, TablesConfig, UpdateMode,
};
use slide_rs::rng::{Rng, Stream};
use slide_rs::sparse::{CsrView, Features, IdLists, Indices};

/// A data set in compressed rows.
pub struct Data {
    pub n_features: usize,
    pub n_labels: usize,
    pub x: (Vec<i64>, Vec<i64>, Vec<f32>),
    pub y: (Vec<i32>, Vec<i32>),
}

impl Data {
    /// 40 rows, 30 features, 70 labels, with an empty row of each kind and a duplicate.
    pub fn small() -> Self {
        let mut data = Self::random(40, 30, 70, 3);
        let n = data.y.1.len() as i32;
        // A row without labels and one without features; and a row whose label stands twice.
        data.x.0.push(*data.x.0.last().unwrap());
        data.y.0.push(n);
        data.x.0.push(*data.x.0.last().unwrap());
        data.y.1.extend([5, 5]);
        data.y.0.push(n + 2);
        data
    }

    /// Random rows with 1 to `most` labels each.
    pub fn random(rows: usize, n_features: usize, n_labels: usize, most: u32) -> Self {
        let mut data =
            Self { n_features, n_labels, x: (vec![0], vec![], vec![]), y: (vec![0], vec![]) };
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

pub fn labels(data: &Data) -> IdLists<'_> {
    let (indptr, ids) = &data.y;
    IdLists::new("Y", Indices::I32(indptr), Indices::I32(ids), data.n_labels).unwrap()
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

/// For `Data::small`: without dropout; all neurons computed, by active sets or by products.
pub fn config(hidden: &[usize], activation: Activation, norm: f32, sampled: bool) -> NetworkConfig {
    let layer = |&units: &usize| {
        HiddenConfig::Dense(DenseConfig {
            units,
            activation,
            norm: Some(norm),
            dropout: 0.0,
            dtype: Dtype::F32,
            optimizer: None,
        })
    };
    NetworkConfig {
        seed: 3,
        loss: Loss::Softmax,
        input: InputConfig { features: 30, normalize: true, dropout: Some(0.0) },
        hidden: hidden.iter().map(layer).collect(),
        output: OutputConfig {
            units: 70,
            bias: true,
            sampler: if sampled { lsh(70) } else { SamplerConfig::Full {} },
            dtype: Dtype::F32,
            optimizer: None,
        },
        optimizer: adam(0.01),
        clip: ClipConfig::default(),
        schedule: ScheduleConfig { warmup: Some(0), decay: Decay::Constant },
        update: UpdateMode::Sharded,
    }
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
    }
}

/// Runs `work` on a pool of its own.
pub fn with_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}
