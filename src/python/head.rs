//! A sampled layer whose weights belong to the caller, as a Python class.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadwriteArray,
    PyReadwriteArray1, PyReadwriteArray2,
};
use pyo3::prelude::*;

use crate::config::OptimizerConfig;
use crate::error::{Error, Result};
use crate::head::{Active, Gradient, Head, HeadConfig, Moments, Step, Weights};
use crate::rows::Numbers;

use super::arrays::{FeatureArrays, Pattern, TargetArrays, contiguous, not_contiguous};
use super::locked::Locked;
use super::mode::mode_of;
use super::pool::Pool;

/// A sampled layer without weights, and its threads.
#[pyclass(frozen, name = "Head", module = "slide_rs._core")]
pub(super) struct PyHead {
    inner: Locked<Head>,
    config: HeadConfig,
    pool: Mutex<Arc<Pool>>,
}

type Ids<'py> = Bound<'py, PyArray1<i64>>;

type Found<'py> = (Ids<'py>, Ids<'py>, Floats<'py>);

type Told<'py> = (Floats<'py>, Ids<'py>, Ids<'py>, Floats<'py>, Floats<'py>, Floats<'py>);

type Best<'py> = (Bound<'py, PyArray2<i64>>, Bound<'py, PyArray2<f32>>);

type Floats<'py> = Bound<'py, PyArray1<f32>>;

/// Weights, and biases where there are any, that a call may write to.
type Weight<'py> = PyReadwriteArray2<'py, f32>;
type Bias<'py> = Option<PyReadwriteArray1<'py, f32>>;

/// Inputs, active sets and derivatives by their logits.
#[derive(FromPyObject)]
struct GradientArrays<'py>(FeatureArrays<'py>, Pattern<'py>, PyReadonlyArray1<'py, f32>);

/// Second moments: one for each row, or as first moments.
#[derive(FromPyObject)]
enum MomentArray<'py> {
    Row(PyReadwriteArray1<'py, f32>),
    Floats(PyReadwriteArray2<'py, f32>),
    Halves(PyReadwriteArray2<'py, u16>),
}

/// First and second moments of weights and of biases.
#[derive(FromPyObject)]
struct MomentArrays<'py>(
    MomentArray<'py>,
    MomentArray<'py>,
    Option<PyReadwriteArray1<'py, f32>>,
    Option<PyReadwriteArray1<'py, f32>>,
);

/// All numbers of an array that is written in place.
fn numbers<'a, T: numpy::Element, D: numpy::ndarray::Dimension>(
    name: &'static str,
    array: &'a mut PyReadwriteArray<'_, T, D>,
) -> Result<&'a mut [T]> {
    array.as_slice_mut().map_err(|_| not_contiguous(name))
}

fn weights<'a>(weight: &'a mut Weight<'_>, bias: &'a mut Bias<'_>) -> Result<Weights<'a>> {
    let bias = bias.as_mut().map(|bias| numbers("bias", bias)).transpose()?;
    Ok(Weights { weight: numbers("weight", weight)?, bias })
}

impl MomentArray<'_> {
    fn numbers(&mut self, name: &'static str) -> Result<Numbers<'_>> {
        Ok(match self {
            Self::Row(array) => Numbers::F32(numbers(name, array)?),
            Self::Floats(array) => Numbers::F32(numbers(name, array)?),
            Self::Halves(array) => Numbers::Bf16(bytemuck::cast_slice_mut(numbers(name, array)?)),
        })
    }
}

impl PyHead {
    /// Leaves Python, takes the lock, and runs `work` on the pool.
    fn run<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Head) -> Result<R> + Send,
    ) -> PyResult<R> {
        let pool = Arc::clone(&self.pool());
        py.detach(|| self.inner.with(|head| Ok(pool.install(|| work(head))??)))
    }

    fn pool(&self) -> MutexGuard<'_, Arc<Pool>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gradient<'a>(&self, arrays: &'a GradientArrays<'_>) -> Result<Gradient<'a>> {
        let GradientArrays(x, ids, deltas) = arrays;
        Ok(Gradient {
            x: x.view("input", self.config.inputs)?,
            ids: ids.view("indices", self.config.units)?,
            deltas: contiguous("deltas", deltas)?,
        })
    }

    fn gradients<'a>(&self, all: &'a [GradientArrays<'_>]) -> Result<Vec<Gradient<'a>>> {
        all.iter().map(|arrays| self.gradient(arrays)).collect()
    }
}

