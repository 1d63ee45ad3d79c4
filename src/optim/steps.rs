//! Steps of a lone parameter, to compare an optimiser with other implementations of it.

use crate::config::{ClipConfig, OptimizerConfig};
use crate::error::{Error, Result};
use crate::rows::{Rows, SHARDS};
use crate::simd::Kernels;

use super::{Optimizer, Param};

/// Steps of a lone parameter: its gradients, and which of its rows they touch.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    /// A number for every step, row and column.
    gradients: &'a [f32],
    /// A mark for every step and row.
    touched: &'a [bool],
    /// The learning rate of every step.
    lr: &'a [f32],
}

impl<'a> Steps<'a> {
    /// As many steps as there are learning rates, on a parameter of `rows` rows of `width`.
    ///
    /// # Errors
    ///
    /// If the number of gradients or of marks does not fit, or a learning rate or a gradient is
    /// not finite.
    pub fn new(
        (rows, width): (usize, usize),
        gradients: &'a [f32],
        touched: &'a [bool],
        lr: &'a [f32],
    ) -> Result<Self> {
        let expect = |name, found: usize, wanted: usize| {
            let (found, wanted) = (format!("{found} values"), format!("{wanted} values"));
            if found == wanted { Ok(()) } else { Err(Error::Shape { name, found, wanted }) }
        };
        expect("gradients", gradients.len(), lr.len() * rows * width)?;
        expect("touched", touched.len(), lr.len() * rows)?;
        let finite = |name, values: &[f32], in_row: usize| {
            let bad = values.iter().enumerate().find(|(_, x)| !x.is_finite());
            let error = |(at, &value)| Error::Value { name, row: at / in_row.max(1), value };
            bad.map_or(Ok(()), |bad| Err(error(bad)))
        };
        finite("lr", lr, 1)?;
        finite("gradients", gradients, width)?;
        Ok(Self { gradients, touched, lr })
    }

    /// Makes them, and brings every row up to date.
    #[must_use]
    pub fn run(
        &self,
        kernels: &Kernels,
        (config, clip): (&OptimizerConfig, ClipConfig),
        weights: Rows<'static>,
    ) -> Rows<'static> {
        let (rows, width) = (weights.stripes().rows(), weights.width());
        let mut row = vec![0.0; weights.stride()];
        let mut param = Param::new(weights, config);
        let mut optimizer = Optimizer::new(config, clip);
        for (step, &lr) in self.lr.iter().enumerate() {
            optimizer.begin(lr, step as u64 + 1);
            let mut shards = param.shards_mut();
            for id in (0..rows).filter(|id| self.touched[step * rows + id]) {
                row[..width]
                    .copy_from_slice(&self.gradients[(step * rows + id) * width..][..width]);
                shards[id % SHARDS].update(kernels, optimizer.update(), id / SHARDS, &mut row);
            }
        }
        optimizer.flush(kernels, [&mut param]);
        param.into_weights()
    }
}
