//! Layers: how a block of samples goes through them, and how a batch changes them.

mod dense;
mod full;
mod logits;
mod output;
mod update;

pub use dense::Dense;
pub use full::FullScratch;
pub use logits::TopK;
pub use output::Output;
pub use update::ShardScratch;
