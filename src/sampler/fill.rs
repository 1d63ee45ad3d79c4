//! Random neurons, drawn without replacement.

use crate::rng::Rng;

use super::{Scratch, Shared};

/// Appends `missing` neurons that do not stand in `active[start..]` yet: of the `shared` ones as
/// many as there are, and in front of them random ones of its own. Those that were there are marked,
/// and in the end all but the shared ones are. Returns how many of these there are.
pub(super) fn rest(
    missing: usize,
    shared: &mut Shared,
    (start, units): (usize, usize),
    rng: &mut Rng,
    scratch: &mut Scratch,
    active: &mut Vec<u32>,
) -> usize {
    let known = active.len();
    let taken = shared.take(missing, &active[start..]);
    shared.append(active);
    if taken < missing {
        active[known..].iter().for_each(|&id| scratch.votes[id as usize] = 1);
        random(missing - taken, (start, units), rng, scratch, active);
        scratch.forget(&active[known..known + taken]);
        active[known..].rotate_left(taken);
    }
    taken
}

/// Appends `missing` neurons of `units` that do not stand in `active[start..]` yet, each set
/// equally likely. Those are marked, and so are the new ones. Appends all that are left when
/// there are fewer.
pub(super) fn random(
    missing: usize,
    (start, units): (usize, usize),
    rng: &mut Rng,
    scratch: &mut Scratch,
    active: &mut Vec<u32>,
) {
    let free = units - (active.len() - start);
    let missing = missing.min(free);
    // Rejection needs two draws a neuron at most while it takes no more than half of the free
    // ones and half are free; else one walk over all units (Knuth's algorithm S) is cheaper.
    if 2 * missing <= free && 2 * free >= units {
        for _ in 0..missing {
            let id = loop {
                let id = rng.below(units as u32);
                if scratch.votes[id as usize] == 0 {
                    break id;
                }
            };
            scratch.votes[id as usize] = 1;
            active.push(id);
        }
        return;
    }
    let (mut missing, mut free) = (missing as u32, free as u32);
    for id in 0..units as u32 {
        if missing == 0 {
            return;
        }
        if scratch.votes[id as usize] == 0 {
            if rng.below(free) < missing {
                scratch.votes[id as usize] = 1;
                active.push(id);
                missing -= 1;
            }
            free -= 1;
        }
    }
}
