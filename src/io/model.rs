//! Models as safetensors files: weights by name, the configuration as JSON in the metadata.
//!
//! A file holds nothing about time, threads or machine, and its tensors and metadata stand in a
//! fixed order: equal models are equal files. Rows are written in the order of their ids.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use crate::config::{self, HiddenConfig, NetworkConfig};
use crate::error::{Error, Result};
use crate::network::{Counters, Network};
use crate::optim::Param;
use crate::rows::Rows;
use crate::simd::Bf16;

/// The one key of the metadata: a map with several would be written in any order.
const KEY: &str = "slide_rs";

/// Raised when older readers would misread or refuse a file: format 3 has the settings of light
/// moments.
const FORMAT: u32 = 3;
/// The oldest format that is read: its settings have defaults for what it did not know.
const OLDEST: u32 = 2;

#[derive(Debug, Deserialize)]
struct Format {
    format: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    config: NetworkConfig,
    counters: Counters,
}

/// A matrix in the order of its rows.
struct Tensor {
    shape: [usize; 2],
    values: Values,
}

/// Numbers as they are stored.
enum Values {
    F32(Vec<f32>),
    Bf16(Vec<Bf16>),
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        match self.values {
            Values::F32(_) => Dtype::F32,
            Values::Bf16(_) => Dtype::BF16,
        }
    }

    fn shape(&self) -> &[usize] {
        // A single row or column is a vector.
        match self.shape {
            [1, _] => &self.shape[1..],
            [_, 1] => &self.shape[..1],
            _ => &self.shape,
        }
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(match &self.values {
            Values::F32(values) => bytemuck::cast_slice(values),
            Values::Bf16(values) => bytemuck::cast_slice(values),
        })
    }

    fn data_len(&self) -> usize {
        self.data().len()
    }
}

fn tensor(rows: &Rows) -> Tensor {
    let values = match rows.dtype() {
        config::Dtype::F32 => Values::F32(rows.to_vec()),
        config::Dtype::Bf16 => Values::Bf16(rows.to_halves()),
    };
    Tensor { shape: [rows.stripes().rows(), rows.width()], values }
}

/// The name of what the optimiser remembers of a parameter.
fn moment_name(param: &str, moment: &str) -> String {
    format!("optimizer.{param}.{moment}")
}

/// Writes `network`, with the moments of its optimiser if asked to.
///
/// Rows must be up to date ([`crate::optim::Optimizer::flush`]): what is owed to them is not written.
/// The file is written beside its place and moved there when complete.
///
/// # Errors
///
/// If a weight is not finite (such a file could not be read again), or the file cannot be written.
pub fn save(network: &mut Network, path: &Path, include_optimizer: bool) -> Result<()> {
    network.settle();
    let mut tensors = vec![];
    let finite = |param: &Param| param.weights().is_finite();
    if let Some((name, _)) = network.params().into_iter().find(|(_, param)| !finite(param)) {
        let reason = format!("{name} holds values that are not finite; nothing was written");
        return Err(Error::Model { path: path.to_owned(), reason });
    }
    for (name, param) in network.params() {
        for (moment, rows) in param.moments().iter().filter(|_| include_optimizer) {
            tensors.push((moment_name(&name, moment), tensor(rows)));
        }
        tensors.push((name, tensor(param.weights())));
    }
    let header =
        Header { format: FORMAT, config: network.config().clone(), counters: network.counters() };
    let metadata = HashMap::from([(KEY.to_owned(), serde_json::to_string(&header)?)]);
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    // The writer below makes a file for its owner alone; a model is readable like any other file.
    let permissions = fs::File::create(partial).and_then(|file| file.metadata()).map_err(io)?;
    safetensors::serialize_to_file(tensors, Some(metadata), partial).map_err(|error| {
        let _ = fs::remove_file(partial);
        match error {
            safetensors::SafeTensorError::IoError(source) => io(source),
            other => Error::Model { path: path.to_owned(), reason: other.to_string() },
        }
    })?;
    fs::set_permissions(partial, permissions.permissions()).map_err(io)?;
    fs::rename(partial, path).map_err(io)
}

