//! The best neurons of each sample.

use crate::error::{Error, Result};
use crate::network::{Exact, Mode, Searched};
use crate::sparse::Features;
use crate::tape::BLOCK;

use super::read::each_block;
use super::{Head, Weights, Work};

/// Blocks that are searched at a time.
const CHUNK: usize = 64;

impl Head {
    /// The best `k` neurons of every row: ids and logits, best first, equal ones in the order of the
    /// ids. Where fewer are found (mode `Lsh`), -1 and minus infinity follow.
    ///
    /// # Errors
    ///
    /// If `k` is not between 1 and the number of neurons, there are no tables for mode `Lsh`, or the
    /// arrays do not fit or change during the call.
    pub fn top(
        &mut self,
        weights: Weights<'_>,
        x: &Features<'_>,
        (k, mode): (usize, Mode),
    ) -> Result<(Vec<i32>, Vec<f32>)> {
        self.with(weights, mode == Mode::Lsh, |Work { config, kernels, layer, room }| {
            if k == 0 || k > config.units {
                return Err(Error::Range { name: "k", found: k, low: 1, high: config.units });
            }
            if mode == Mode::Lsh && layer.sampler().index().is_none() {
                let found = "\"lsh\" on a layer without hash tables".to_owned();
                return Err(Error::Config { name: "mode", found, wanted: "\"exact\"" });
            }
            let n = x.len();
            let mut ids = vec![-1; n * k];
            let mut scores = vec![f32::NEG_INFINITY; n * k];
            let mut exact = Exact::new(k);
            let searched = Searched { kernels, layer, number: 1 };
            for start in (0..n).step_by(CHUNK * BLOCK) {
                let count = (n - start).min(CHUNK * BLOCK);
                let tapes = room.tapes(count.div_ceil(BLOCK), config);
                each_block(tapes, x, (start, count), |_, _| Ok(()))?;
                let place = start * k..(start + count) * k;
                let out = (&mut ids[place.clone()], &mut scores[place]);
                match mode {
                    Mode::Exact => exact.run(searched, tapes, out),
                    Mode::Lsh => searched.found(config.seed, tapes, k, out),
                }
            }
            Ok((ids, scores))
        })
    }
}
