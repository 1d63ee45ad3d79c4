//! The state of a network in the middle of its training, as tensors beside its parameters.
//!
//! Their names begin with `state.` and the name of a layer. Rows are in the order of their ids.

use safetensors::tensor::{Dtype, SafeTensors};

use crate::lsh::IndexState;
use crate::network::LayerState;

use super::model::{Tensor, Values};

/// What the parameters of a layer are called.
const PARAMS: [&str; 2] = ["weight", "bias"];

/// The name of layer `i` of `layers`, of which the last is the output layer.
fn layer_name(i: usize, layers: usize) -> String {
    if i + 1 == layers { "output".to_owned() } else { format!("hidden.{i}") }
}

/// The tensors of a state, with their names.
pub(super) fn tensors(state: Vec<LayerState>) -> Vec<(String, Tensor)> {
    let layers = state.len();
    let mut all = vec![];
    for (i, LayerState { rates, seen, index }) in state.into_iter().enumerate() {
        let mut push = |name: &str, shape: [usize; 2], values: Values| {
            if shape[0] * shape[1] > 0 {
                let name = format!("state.{}.{name}", layer_name(i, layers));
                all.push((name, Tensor { shape, values }));
            }
        };
        push("rates", [1, rates.len()], Values::F32(rates));
        for (param, seen) in PARAMS.iter().zip(seen) {
            push(&format!("{param}.seen"), [1, seen.len()], Values::U32(seen));
        }
        if let Some(IndexState { codes, moved, lengths, transform }) = index {
            let rows = moved.len();
            push("codes", [codes.len() / rows.max(1), rows], Values::U16(codes));
            push("moved", [1, rows], Values::U8(moved));
            push("lengths", [1, rows], Values::F32(lengths));
            push("transform", [1, transform.len()], Values::F32(transform));
        }
    }
    all
}

/// The state of a network of so many layers, of which all is checked but what it means.
pub(super) fn read(file: &SafeTensors<'_>, layers: usize) -> Result<Vec<LayerState>, String> {
    let of_layer = |i: usize| {
        let name = layer_name(i, layers);
        let bytes = |part: &str, wanted: Dtype| {
            let name = format!("state.{name}.{part}");
            let Ok(tensor) = file.tensor(&name) else { return Ok(None) };
            let found = tensor.dtype();
            if found == wanted {
                Ok(Some(tensor.data()))
            } else {
                Err(format!("tensor {name:?} is {found:?}, but {wanted:?} is wanted"))
            }
        };
        let floats = |part: &str| {
            let bytes = bytes(part, Dtype::F32)?.unwrap_or_default();
            let floats = bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes);
            Ok::<Vec<f32>, String>(floats.collect())
        };
        let mut seen = vec![];
        for param in PARAMS {
            let steps = bytes(&format!("{param}.seen"), Dtype::U32)?;
            let number = |bytes: &[u8]| {
                bytes.as_chunks().0.iter().copied().map(u32::from_le_bytes).collect()
            };
            seen.extend(steps.map(number));
        }
        let index = match bytes("codes", Dtype::U16)? {
            None => None,
            Some(codes) => Some(IndexState {
                codes: codes.as_chunks().0.iter().copied().map(u16::from_le_bytes).collect(),
                moved: bytes("moved", Dtype::U8)?.unwrap_or_default().to_vec(),
                lengths: floats("lengths")?,
                transform: floats("transform")?,
            }),
        };
        Ok(LayerState { rates: floats("rates")?, seen, index })
    };
    (0..layers).map(of_layer).collect()
}
