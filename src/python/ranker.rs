//! Classifiers that order shortlists, as a Python class.

use std::sync::OnceLock;
use std::time::Duration;

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::error::{Error, Result};
use crate::ranker::{self, Classifiers, Options, Postings};

use super::arrays::{FeatureArrays, Pattern};
use super::pool::Pool;
use super::watch::Watch;

/// How often Python is asked whether a signal has arrived.
const TICK: Duration = Duration::from_millis(50);

/// The classifiers of all labels; they never change.
#[pyclass(frozen, name = "Ranker", module = "slide_rs._core")]
pub(super) struct PyRanker {
    classifiers: Classifiers,
    /// Made when they are first wanted.
    postings: OnceLock<Postings>,
    pool: Pool,
}

type Parts<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i32>>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<f32>>,
);

#[pymethods]
impl PyRanker {
    /// Trains the classifiers of all labels on rows, their labels and what was taken for these.
    #[staticmethod]
    #[pyo3(signature = (x, y, shortlist, sizes, cost, tolerance, passes, threshold, seed, threads=None))]
    #[expect(clippy::too_many_arguments, reason = "all are given by name")]
    fn fit(
        py: Python<'_>,
        x: FeatureArrays<'_>,
        y: Pattern<'_>,
        shortlist: Pattern<'_>,
        sizes: (usize, usize),
        cost: f32,
        tolerance: f32,
        passes: usize,
        threshold: f32,
        seed: u64,
        threads: Option<usize>,
    ) -> PyResult<Self> {
        let (n_features, n_labels) = sizes;
        let options = Options { cost, tolerance, passes, threshold, seed };
        let (x, y) = (x.view("X", n_features)?, y.view("Y", n_labels)?);
        let shortlist = shortlist.view("shortlist", n_labels)?;
        let pool = Pool::new(threads)?;
        let classifiers = watched(py, &pool, |watch| {
            let go_on = || watch.go_on();
            ranker::fit(&x, n_features, &y, &shortlist, n_labels, &options, go_on)
        })?;
        Ok(Self { classifiers, postings: OnceLock::new(), pool })
    }

    /// Trains the classifiers of the labels that are marked anew; the others stay.
    #[expect(clippy::too_many_arguments, reason = "all are given by name")]
    fn refit(
        &self,
        py: Python<'_>,
        x: FeatureArrays<'_>,
        y: Pattern<'_>,
        shortlist: Pattern<'_>,
        again: PyReadonlyArray1<'_, bool>,
        cost: f32,
        tolerance: f32,
        passes: usize,
        threshold: f32,
        seed: u64,
    ) -> PyResult<Self> {
        let (old, pool) = (&self.classifiers, Pool::new(Some(self.pool.threads()))?);
        let options = Options { cost, tolerance, passes, threshold, seed };
        let (x, y) = (x.view("X", old.n_features())?, y.view("Y", old.len())?);
        let shortlist = shortlist.view("shortlist", old.len())?;
        let again = again.as_array().to_vec();
        let classifiers = watched(py, &pool, |watch| {
            ranker::refit(old, &x, &y, &shortlist, &again, &options, || watch.go_on())
        })?;
        Ok(Self { classifiers, postings: OnceLock::new(), pool })
    }

    /// Puts classifiers together from the arrays that `parts` returned.
    #[staticmethod]
    #[pyo3(signature = (n_features, bounds, features, weights, biases, threads=None))]
    fn from_parts(
        n_features: usize,
        bounds: PyReadonlyArray1<'_, i64>,
        features: PyReadonlyArray1<'_, i32>,
        weights: PyReadonlyArray1<'_, f32>,
        biases: PyReadonlyArray1<'_, f32>,
        threads: Option<usize>,
    ) -> PyResult<Self> {
        // What is negative becomes large, and is refused as out of range.
        let bounds = bounds.as_array().iter().map(|&bound| bound as usize).collect();
        let features = features.as_array().iter().map(|&feature| feature as u32).collect();
        let (weights, biases) = (weights.as_array().to_vec(), biases.as_array().to_vec());
        let classifiers = Classifiers::from_parts(n_features, bounds, features, weights, biases)?;
        Ok(Self { classifiers, postings: OnceLock::new(), pool: Pool::new(threads)? })
    }

    /// Where the weights of each label begin, their features, the weights, and the biases.
    fn parts<'py>(&self, py: Python<'py>) -> Parts<'py> {
        let bounds: Vec<_> = self.classifiers.bounds().iter().map(|&bound| bound as i64).collect();
        let ids: Vec<_> = self.classifiers.features().iter().map(|&id| id as i32).collect();
        (
            bounds.into_pyarray(py),
            ids.into_pyarray(py),
            self.classifiers.weights().to_vec().into_pyarray(py),
            self.classifiers.biases().to_vec().into_pyarray(py),
        )
    }

    /// Number of features.
    #[getter]
    fn n_features(&self) -> usize {
        self.classifiers.n_features()
    }

    /// Number of labels.
    #[getter]
    fn n_labels(&self) -> usize {
        self.classifiers.len()
    }

    /// The scores of candidates, in their order.
    fn score<'py>(
        &self,
        py: Python<'py>,
        x: FeatureArrays<'_>,
        candidates: Pattern<'_>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let x = x.view("X", self.classifiers.n_features())?;
        let candidates = candidates.view("candidates", self.classifiers.len())?;
        let score = |watch: &Watch| self.classifiers.score(&x, &candidates, || watch.go_on());
        Ok(watched(py, &self.pool, score)?.into_pyarray(py))
    }

    /// The labels of each row with the greatest sums of at most `most` weights.
    fn propose<'py>(
        &self,
        py: Python<'py>,
        x: FeatureArrays<'_>,
        k: usize,
        most: usize,
    ) -> PyResult<Bound<'py, PyArray2<i32>>> {
        let x = x.view("X", self.classifiers.n_features())?;
        let propose = |watch: &Watch| {
            let go_on = || watch.go_on();
            self.postings(go_on)?.propose(&x, k, most, go_on)
        };
        watched(py, &self.pool, propose)?.into_pyarray(py).reshape([x.len(), k])
    }
}

impl PyRanker {
    /// Two threads at once may both make them, and one waits for neither: making them is work for
    /// the pool, whose threads must not wait for each other.
    fn postings(&self, go_on: impl Fn() -> bool + Sync) -> Result<&Postings> {
        if let Some(made) = self.postings.get() {
            return Ok(made);
        }
        let made = Postings::new(&self.classifiers, go_on)?;
        Ok(self.postings.get_or_init(|| made))
    }
}

/// Leaves Python and runs `work` on the pool, while signals are heard; theirs goes before its own
/// error.
fn watched<R: Send>(
    py: Python<'_>,
    pool: &Pool,
    work: impl FnOnce(&Watch) -> Result<R> + Send,
) -> PyResult<R> {
    let watch = Watch::default();
    let (result, raised) = py.detach(|| {
        pool.watch(
            || work(&watch),
            TICK,
            || Python::attach(|py| watch.tell(py, None)).inspect_err(|_: &PyErr| watch.stop()),
        )
    })?;
    raised?;
    result.map_err(|error: Error| error.into())
}
