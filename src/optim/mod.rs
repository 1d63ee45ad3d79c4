//! Optimisers on touched rows only, and the parameters they change.
//!
//! A row is *touched* in a step if some sample of the batch had it active. A row that is not is
//! neither read nor written. What that means for it, when it is touched again, is the mode:
//!
//! - *lazy*: its moments rest, while bias correction uses the global step (the semantics of
//!   `torch.optim.SparseAdam`). Momentum always rests.
//! - *catch up*: its moments are first decayed by `beta^missed`, as zero gradients would have done.
//! - *dense*: the missed steps are replayed with zero gradients, so that the result is that of an
//!   optimiser which runs over all rows. As slow as that one; to compare with.
//!
//! Decoupled weight decay (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019)
//! is caught up with in every mode by the product of the missed factors, which differs from a
//! dense optimiser by rounding alone.
//!
//! Whatever is owed to a row that is not touched again is paid by [`Optimizer::flush`].

mod adagrad;
mod adam;
mod history;
mod optimizer;
mod param;
mod row;
mod sgd;
mod steps;
mod stored;
mod sweep;
#[cfg(test)]
mod tests;

pub(crate) use adam::has_stamps;
pub use optimizer::{Optimizer, Update};
pub(crate) use param::names;
pub use param::{Param, ParamShard};
pub use steps::Steps;
