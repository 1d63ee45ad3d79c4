//! How well the sampler finds what counts.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::sampler::Sampler;
use crate::sparse::Features;
use crate::tape::BLOCK;

use super::Network;
use super::epoch::row_numbers;
use super::exact::Exact;

impl Network {
    /// Retrieval recall: the mean share of the exact best `k` labels of a row that are among the
    /// neurons that the sampler finds, before labels are forced in and before random fill. NaN
    /// without rows.
    ///
    /// # Errors
    ///
    /// If `k` is not between 1 and the number of labels, a row is out of range, the arrays change
    /// during the call, or `go_on` says no.
    pub fn recall_at_k(
        &mut self,
        x: &Features<'_>,
        (k, rows): (usize, Option<&[i64]>),
        go_on: impl FnMut() -> bool,
    ) -> Result<f64> {
        let units = self.output.units();
        if k == 0 || k > units {
            return Err(Error::Range { name: "k", found: k, low: 1, high: units });
        }
        let rows = rows.map(|rows| row_numbers(rows, x.len())).transpose()?;
        let rows = rows.as_deref();
        let n = rows.map_or(x.len(), <[u32]>::len);
        if matches!(self.output.sampler(), Sampler::Full) || n == 0 {
            return Ok(if n == 0 { f64::NAN } else { 1.0 });
        }
        self.ready();
        let mut best = vec![-1; n * k];
        let mut scores = vec![0.0; n * k];
        let mut room = Exact::new(k);
        let mut hits = 0;
        self.each_chunk(x, rows, go_on, |network, first, tapes| {
            let rows: usize = tapes.iter().map(|tape| tape.len).sum();
            let place = first * k..(first + rows) * k;
            let best = &mut best[place.clone()];
            room.run(network.searched(), tapes, (best, &mut scores[place]));
            let blocks = tapes.par_iter_mut().zip(best.par_chunks(BLOCK * k));
            let hit = blocks.map(|(tape, best)| {
                network.output.retrieve(&network.kernels, network.config.seed, 0, tape);
                let found = |i: usize, id: i32| tape.output.active.ids_of(i).contains(&(id as u32));
                let rows = best.chunks(k).enumerate();
                rows.map(|(i, best)| best.iter().filter(|&&id| found(i, id)).count()).sum::<usize>()
            });
            hits += hit.sum::<usize>();
        })?;
        Ok(hits as f64 / (n * k) as f64)
    }
}
