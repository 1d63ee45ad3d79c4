//! Why a call was refused.

use std::path::PathBuf;

use crate::simd::UnknownIsa;

/// Everything that the engine refuses, with the data that the sentence needs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configuration value that no network can have.
    #[error("{name} is {found}, but must be {wanted}")]
    Config {
        /// Where it stands in the configuration.
        name: &'static str,
        /// What was given.
        found: String,
        /// What would be accepted.
        wanted: &'static str,
    },
    /// The configuration is not the JSON that was expected.
    #[error("the configuration cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// `indptr` must start at zero, never fall, and end at the number of ids.
    #[error("{name}: indptr is not a valid row index at row {row}: found {found}, wanted {wanted}")]
    Indptr {
        /// Which argument.
        name: &'static str,
        /// First row whose bounds are wrong.
        row: usize,
        /// The bound that was found.
        found: i64,
        /// What a valid bound would be.
        wanted: &'static str,
    },
    /// Every id must be at least zero and below the number of columns.
    #[error("{name}: row {row} has column {id}, but columns run from 0 to {last}")]
    Column {
        /// Which argument.
        name: &'static str,
        /// Row of the offending id.
        row: usize,
        /// The id itself.
        id: i64,
        /// The largest id that is allowed.
        last: i64,
    },
    /// Values must be finite.
    #[error("{name}: row {row} has the value {value}, but values must be finite")]
    Value {
        /// Which argument.
        name: &'static str,
        /// Row of the offending value.
        row: usize,
        /// The value itself.
        value: f32,
    },
    /// Grades and weights must be finite and at least 0.
    #[error("{name}: row {row} has {found}, but values must be finite and at least 0")]
    Negative {
        /// Which argument.
        name: &'static str,
        /// Row of the offending value.
        row: usize,
        /// The value itself.
        found: f32,
    },
    /// Two lengths that must agree do not.
    #[error("{name} has {found}, but {wanted} were expected")]
    Shape {
        /// Which argument.
        name: &'static str,
        /// What was found, with its unit.
        found: String,
        /// What was expected, with its unit.
        wanted: String,
    },
    /// A number outside its range.
    #[error("{name} is {found}, but must lie between {low} and {high}")]
    Range {
        /// Which argument.
        name: &'static str,
        /// What was given.
        found: usize,
        /// The smallest allowed.
        low: usize,
        /// The largest allowed.
        high: usize,
    },
    /// The arrays were changed by someone else during the call.
    #[error("{name} was changed by another thread during the call")]
    Changed {
        /// Which argument.
        name: &'static str,
    },
    /// The loss or a gradient is no longer a number; the batch has changed nothing.
    #[error(
        "the loss or a gradient of step {step} is not finite: the learning rate ({lr}) or the \
         values of X are too large; this step has changed nothing"
    )]
    Diverged {
        /// The optimiser step.
        step: u64,
        /// Its learning rate.
        lr: f32,
    },
    /// The system has no room.
    #[error("{what} needs {bytes} bytes of memory, more than can be had")]
    Memory {
        /// For what.
        what: &'static str,
        /// Bytes of weights, moments and tables.
        bytes: u128,
    },
    /// A call that would wait for itself.
    #[error("the network is busy: {0}")]
    Busy(&'static str),
    /// A row whose hidden activations no float can hold.
    #[error("X: the values of row {row} are too large: the hidden layer overflows")]
    Overflow {
        /// The row.
        row: usize,
    },
    /// The caller asked to stop; everything up to the last batch is kept.
    #[error("stopped by the caller")]
    Stopped,
    /// A file that cannot be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is not a model of ours, or a damaged one.
    #[error("{} is not a readable slide_rs model: {reason}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A text file in the XMC format that cannot be read or written.
    #[error(transparent)]
    Xmc(#[from] crate::io::xmc::XmcError),
    /// `SLIDE_RS_ISA` names an instruction set that is not there.
    #[error(transparent)]
    Isa(#[from] UnknownIsa),
    /// The threads could not be started.
    #[error("the thread pool cannot be started: {0}")]
    Threads(String),
}

/// What every fallible call of the crate returns.
pub type Result<T> = std::result::Result<T, Error>;