/// Reads a network that [`save`] wrote, and builds its hash tables.
///
/// # Errors
///
/// If the file cannot be read, is damaged, or is not a model of ours.
pub fn load(path: &Path) -> Result<Network> {
    let bytes = fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let refuse = |reason: String| Error::Model { path: path.to_owned(), reason };
    let (_, metadata) =
        SafeTensors::read_metadata(&bytes).map_err(|error| refuse(error.to_string()))?;
    let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let header = header.ok_or_else(|| refuse(format!("there is no {KEY:?} in its metadata")))?;
    let damaged = |error| refuse(format!("its configuration is damaged: {error}"));
    // Another format may have other fields, so it is looked at before them.
    let Format { format } = serde_json::from_str(header).map_err(damaged)?;
    if !(OLDEST..=FORMAT).contains(&format) {
        let wanted = format!("{OLDEST} to {FORMAT}");
        return Err(refuse(format!("its format is {format}, but {wanted} is wanted")));
    }
    let header: Header = serde_json::from_str(header).map_err(damaged)?;
    header.config.check().map_err(|error| refuse(error.to_string()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| refuse(error.to_string()))?;
    // Before anything of the size that the configuration claims is allocated.
    check_sizes(&header.config, &tensors).map_err(refuse)?;
    if header.counters.steps.max(header.counters.updates) > 1 << 52 {
        return Err(refuse(format!("it claims {} steps", header.counters.steps)));
    }
    let mut network = Network::new(header.config)?;
    let names: Vec<String> = network.params().into_iter().map(|(name, _)| name).collect();
    let mut counters = header.counters;
    for (name, param) in names.iter().zip(network.params_mut()) {
        if !read_param(&tensors, name, param).map_err(refuse)? {
            counters.updates = 0;
        }
    }
    network.set_counters(counters);
    network.rehash_all();
    Ok(network)
}

fn check_sizes(
    config: &NetworkConfig,
    tensors: &SafeTensors<'_>,
) -> std::result::Result<(), String> {
    let mut inputs = config.input.features;
    for (i, layer) in config.hidden.iter().enumerate() {
        let (units, weight, bias) =
            (layer.units(), format!("hidden.{i}.weight"), format!("hidden.{i}.bias"));
        match layer {
            HiddenConfig::Dense(layer) => {
                bytes(tensors, &weight, [inputs, units], layer.dtype)?;
                bytes(tensors, &bias, [1, units], config::Dtype::F32)?;
            }
            HiddenConfig::Sampled(layer) => {
                bytes(tensors, &weight, [units, inputs], layer.dtype)?;
                if layer.bias {
                    bytes(tensors, &bias, [units, 1], config::Dtype::F32)?;
                }
            }
        }
        inputs = layer.units();
    }
    let (units, dtype) = (config.output.units, config.output.dtype);
    bytes(tensors, "output.weight", [units, inputs], dtype)?;
    if config.output.bias {
        bytes(tensors, "output.bias", [units, 1], config::Dtype::F32)?;
    }
    Ok(())
}

/// Reads weights, and the moments where the file and the optimiser have them; whether they do.
fn read_param(
    tensors: &SafeTensors<'_>,
    name: &str,
    param: &mut Param,
) -> std::result::Result<bool, String> {
    read_rows(tensors, name, param.weights_mut())?;
    let names = tensors.names();
    let has = |wanted: &str| names.iter().any(|name| **name == *wanted);
    if param.moments().iter().all(|(moment, _)| !has(&moment_name(name, moment))) {
        return Ok(param.moments().is_empty());
    }
    for (moment, rows) in param.moments_mut() {
        let name = moment_name(name, moment);
        read_rows(tensors, &name, rows)?;
        if *moment != "m" && !rows.all(|x| x >= 0.0) {
            return Err(format!("tensor {name:?} holds negative second moments"));
        }
    }
    Ok(true)
}

/// The bytes of one tensor, checked to be finite numbers of the given type and shape.
fn bytes<'a>(
    tensors: &SafeTensors<'a>,
    name: &str,
    [rows, width]: [usize; 2],
    dtype: config::Dtype,
) -> std::result::Result<&'a [u8], String> {
    let tensor = tensors.tensor(name).map_err(|_| format!("tensor {name:?} is missing"))?;
    let (found_dtype, found) = (tensor.dtype(), tensor.shape());
    let vector = [rows * width];
    let wanted: &[usize] = if rows == 1 || width == 1 { &vector } else { &[rows, width] };
    let wanted_dtype = match dtype {
        config::Dtype::F32 => Dtype::F32,
        config::Dtype::Bf16 => Dtype::BF16,
    };
    if found_dtype != wanted_dtype || found != wanted {
        return Err(format!(
            "tensor {name:?} is {found_dtype:?} {found:?}, but {wanted_dtype:?} {wanted:?} is \
             wanted"
        ));
    }
    let bytes = tensor.data();
    let finite = match dtype {
        config::Dtype::F32 => bytes.as_chunks().0.iter().all(|&x| float(x).is_finite()),
        config::Dtype::Bf16 => bytes.as_chunks().0.iter().all(|&x| half(x).is_finite()),
    };
    if !finite {
        return Err(format!("tensor {name:?} holds values that are not finite"));
    }
    Ok(bytes)
}

fn float(bytes: [u8; 4]) -> f32 {
    f32::from_le_bytes(bytes)
}

fn half(bytes: [u8; 2]) -> f32 {
    Bf16::from_bits(u16::from_le_bytes(bytes)).to_f32()
}

