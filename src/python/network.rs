//! The network as a Python class.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::config::{NetworkConfig, SamplerConfig, TablesConfig};
use crate::error::{Error, Result};
use crate::io::model;
use crate::network::{EpochOptions, Mode, Network};
use crate::tape::BLOCK;

use super::arrays::{FeatureArrays, Pattern, TargetArrays};
use super::labels::new_labels;
use super::locked::Locked;
use super::mode::mode_of;
use super::pool::Pool;
use super::reports;
use super::watch::Watch;

/// A network, its threads, and a lock that makes calls from several Python threads wait in turn.
#[pyclass(frozen, name = "Network", module = "slide_rs._core")]
pub(super) struct PyNetwork {
    pub(super) inner: Locked<Network>,
    pub(super) steps: AtomicU64,
    /// The bits of the factor on the learning rate, so that it can be read in the course of a call.
    rate_factor: AtomicU32,
    pub(super) pool: Pool,
    config: Mutex<String>,
    features: usize,
    /// Labels at the end of the last call; what was checked by it is checked again inside of one.
    pub(super) units: AtomicUsize,
    /// What was said of the course of training in the checkpoint that it was loaded from.
    training: Option<String>,
}

type Arrays<'py> = (Bound<'py, PyArray2<i32>>, Bound<'py, PyArray2<f32>>);

type Collisions<'py> = (Bound<'py, PyArray1<f32>>, Bound<'py, PyArray1<u8>>);

impl PyNetwork {
    fn build(
        py: Python<'_>,
        threads: Option<usize>,
        make: impl FnOnce() -> Result<(Network, Option<String>)> + Send,
    ) -> PyResult<Self> {
        let pool = Pool::new(threads)?;
        let (network, training) = py.detach(|| pool.install(make))??;
        let config = network.config();
        Ok(Self {
            config: Mutex::new(config.to_json()),
            features: config.input.features,
            units: AtomicUsize::new(config.output.units),
            steps: AtomicU64::new(network.counters().steps),
            rate_factor: AtomicU32::new(1.0_f32.to_bits()),
            inner: Locked::new(network),
            pool,
            training,
        })
    }

    fn units(&self) -> usize {
        self.units.load(Ordering::Relaxed)
    }

    fn reconfigure(&self, config: String) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

#[pymethods]
impl PyNetwork {
    #[new]
    #[pyo3(signature = (config, threads=None))]
    fn new(py: Python<'_>, config: &str, threads: Option<usize>) -> PyResult<Self> {
        let config = NetworkConfig::from_json(config)?;
        Self::build(py, threads, || Ok((Network::new(config)?, None)))
    }

    /// Reads a network from a safetensors file.
    #[staticmethod]
    #[pyo3(signature = (path, threads=None))]
    fn load(py: Python<'_>, path: PathBuf, threads: Option<usize>) -> PyResult<Self> {
        Self::build(py, threads, || model::load_checkpoint(&path))
    }

    /// The configuration as JSON, with every value filled in.
    #[getter]
    fn config(&self) -> String {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Threads in use.
    #[getter]
    fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Optimiser steps at the end of the last call.
    #[getter]
    fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// The factor on the learning rate, beside the schedule.
    #[getter]
    fn rate_factor(&self) -> f32 {
        f32::from_bits(self.rate_factor.load(Ordering::Relaxed))
    }

    /// Sets that factor; it is not saved.
    fn set_rate_factor(&self, py: Python<'_>, factor: f32) -> PyResult<()> {
        self.run(py, |network, _| network.set_rate_factor(factor), None)?;
        self.rate_factor.store(factor.to_bits(), Ordering::Relaxed);
        Ok(())
    }

    /// Writes the network to a safetensors file.
    fn save(&self, py: Python<'_>, path: PathBuf, include_optimizer: bool) -> PyResult<()> {
        self.run(py, |network, _| model::save(network, &path, include_optimizer), None)
    }

    /// Writes a checkpoint; nothing about the network changes.
    fn checkpoint(&self, py: Python<'_>, path: PathBuf, training: &str) -> PyResult<()> {
        self.run(py, |network, _| model::checkpoint(network, &path, training), None)
    }

    /// What was given to `checkpoint` when the file that this was loaded from was written.
    #[getter]
    fn training(&self) -> Option<String> {
        self.training.clone()
    }

    /// Starts a run of that many steps, or goes on with no end in sight.
    fn begin_fit(&self, py: Python<'_>, total_steps: Option<u64>) -> PyResult<()> {
        let begin = |network: &mut Network, _: &Watch| {
            match total_steps {
                Some(total) => network.begin_run(total),
                None => network.begin_stream(),
            }
            Ok(())
        };
        self.run(py, begin, None)
    }

    /// Trains on one batch.
    #[pyo3(signature = (x, y, weight=None))]
    fn train_batch<'py>(
        &self,
        py: Python<'py>,
        x: FeatureArrays<'py>,
        y: TargetArrays<'py>,
        weight: Option<PyReadonlyArray1<'py, f32>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (x, y) = (x.view("X", self.features)?, y.view("Y", self.units(), weight.as_ref())?);
        let options = EpochOptions { batch_size: usize::MAX, shuffle: false, rows: None };
        let step =
            |network: &mut Network, _: &Watch| network.train_epoch(&x, &y, options, |_| true);
        let report = self.run(py, step, None)?;
        let out = PyDict::new(py);
        out.set_item("loss", report.loss)?;
        out.set_item("active_fraction", report.active_fraction)?;
        out.set_item("lr", report.lr)?;
        Ok(out)
    }

