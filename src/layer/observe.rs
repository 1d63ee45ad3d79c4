//! What the hash tables of a layer do for single neurons.

use crate::config::SamplerConfig;
use crate::rng::{Rng, Stream};
use crate::sampler::Sampler;
use crate::simd::Kernels;
use crate::tape::Tape;

use super::Sampled;
use super::inputs::inputs;

impl Sampled<'_> {
    /// Puts another sampler in the place of this one, which is returned. Its rows wait to be
    /// inserted.
    pub fn replace_sampler(&mut self, config: &SamplerConfig) -> Sampler {
        let width = self.weights.weights().width();
        let new = Sampler::new(config, self.stripes(), width).expecting(self.input_norm);
        std::mem::replace(&mut self.sampler, new)
    }

    /// Hashes the inputs of a block to the output layer.
    pub fn hash_block(&self, kernels: &Kernels, tape: &mut Tape) {
        let Tape { len, features, hidden, output, .. } = tape;
        self.hash(kernels, inputs(features, hidden.last()), *len, output);
    }

    /// The place of neuron `id` among what the tables find for sample `i` of a hashed block,
    /// counted from 1; 0 where they do not find it.
    #[must_use]
    pub fn rank(&self, seed: u64, i: usize, id: u32, tape: &Tape) -> usize {
        let Sampler::Lsh(lsh) = &self.sampler else { return 0 };
        let codes = self.codes_of(&tape.output.codes, i);
        let key = inputs(&tape.features, tape.hidden.last()).key(i);
        let mut rng = Rng::new(seed, Stream::Probe, 0, key);
        self.scratch.with(|scratch| lsh.rank(codes, id, &mut rng, scratch))
    }

    /// For neurons `ids` and sample `i` of a hashed block: the cosine of row and input as they are
    /// hashed, and in how many tables they share a bucket.
    #[must_use]
    pub fn collisions(
        &self,
        kernels: &Kernels,
        i: usize,
        ids: &[u32],
        tape: &Tape,
    ) -> Vec<(f32, u8)> {
        let Some(index) = self.sampler.index() else { return vec![] };
        let inputs = inputs(&tape.features, tape.hidden.last());
        let query = inputs.vectors(tape.len).get(i, self.weights.weights().width());
        let cosines = index.cosines(kernels, self.params(), query, ids);
        let codes = self.codes_of(&tape.output.codes, i);
        let pairs = ids.iter().zip(cosines).map(|(&id, cosine)| {
            let shared = codes.iter().zip(index.tables().codes_of(id)).filter(|(a, b)| **a == *b);
            // At most 255 tables.
            (cosine, shared.count() as u8)
        });
        pairs.collect()
    }
}
