//! An optimiser alone, for tests against other implementations.

use numpy::{
    IntoPyArray, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray3,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;

use crate::config::{ClipConfig, Dtype, OptimizerConfig};
use crate::error::Error;
use crate::optim::Steps;
use crate::rows::Rows;
use crate::simd::Kernels;

use super::pool::Pool;

/// The weights after as many steps as there are learning rates, on the touched rows only.
#[pyfunction]
#[pyo3(signature = (config, clip, weights, gradients, touched, lr, dtype="f32"))]
#[expect(clippy::too_many_arguments, reason = "the inputs of an experiment")]
pub(super) fn optimizer_steps<'py>(
    py: Python<'py>,
    config: &str,
    clip: &str,
    weights: PyReadonlyArray2<'py, f32>,
    gradients: PyReadonlyArray3<'py, f32>,
    touched: PyReadonlyArray2<'py, bool>,
    lr: PyReadonlyArray1<'py, f32>,
    dtype: &str,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let config: OptimizerConfig = serde_json::from_str(config).map_err(Error::from)?;
    let clip: ClipConfig = serde_json::from_str(clip).map_err(Error::from)?;
    let dtype = match dtype {
        "f32" => Dtype::F32,
        "bf16" => Dtype::Bf16,
        "f16" => Dtype::F16,
        other => {
            let (found, wanted) = (format!("{other:?}"), "\"f32\", \"bf16\" or \"f16\"");
            return Err(Error::Config { name: "dtype", found, wanted }.into());
        }
    };
    config.check()?;
    clip.check()?;
    let [rows, width] = [weights.shape()[0], weights.shape()[1]];
    let steps =
        Steps::new((rows, width), gradients.as_slice()?, touched.as_slice()?, lr.as_slice()?)?;
    let weights = weights.as_slice()?;
    let kernels = Kernels::detect().map_err(Error::from)?;
    let pool = Pool::new(None)?;
    let run = || {
        let mut start = Rows::new(rows, width, dtype);
        start.assign(weights.iter().copied());
        steps.run(&kernels, (&config, clip), start).to_vec()
    };
    let after = py.detach(|| pool.install(run))?;
    after.into_pyarray(py).reshape([rows, width])
}