/// Puts the numbers of one tensor in their rows.
fn read_rows(
    tensors: &SafeTensors<'_>,
    name: &str,
    rows: &mut Rows,
) -> std::result::Result<(), String> {
    let shape = [rows.stripes().rows(), rows.width()];
    let bytes = bytes(tensors, name, shape, rows.dtype())?;
    match rows.dtype() {
        config::Dtype::F32 => rows.assign(bytes.as_chunks().0.iter().copied().map(float)),
        config::Dtype::Bf16 => rows.assign(bytes.as_chunks().0.iter().copied().map(half)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AdamMode, OptimizerConfig, SecondMoment};

    const fn adam(second_moment: SecondMoment, moments: config::Dtype) -> OptimizerConfig {
        let (lr, beta1, beta2, eps, weight_decay) = (None, 0.9, 0.999, 1e-8, 0.0);
        let (mode, second_moment, moments) = (AdamMode::Lazy, Some(second_moment), Some(moments));
        OptimizerConfig::Adam { lr, beta1, beta2, eps, weight_decay, mode, second_moment, moments }
    }

    const ADAM: OptimizerConfig = adam(SecondMoment::Entry, config::Dtype::F32);
    const LIGHT: OptimizerConfig = adam(SecondMoment::Entry, config::Dtype::Bf16);
    const LIGHTEST: OptimizerConfig = adam(SecondMoment::Row, config::Dtype::Bf16);
    const MOMENTUM: OptimizerConfig =
        OptimizerConfig::Sgd { lr: None, momentum: 0.9, nesterov: false };
    const ADAGRAD: OptimizerConfig = OptimizerConfig::Adagrad { lr: None, eps: 1e-8 };

    /// A parameter whose moments are not zero.
    fn param(dtype: config::Dtype, optimizer: &OptimizerConfig) -> Param {
        let weights = Rows::random_as(dtype, (70, 19), 1.0, (0, 0));
        let mut param = Param::new(weights, optimizer);
        for (_, rows) in param.moments_mut() {
            let n = rows.stripes().rows() * rows.width();
            rows.assign((0..n).map(|x| x as f32));
        }
        param
    }

    fn file(param: &Param) -> Vec<u8> {
        let moments = param.moments().iter();
        let moments = moments.map(|(moment, rows)| (moment_name("w", moment), tensor(rows)));
        let tensors = moments.chain([("w".to_owned(), tensor(param.weights()))]);
        safetensors::serialize(tensors.collect::<Vec<_>>(), None).unwrap()
    }

    #[test]
    fn a_parameter_comes_back_with_all_that_its_optimizer_remembers() {
        for dtype in [config::Dtype::F32, config::Dtype::Bf16] {
            for optimizer in [ADAM, LIGHT, LIGHTEST, MOMENTUM, ADAGRAD] {
                let saved = param(dtype, &optimizer);
                let bytes = file(&saved);
                let mut read = Param::new(Rows::new(70, 19, dtype), &optimizer);
                let tensors = SafeTensors::deserialize(&bytes).unwrap();
                assert_eq!(read_param(&tensors, "w", &mut read), Ok(true));
                assert_eq!(read.weights().to_vec(), saved.weights().to_vec());
                assert_eq!(read.weights().to_halves(), saved.weights().to_halves());
                for ((_, read), (_, saved)) in read.moments().iter().zip(saved.moments()) {
                    assert_eq!(read.dtype(), saved.dtype());
                    assert_eq!(read.to_vec(), saved.to_vec());
                }
            }
        }
    }

    #[test]
    fn negative_second_moments_are_refused_however_they_are_stored() {
        for (optimizer, name) in [(LIGHT, "v"), (LIGHTEST, "v_of_row"), (ADAGRAD, "acc")] {
            let mut saved = param(config::Dtype::F32, &optimizer);
            saved.moments_mut().last_mut().unwrap().1.assign(std::iter::repeat(-1.0));
            let bytes = file(&saved);
            let tensors = SafeTensors::deserialize(&bytes).unwrap();
            let refused = read_param(&tensors, "w", &mut saved).unwrap_err();
            let named = format!("tensor \"optimizer.w.{name}\" holds negative second moments");
            assert_eq!(refused, named);
        }
    }

    #[test]
    fn another_type_is_refused_and_other_moments_are_missed() {
        let bytes = file(&param(config::Dtype::Bf16, &ADAGRAD));
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let mut floats = Param::new(Rows::zeros(70, 19), &ADAM);
        let refused = read_param(&tensors, "w", &mut floats).unwrap_err();
        let expected = "tensor \"w\" is BF16 [70, 19], but F32 [70, 19] is wanted";
        assert_eq!(refused, expected);
        let mut halves = Param::new(Rows::new(70, 19, config::Dtype::Bf16), &ADAM);
        assert_eq!(read_param(&tensors, "w", &mut halves), Ok(false));
    }
}
