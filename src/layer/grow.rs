//! A layer that gains neurons or loses some.

use crate::config::SamplerConfig;
use crate::hogwild::SharedSums;
use crate::optim::Param;
use crate::per_thread::PerThread;
use crate::rng::{Rng, Stream};
use crate::sampler::Sampler;
use crate::simd::Kernels;

use super::Sampled;
use super::sampled::INITIAL;

impl Sampled<'_> {
    /// Becomes a layer of as many neurons as there are `sources`: each is the neuron it names with
    /// all that is known of it, or new, with weights and bias of zero. `config` must be filled in
    /// for the new size, and is otherwise that of the layer. Every row must be up to date; new rows,
    /// and those that had moved, wait to be inserted into the tables.
    ///
    /// # Panics
    ///
    /// If there is no such neuron.
    pub fn pick(&mut self, sources: &[Option<u32>], config: &SamplerConfig) {
        self.weights = self.weights.picked(sources);
        self.bias = self.bias.as_ref().map(|bias| bias.picked(sources));
        let rows = self.weights.weights();
        self.sums = self.sums.as_ref().map(|_| SharedSums::new(rows.stripes(), rows.stride()));
        // These have room for each neuron.
        self.scratch = PerThread::default();
        self.rooms = PerThread::default();
        let old = self.replace_sampler(config);
        if let (Sampler::Lsh(new), Sampler::Lsh(old)) = (&mut self.sampler, old) {
            new.rebuild = old.rebuild;
            new.index.take_over(old.index, sources);
        }
    }

    /// Draws the weights of the neurons from `first` on, as a layer of that size would begin with.
    pub fn draw(&mut self, seed: u64, first: u32) {
        let (ids, width) = (first..self.units() as u32, self.weights.weights().width());
        let number = self.number;
        let rows = ids.clone().flat_map(|id| {
            let mut row = vec![0.0; width];
            let mut rng = Rng::new(seed, Stream::Weights, number, u64::from(id));
            rng.fill_uniform(INITIAL * 3_f32.sqrt(), &mut row);
            row
        });
        self.weights.weights_mut().assign_rows(ids, rows);
    }

    /// Mean length of the rows of the first `n` neurons.
    #[must_use]
    pub fn mean_length(&self, kernels: &Kernels, n: usize) -> f64 {
        let weights = self.weights.weights();
        let mut row = vec![0.0; weights.stride()];
        let lengths = (0..n as u32).map(|id| {
            weights.read(kernels, id, &mut row);
            f64::from((kernels.dot)(&row, &row)).sqrt()
        });
        lengths.sum::<f64>() / n.max(1) as f64
    }

    /// Gives the neurons from `first` on the mean bias of those before them.
    pub fn level_bias(&mut self, first: u32) {
        let Some(bias) = self.bias.as_mut().map(Param::weights_mut) else { return };
        let sum: f64 = (0..first).map(|id| f64::from(bias.row(id)[0])).sum();
        let mean = (sum / f64::from(first.max(1))) as f32;
        let ids = first..bias.stripes().rows() as u32;
        bias.assign_rows(ids, std::iter::repeat(mean));
    }
}