    /// Trains on every row once; or from `cursor` on, `most` steps at most.
    #[pyo3(signature = (
        x, y, batch_size, shuffle=true, rows=None, on_batch=None, weight=None, cursor=None, most=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "the keyword arguments of one Python call")]
    fn train_epoch<'py>(
        &self,
        py: Python<'py>,
        x: FeatureArrays<'py>,
        y: TargetArrays<'py>,
        batch_size: usize,
        shuffle: bool,
        rows: Option<PyReadonlyArray1<'py, i64>>,
        on_batch: Option<Py<PyAny>>,
        weight: Option<PyReadonlyArray1<'py, f32>>,
        cursor: Option<reports::Sums>,
        most: Option<usize>,
    ) -> PyResult<Bound<'py, PyDict>> {
        if batch_size == 0 {
            let (low, high) = (1, usize::MAX);
            return Err(Error::Range { name: "batch_size", found: 0, low, high }.into());
        }
        let (x, y) = (x.view("X", self.features)?, y.view("Y", self.units(), weight.as_ref())?);
        let rows = rows.as_ref().map(|rows| rows.as_slice()).transpose()?;
        let options = EpochOptions { batch_size, shuffle, rows };
        let mut cursor = cursor.map(reports::cursor).unwrap_or_default();
        let piece = (&mut cursor, most.unwrap_or(usize::MAX));
        let train = |network: &mut Network, watch: &Watch| {
            network.train_piece(&x, &y, options, piece, |progress| watch.after_batch(progress))
        };
        let report = self.run(py, train, on_batch.as_ref())?;
        reports::epoch(py, report, cursor)
    }

    /// Seconds by phase since the last epoch began, summed over threads, and how many rows of the
    /// output layer were computed and changed.
    fn phases<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let phases = self.run(py, |network, _| Ok(*network.phases()), None)?;
        reports::phases(py, &phases)
    }

    /// Inserts all rows that moved into the hash tables again.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        let finish = |network: &mut Network, _: &Watch| {
            network.rehash();
            Ok(())
        };
        self.run(py, finish, None)
    }

    /// Sets the biases of the output layer.
    fn set_output_bias(&self, py: Python<'_>, values: PyReadonlyArray1<'_, f32>) -> PyResult<()> {
        let values = values.as_slice()?;
        self.run(py, |network, _| network.set_output_bias(values), None)
    }

    /// The best `k` labels of every row.
    fn predict_topk<'py>(
        &self,
        py: Python<'py>,
        x: FeatureArrays<'py>,
        k: usize,
        mode: &str,
    ) -> PyResult<Arrays<'py>> {
        let mode = mode_of(mode)?;
        let x = x.view("X", self.features)?;
        let (ids, scores) = if mode == Mode::Lsh && x.len() <= BLOCK {
            self.run_here(py, |network| network.predict(&x, (k, mode), || true))?
        } else {
            let predict = |network: &mut Network, watch: &Watch| {
                network.predict(&x, (k, mode), || watch.go_on())
            };
            self.run(py, predict, None)?
        };
        let shape = [x.len(), k];
        Ok((ids.into_pyarray(py).reshape(shape)?, scores.into_pyarray(py).reshape(shape)?))
    }

    /// The logits of given labels.
    fn score<'py>(
        &self,
        py: Python<'py>,
        x: FeatureArrays<'py>,
        candidates: Pattern<'py>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let (x, candidates) =
            (x.view("X", self.features)?, candidates.view("candidates", self.units())?);
        let score =
            |network: &mut Network, watch: &Watch| network.score(&x, &candidates, || watch.go_on());
        Ok(self.run(py, score, None)?.into_pyarray(py))
    }

    /// The logits of all labels.
    fn scores<'py>(
        &self,
        py: Python<'py>,
        x: FeatureArrays<'py>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let x = x.view("X", self.features)?;
        let score = |network: &mut Network, watch: &Watch| network.scores(&x, || watch.go_on());
        let scores = self.run(py, score, None)?;
        let units = scores.len() / x.len().max(1);
        scores.into_pyarray(py).reshape([x.len(), units])
    }

    /// The mean share of the exact best `k` labels of a row that the sampler finds.
    #[pyo3(signature = (x, rows=None, k=1))]
    fn recall_at_k<'py>(
        &self,
        py: Python<'py>,
        x: FeatureArrays<'py>,
        rows: Option<PyReadonlyArray1<'py, i64>>,
        k: usize,
    ) -> PyResult<f64> {
        let x = x.view("X", self.features)?;
        let rows = rows.as_ref().map(|rows| rows.as_slice()).transpose()?;
        let recall = |network: &mut Network, watch: &Watch| {
            network.recall_at_k(&x, (k, rows), || watch.go_on())
        };
        self.run(py, recall, None)
    }

    /// How full the hash tables of a layer are.
    fn table_stats<'py>(&self, py: Python<'py>, layer: usize) -> PyResult<Bound<'py, PyDict>> {
        reports::tables(py, self.run(py, |network, _| network.table_stats(layer), None)?)
    }

    /// Where tables as described would rank the exact best label of every row; 0 for nowhere.
    fn ranks<'py>(
        &self,
        py: Python<'py>,
        tables: &str,
        x: FeatureArrays<'py>,
        rows: Option<PyReadonlyArray1<'py, i64>>,
    ) -> PyResult<Bound<'py, PyArray1<i32>>> {
        let tables: TablesConfig = serde_json::from_str(tables).map_err(Error::Json)?;
        let x = x.view("X", self.features)?;
        let rows = rows.as_ref().map(|rows| rows.as_slice()).transpose()?;
        let rank = |network: &mut Network, watch: &Watch| {
            network.ranks(&tables, (&x, rows), || watch.go_on())
        };
        Ok(self.run(py, rank, None)?.into_pyarray(py))
    }

    /// Cosines of rows and inputs of the output layer, and in how many tables they meet.
    fn retrieval<'py>(
        &self,
        py: Python<'py>,
        x: FeatureArrays<'py>,
        rows: Option<PyReadonlyArray1<'py, i64>>,
        pairs_per_row: usize,
        seed: u64,
    ) -> PyResult<Collisions<'py>> {
        let x = x.view("X", self.features)?;
        let rows = rows.as_ref().map(|rows| rows.as_slice()).transpose()?;
        let meet = |network: &mut Network, watch: &Watch| {
            network.retrieval((&x, rows), (pairs_per_row, seed), || watch.go_on())
        };
        let (cosines, hits) = self.run(py, meet, None)?;
        Ok((cosines.into_pyarray(py), hits.into_pyarray(py)))
    }

    /// Replaces the sampler of the output layer.
    fn set_sampler(&self, py: Python<'_>, sampler: &str) -> PyResult<()> {
        let sampler: SamplerConfig = serde_json::from_str(sampler).map_err(Error::Json)?;
        let set = |network: &mut Network, _: &Watch| {
            network.set_sampler(sampler)?;
            Ok(network.config().to_json())
        };
        self.reconfigure(self.run(py, set, None)?);
        Ok(())
    }

    /// Adds labels behind those there are.
    #[pyo3(signature = (count, init, x=None, y=None))]
    fn add_labels<'py>(
        &self,
        py: Python<'py>,
        count: usize,
        init: &str,
        x: Option<FeatureArrays<'py>>,
        y: Option<Pattern<'py>>,
    ) -> PyResult<()> {
        let x = x.as_ref().map(|x| x.view("X", self.features)).transpose()?;
        let units = self.units().saturating_add(count);
        let y = y.as_ref().map(|y| y.view("Y", units)).transpose()?;
        let init = new_labels(init, x.as_ref(), y.as_ref())?;
        let add = |network: &mut Network, watch: &Watch| {
            network.add_labels(count, init, || watch.go_on())?;
            Ok(network.config().to_json())
        };
        self.reconfigure(self.run(py, add, None)?);
        Ok(())
    }

    /// Removes the labels that are not `kept`, and numbers the others anew.
    fn remove_labels(&self, py: Python<'_>, kept: PyReadonlyArray1<'_, bool>) -> PyResult<()> {
        let kept = kept.as_slice()?;
        let remove = |network: &mut Network, _: &Watch| {
            network.remove_labels(kept)?;
            Ok(network.config().to_json())
        };
        self.reconfigure(self.run(py, remove, None)?);
        Ok(())
    }

    /// A copy of every parameter, by name.
    fn weights<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let copy = |network: &mut Network, _: &Watch| {
            let copy = network.params().into_iter().map(|(name, param)| {
                let rows = param.weights();
                (name, [rows.stripes().rows(), rows.width()], rows.to_vec())
            });
            Ok(copy.collect::<Vec<_>>())
        };
        reports::weights(py, self.run(py, copy, None)?)
    }
}