fn found(py: Python<'_>, active: Active) -> Found<'_> {
    let Active { indptr, ids, logits } = active;
    (indptr.into_pyarray(py), ids.into_pyarray(py), logits.into_pyarray(py))
}

#[pymethods]
impl PyHead {
    #[new]
    #[pyo3(signature = (config, threads=None))]
    fn new(config: &str, threads: Option<usize>) -> PyResult<Self> {
        let head = Head::new(HeadConfig::from_json(config)?)?;
        let pool = Mutex::new(Arc::new(Pool::new(threads)?));
        Ok(Self { config: head.config().clone(), inner: Locked::new(head), pool })
    }

    /// The configuration as JSON, with every value filled in.
    #[getter]
    fn config(&self) -> PyResult<String> {
        Ok(self.config.to_json()?)
    }

    /// Rows and floats a row of the memory that weights must have.
    #[getter]
    fn shape(&self) -> (usize, usize) {
        Head::shape(&self.config)
    }

    /// Threads in use.
    #[getter]
    fn threads(&self) -> usize {
        self.pool().threads()
    }

    /// Uses as many threads from now on.
    fn set_threads(&self, threads: usize) -> PyResult<()> {
        let mut pool = self.pool();
        if pool.threads() != threads {
            *pool = Arc::new(Pool::new(Some(threads))?);
        }
        Ok(())
    }

    /// Mean length of the inputs that were seen last.
    #[getter]
    fn input_norm(&self, py: Python<'_>) -> PyResult<f32> {
        self.run(py, |head| Ok(head.length()))
    }

    /// Takes what `input_norm` was.
    fn set_input_norm(&self, py: Python<'_>, length: f32) -> PyResult<()> {
        self.run(py, |head| {
            head.set_length(length);
            Ok(())
        })
    }

    /// Losses over the active sets that training chooses at `step`, with these and their gradients.
    fn losses<'py>(
        &self,
        py: Python<'py>,
        mut weight: Weight<'py>,
        mut bias: Bias<'py>,
        x: FeatureArrays<'py>,
        targets: TargetArrays<'py>,
        step: u64,
    ) -> PyResult<Told<'py>> {
        let weights = weights(&mut weight, &mut bias)?;
        let (x, y) = (
            x.view("input", self.config.inputs)?,
            targets.view("target", self.config.units, None)?,
        );
        let told = self.run(py, |head| head.losses(weights, &x, &y, step))?;
        let (losses, deltas) = (told.losses.into_pyarray(py), told.deltas.into_pyarray(py));
        let (indptr, ids, logits) = found(py, told.active);
        Ok((losses, indptr, ids, logits, deltas, told.gradients.into_pyarray(py)))
    }

    /// The active sets that training chooses at `step` for a hidden layer, or without a step those
    /// that the tables find, with their logits.
    #[pyo3(signature = (weight, bias, x, step=None))]
    fn activate<'py>(
        &self,
        py: Python<'py>,
        mut weight: Weight<'py>,
        mut bias: Bias<'py>,
        x: FeatureArrays<'py>,
        step: Option<u64>,
    ) -> PyResult<Found<'py>> {
        let (weights, x) = (weights(&mut weight, &mut bias)?, x.view("input", self.config.inputs)?);
        Ok(found(py, self.run(py, |head| head.activate(weights, &x, step))?))
    }

    /// The logits of given neurons.
    fn logits<'py>(
        &self,
        py: Python<'py>,
        mut weight: Weight<'py>,
        mut bias: Bias<'py>,
        x: FeatureArrays<'py>,
        ids: Pattern<'py>,
    ) -> PyResult<Floats<'py>> {
        let (weights, x) = (weights(&mut weight, &mut bias)?, x.view("input", self.config.inputs)?);
        let ids = ids.view("indices", self.config.units)?;
        Ok(self.run(py, |head| head.logits(weights, &x, &ids))?.into_pyarray(py))
    }

    /// The gradients of inputs, of which only the pattern counts, from those of the logits of given
    /// neurons.
    fn back<'py>(
        &self,
        py: Python<'py>,
        mut weight: Weight<'py>,
        mut bias: Bias<'py>,
        gradient: GradientArrays<'py>,
    ) -> PyResult<Floats<'py>> {
        let weights = weights(&mut weight, &mut bias)?;
        let gradient = self.gradient(&gradient)?;
        Ok(self.run(py, |head| head.back(weights, &gradient))?.into_pyarray(py))
    }

    /// One optimiser step on the rows that occur in the gradients.
    #[expect(clippy::too_many_arguments, reason = "all are given by name")]
    fn apply<'py>(
        &self,
        py: Python<'py>,
        mut weight: Weight<'py>,
        mut bias: Bias<'py>,
        moments: MomentArrays<'py>,
        optimizer: &str,
        lr: f32,
        t: u64,
        gradients: Vec<GradientArrays<'py>>,
    ) -> PyResult<()> {
        let weights = weights(&mut weight, &mut bias)?;
        let optimizer: OptimizerConfig = serde_json::from_str(optimizer).map_err(Error::Json)?;
        let MomentArrays(mut m, mut v, mut of_m, mut of_v) = moments;
        let of_bias = match (&mut of_m, &mut of_v) {
            (Some(m), Some(v)) => Some([numbers("moments", m)?, numbers("moments", v)?]),
            _ => None,
        };
        let moments = Moments { m: m.numbers("exp_avg")?, v: v.numbers("exp_avg_sq")?, of_bias };
        let gradients = self.gradients(&gradients)?;
        let step = Step { optimizer: &optimizer, lr, t };
        self.run(py, |head| head.apply(weights, moments, &step, &gradients))
    }

    /// The Euclidean norm of the sum of gradients, over weights and biases.
    fn norm(&self, py: Python<'_>, gradients: Vec<GradientArrays<'_>>) -> PyResult<f64> {
        let gradients = self.gradients(&gradients)?;
        self.run(py, |head| head.norm(&gradients))
    }

    /// Says that any row may have changed.
    fn stale(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, |head| {
            head.forget();
            Ok(())
        })
    }

    /// Goes on from `steps` optimiser steps.
    fn resume(&self, py: Python<'_>, steps: u64) -> PyResult<()> {
        self.run(py, |head| {
            head.resume(steps);
            Ok(())
        })
    }

    /// Does what the schedule of the tables says is due after `steps` optimiser steps.
    fn rehash(
        &self,
        py: Python<'_>,
        mut weight: Weight<'_>,
        mut bias: Bias<'_>,
        steps: u64,
    ) -> PyResult<bool> {
        let weights = weights(&mut weight, &mut bias)?;
        self.run(py, |head| head.rehash_if_due(weights, steps))
    }

    /// The best `k` neurons of each row.
    fn topk<'py>(
        &self,
        py: Python<'py>,
        mut weight: Weight<'py>,
        mut bias: Bias<'py>,
        x: FeatureArrays<'py>,
        k: usize,
        mode: &str,
    ) -> PyResult<Best<'py>> {
        let mode = mode_of(mode)?;
        let (weights, x) = (weights(&mut weight, &mut bias)?, x.view("input", self.config.inputs)?);
        let (ids, scores) = self.run(py, |head| head.top(weights, &x, (k, mode)))?;
        let shape = [x.len(), k];
        let ids: Vec<i64> = ids.into_iter().map(i64::from).collect();
        Ok((ids.into_pyarray(py).reshape(shape)?, scores.into_pyarray(py).reshape(shape)?))
    }
}
