//! Search through the hash tables.

use rayon::prelude::*;

use crate::layer::TopK;
use crate::tape::{BLOCK, Tape};

use super::exact::Searched;

/// Labels that are scored for each one asked for, at least, in mode [`Mode::Lsh`](super::Mode::Lsh).
const CANDIDATES: usize = 10;

/// At least one label in so many is scored in that mode, until these are [`MANY`].
const SHARE: usize = 200;

/// Reading a hundred rows more takes some 30 microseconds.
const MANY: usize = 150;

impl Searched<'_> {
    /// The best `k` of what the hash tables return for every sample of the tapes.
    pub(crate) fn found(
        self,
        seed: u64,
        tapes: &mut [Tape],
        k: usize,
        (ids, scores): (&mut [i32], &mut [f32]),
    ) {
        if let [tape] = tapes {
            return self.found_of(seed, tape, k, (ids, scores));
        }
        let out = ids.par_chunks_mut(BLOCK * k).zip(scores.par_chunks_mut(BLOCK * k));
        tapes.par_iter_mut().zip(out).for_each(|(tape, out)| self.found_of(seed, tape, k, out));
    }

    /// The same for one block.
    fn found_of(
        self,
        seed: u64,
        tape: &mut Tape,
        k: usize,
        (ids, scores): (&mut [i32], &mut [f32]),
    ) {
        let few = (self.layer.units() / SHARE).min(MANY);
        self.layer.retrieve(self.kernels, seed, few.max(CANDIDATES * k), tape);
        self.layer.score_active(self.kernels, tape);
        let mut top = TopK::new(k);
        for (i, (ids, scores)) in ids.chunks_mut(k).zip(scores.chunks_mut(k)).enumerate() {
            top.reset(k);
            let (found, logits) = tape.output.active.of(i);
            for (&id, &score) in found.iter().zip(logits) {
                top.offer(score, id);
            }
            top.write(ids, scores);
        }
    }
}
