//! Models as safetensors files: weights by name, the configuration as JSON in the metadata.
//!
//! A file holds nothing about time, threads or machine, and its tensors and metadata stand in a
//! fixed order: equal models are equal files. Rows are written in the order of their ids.
//!
//! A *checkpoint* is such a file of a network that is left as it is, in the middle of its training:
//! what rows are owed and what the tables know stands beside the parameters, and what the caller
//! has to say of the course of training stands in the metadata.

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
use crate::simd::{Bf16, F16};

use super::{durable, state};

/// The one key of the metadata: a map with several would be written in any order.
const KEY: &str = "slide_rs";

/// Raised when older readers would misread a file: format 3 has the settings of light moments. A type of
/// numbers that they do not know, as halves were, they refuse by its name.
const FORMAT: u32 = 3;
/// The format of checkpoints: who does not know their state would misread the parameters.
const CHECKPOINT: u32 = 4;
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
    /// What the caller said of the course of training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training: Option<String>,
}

/// A matrix in the order of its rows.
pub(super) struct Tensor {
    pub(super) shape: [usize; 2],
    pub(super) values: Values,
}

/// Numbers as they are stored.
pub(super) enum Values {
    F32(Vec<f32>),
    Bf16(Vec<Bf16>),
    F16(Vec<F16>),
    U32(Vec<u32>),
    U16(Vec<u16>),
    U8(Vec<u8>),
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        match self.values {
            Values::F32(_) => Dtype::F32,
            Values::Bf16(_) => Dtype::BF16,
            Values::F16(_) => Dtype::F16,
            Values::U32(_) => Dtype::U32,
            Values::U16(_) => Dtype::U16,
            Values::U8(_) => Dtype::U8,
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
            Values::F16(values) => bytemuck::cast_slice(values),
            Values::U32(values) => bytemuck::cast_slice(values),
            Values::U16(values) => bytemuck::cast_slice(values),
            Values::U8(values) => values,
        })
    }

    fn data_len(&self) -> usize {
        self.data().len()
    }
}

fn tensor(rows: &Rows<'_>) -> Tensor {
    let values = match rows.dtype() {
        config::Dtype::F32 => Values::F32(rows.to_vec()),
        config::Dtype::Bf16 => Values::Bf16(rows.to_stored()),
        config::Dtype::F16 => Values::F16(rows.to_stored()),
    };
    Tensor { shape: [rows.stripes().rows(), rows.width()], values }
}

/// The name of what the optimiser remembers of a parameter.
fn moment_name(param: &str, moment: &str) -> String {
    format!("optimizer.{param}.{moment}")
}

/// Writes `network`, with the moments of its optimiser if asked to. What rows are owed is paid.
///
/// # Errors
///
/// If a weight is not finite (such a file could not be read again), or the file cannot be written.
pub fn save(network: &mut Network, path: &Path, include_optimizer: bool) -> Result<()> {
    network.settle();
    let header = Header {
        format: FORMAT,
        config: network.config().clone(),
        counters: network.counters(),
        training: None,
    };
    write(network, path, (&header, include_optimizer, vec![]))
}

/// Writes a checkpoint of `network`, which goes on as if there had been none, and so does one that
/// is loaded from it, bit for bit. `training` is what [`load_checkpoint`] is to give back.
///
/// # Errors
///
/// As [`save`].
pub fn checkpoint(network: &Network, path: &Path, training: &str) -> Result<()> {
    let header = Header {
        format: CHECKPOINT,
        config: network.config().clone(),
        counters: network.counters(),
        training: Some(training.to_owned()),
    };
    write(network, path, (&header, true, state::tensors(network.state())))
}

