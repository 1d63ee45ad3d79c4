//! SLIDE, the sub-linear deep learning engine: networks with very wide sparse layers, on CPUs.
//!
//! A network is a stack of hidden layers, dense or sampled, and a sampled output layer. For each
//! sample the input of a sampled layer is hashed, tables return the few neurons likely to fire, and
//! only those are computed, back-propagated and updated. The cost of a step follows the active
//! neurons, not the width.
//!
//! ```text
//!  Features, Targets   borrowed from the caller, checked once
//!       |
//!  A    |  parallel over blocks of samples, weights frozen
//!       v
//!  Tape                Inputs -> Dense or Sampled, one after another: codes -> active set -> sums
//!       |              output: active set, Drawn -> logits, corrected -> Loss -> deltas, and back
//!  B    |  edges (row, sample, coefficient) of each layer, grouped by shard within each block
//!       v
//!  Touched             row -> its samples, in their order
//!       |
//!  C    |  parallel over shards of rows, each owned by one task
//!       v
//!  Param               sum of coefficient * BatchInputs, then Optimizer; the row counts as moved
//!       |
//!  D    |  when the schedule says so
//!       v
//!  Index               moved rows -> Stage -> HashFamily -> codes; HashTables by counting sort
//! ```

pub mod config;
mod error;
pub mod head;
pub mod hogwild;
pub mod io;
pub mod layer;
pub mod loss;
pub mod lsh;
mod network;
pub mod optim;
mod per_thread;
mod phases;
pub mod ranker;
pub mod rng;
pub mod rows;
mod rules;
pub mod sampler;
pub mod schedule;
pub mod simd;
pub mod sparse;
pub mod tape;
mod targets;
pub mod touched;

#[cfg(feature = "python")]
mod python;

pub use error::{Error, Result};
pub use network::{
    BatchReport, Counters, Cursor, EpochOptions, EpochReport, LayerState, LayerTables, Mode,
    Network, NewLabels, Progress,
};
pub use phases::{Phase, Phases};
pub use rules::Memory;
pub use targets::Targets;
