//! A sampled layer on memory that somebody else owns.

use crate::config::{Activation, SamplerConfig};
use crate::optim::Param;
use crate::per_thread::PerThread;
use crate::rows::Stripes;
use crate::sampler::Sampler;

use super::Sampled;

impl Sampled<'_> {
    /// A layer without memory: it is lent to it, by [`Sampled::on`], for as long as a piece of work
    /// takes. `sampler` must be filled in.
    pub(crate) fn bare(sampler: &SamplerConfig, sizes: (usize, usize), number: u64) -> Self {
        let (units, inputs) = sizes;
        Self {
            sampler: Sampler::new(sampler, Stripes::in_order(units), inputs),
            weights: Param::none(),
            bias: None,
            sums: None,
            scratch: PerThread::default(),
            rooms: PerThread::default(),
            activation: Activation::Linear,
            norm: 0.0,
            input_norm: 1.0,
            number,
        }
    }

    /// The same layer on other memory.
    pub(crate) fn on<'n>(self, weights: Param<'n>, bias: Option<Param<'n>>) -> Sampled<'n> {
        let Self { sampler, sums, scratch, rooms, activation, norm, input_norm, number, .. } = self;
        Sampled {
            weights,
            bias,
            sampler,
            scratch,
            rooms,
            sums,
            activation,
            norm,
            input_norm,
            number,
        }
    }
}