fn write(
    network: &Network,
    path: &Path,
    (header, moments, mut tensors): (&Header, bool, Vec<(String, Tensor)>),
) -> Result<()> {
    let finite = |param: &Param<'_>| param.weights().is_finite();
    if let Some((name, _)) = network.params().into_iter().find(|(_, param)| !finite(param)) {
        let reason = format!("{name} holds values that are not finite; nothing was written");
        return Err(Error::Model { path: path.to_owned(), reason });
    }
    for (name, param) in network.params() {
        for (moment, rows) in param.moments().iter().filter(|_| moments) {
            tensors.push((moment_name(&name, moment), tensor(rows)));
        }
        tensors.push((name, tensor(param.weights())));
    }
    let metadata = HashMap::from([(KEY.to_owned(), serde_json::to_string(header)?)]);
    durable::write(path, |partial| {
        safetensors::serialize_to_file(tensors, Some(metadata), partial).map_err(|error| {
            let path = path.to_owned();
            match error {
                safetensors::SafeTensorError::IoError(source) => Error::Io { path, source },
                other => Error::Model { path, reason: other.to_string() },
            }
        })
    })
}

/// Reads a network that [`save`] or [`checkpoint`] wrote, and builds its hash tables.
///
/// # Errors
///
/// If the file cannot be read, is damaged, or is not a model of ours.
pub fn load(path: &Path) -> Result<Network> {
    load_checkpoint(path).map(|(network, _)| network)
}

/// The same, with what was said of the course of training; nothing where it is no checkpoint.
///
/// # Errors
///
/// As [`load`].
pub fn load_checkpoint(path: &Path) -> Result<(Network, Option<String>)> {
    let bytes = fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let refuse = |reason: String| Error::Model { path: path.to_owned(), reason };
    let (_, metadata) =
        SafeTensors::read_metadata(&bytes).map_err(|error| refuse(error.to_string()))?;
    let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let header = header.ok_or_else(|| refuse(format!("there is no {KEY:?} in its metadata")))?;
    let damaged = |error| refuse(format!("its configuration is damaged: {error}"));
    // Another format may have other fields, so it is looked at before them.
    let Format { format } = serde_json::from_str(header).map_err(damaged)?;
    if !(OLDEST..=CHECKPOINT).contains(&format) {
        let wanted = format!("{OLDEST} to {CHECKPOINT}");
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
    let state = state::read(&tensors, network.hidden().len() + 1).map_err(refuse)?;
    network.restore(&state).map_err(|reason| refuse(format!("its state {reason}")))?;
    Ok((network, header.training))
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
                bytes(tensors, &weight, [units, inputs], layer.dtype.unwrap_or_default())?;
                if layer.bias {
                    bytes(tensors, &bias, [units, 1], config::Dtype::F32)?;
                }
            }
        }
        inputs = layer.units();
    }
    let (units, dtype) = (config.output.units, config.output.dtype.unwrap_or_default());
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
    param: &mut Param<'_>,
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
        config::Dtype::F16 => Dtype::F16,
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
        config::Dtype::Bf16 => bytes.as_chunks().0.iter().all(|&x| bf16(x).is_finite()),
        config::Dtype::F16 => bytes.as_chunks().0.iter().all(|&x| f16(x).is_finite()),
    };
    if !finite {
        return Err(format!("tensor {name:?} holds values that are not finite"));
    }
    Ok(bytes)
}

fn float(bytes: [u8; 4]) -> f32 {
    f32::from_le_bytes(bytes)
}

fn bf16(bytes: [u8; 2]) -> f32 {
    Bf16::from_bits(u16::from_le_bytes(bytes)).to_f32()
}

fn f16(bytes: [u8; 2]) -> f32 {
    F16::from_bits(u16::from_le_bytes(bytes)).to_f32()
}

/// Puts the numbers of one tensor in their rows.
fn read_rows(
    tensors: &SafeTensors<'_>,
    name: &str,
    rows: &mut Rows<'_>,
) -> std::result::Result<(), String> {
    let shape = [rows.stripes().rows(), rows.width()];
    let bytes = bytes(tensors, name, shape, rows.dtype())?;
    match rows.dtype() {
        config::Dtype::F32 => rows.assign(bytes.as_chunks().0.iter().copied().map(float)),
        config::Dtype::Bf16 => rows.assign(bytes.as_chunks().0.iter().copied().map(bf16)),
        config::Dtype::F16 => rows.assign(bytes.as_chunks().0.iter().copied().map(f16)),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
