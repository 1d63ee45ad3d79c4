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

use crate::config::{HiddenConfig, NetworkConfig};
use crate::error::{Error, Result};
use crate::network::{Counters, Network};
use crate::optim::Param;
use crate::rows::Rows;

/// The one key of the metadata: a map with several would be written in any order.
const KEY: &str = "slide_rs";

/// Raised when older readers would misread a file.
const FORMAT: u32 = 1;

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
    values: Vec<f32>,
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        Dtype::F32
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
        Cow::Borrowed(bytemuck::cast_slice(&self.values))
    }

    fn data_len(&self) -> usize {
        size_of_val(&self.values[..])
    }
}

fn tensor(rows: &Rows) -> Tensor {
    Tensor { shape: [rows.stripes().rows(), rows.width()], values: rows.to_vec() }
}

const MOMENTS: [&str; 2] = ["m", "v"];

/// Writes `network`, with the moments of its optimiser if asked to.
///
/// The file is written beside its place and moved there when complete.
///
/// # Errors
///
/// If a weight is not finite (such a file could not be read again), or the file cannot be written.
pub fn save(network: &Network, path: &Path, include_optimizer: bool) -> Result<()> {
    let mut tensors = vec![];
    let finite = |param: &Param| param.weights().as_slice().iter().all(|w| w.is_finite());
    if let Some((name, _)) = network.params().into_iter().find(|(_, param)| !finite(param)) {
        let reason = format!("{name} holds values that are not finite; nothing was written");
        return Err(Error::Model { path: path.to_owned(), reason });
    }
    for (name, param) in network.params() {
        let moments = param.moments().filter(|_| include_optimizer);
        for (suffix, rows) in MOMENTS.iter().zip(moments.into_iter().flatten()) {
            tensors.push((format!("optimizer.{name}.{suffix}"), tensor(rows)));
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
    let header: Header = serde_json::from_str(header)
        .map_err(|error| refuse(format!("its configuration is damaged: {error}")))?;
    if header.format != FORMAT {
        return Err(refuse(format!("its format is {}, but {FORMAT} is wanted", header.format)));
    }
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
            HiddenConfig::Dense(_) => {
                words(tensors, &weight, [inputs, units])?;
                words(tensors, &bias, [1, units])?;
            }
            HiddenConfig::Sampled(layer) => {
                words(tensors, &weight, [units, inputs])?;
                if layer.bias {
                    words(tensors, &bias, [units, 1])?;
                }
            }
        }
        inputs = layer.units();
    }
    words(tensors, "output.weight", [config.output.units, inputs])?;
    if config.output.bias {
        words(tensors, "output.bias", [config.output.units, 1])?;
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
    let Some([m, v]) = param.moments_mut() else { return Ok(true) };
    let [m_name, v_name] = MOMENTS.map(|suffix| format!("optimizer.{name}.{suffix}"));
    if !tensors.names().iter().any(|name| **name == m_name || **name == v_name) {
        return Ok(false);
    }
    read_rows(tensors, &m_name, m)?;
    read_rows(tensors, &v_name, v)?;
    if v.as_slice().iter().any(|&v| v < 0.0) {
        return Err(format!("tensor {v_name:?} holds negative second moments"));
    }
    Ok(true)
}

/// The bytes of one tensor, checked to be finite floats of the given shape.
fn words<'a>(
    tensors: &SafeTensors<'a>,
    name: &str,
    [rows, width]: [usize; 2],
) -> std::result::Result<&'a [[u8; 4]], String> {
    let tensor = tensors.tensor(name).map_err(|_| format!("tensor {name:?} is missing"))?;
    let (dtype, found) = (tensor.dtype(), tensor.shape());
    let vector = [rows * width];
    let wanted: &[usize] = if rows == 1 || width == 1 { &vector } else { &[rows, width] };
    if dtype != Dtype::F32 || found != wanted {
        return Err(format!(
            "tensor {name:?} is {dtype:?} {found:?}, but F32 {wanted:?} is wanted"
        ));
    }
    let (words, _) = tensor.data().as_chunks::<4>();
    if words.iter().any(|&word| !f32::from_le_bytes(word).is_finite()) {
        return Err(format!("tensor {name:?} holds values that are not finite"));
    }
    Ok(words)
}

/// Puts the floats of one tensor in their rows.
fn read_rows(
    tensors: &SafeTensors<'_>,
    name: &str,
    rows: &mut Rows,
) -> std::result::Result<(), String> {
    let words = words(tensors, name, [rows.stripes().rows(), rows.width()])?;
    rows.assign(words.iter().map(|&word| f32::from_le_bytes(word)));
    Ok(())
}
