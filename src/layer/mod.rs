//! Layers: how a block of samples goes through them, and how a batch changes them.

mod activation;
mod dense;
mod exact;
mod few;
mod full;
mod grow;
mod hidden;
mod inputs;
mod lent;
mod logits;
mod observe;
mod oracle;
mod output;
mod products;
mod sampled;
mod shared;
mod topk;
mod update;

pub use dense::Dense;
pub use exact::Queries;
pub use few::FewScratch;
pub use full::FullScratch;
pub(crate) use hidden::into_inputs;
pub use hidden::{Hidden, backward, backward_hidden, forward};
pub use inputs::{BatchInputs, Inputs, inputs};
pub use sampled::{Place, Sampled};
pub use topk::TopK;
pub use update::UpdateScratch;
