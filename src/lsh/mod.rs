//! Locality-sensitive hashing: which rows of a layer are likely to fire for an input.

mod index;
mod rebuild;
mod simhash;
mod tables;

pub use index::Index;
pub use rebuild::{Due, Rebuild};
pub use simhash::SimHash;
pub use tables::{Cap, HashTables, TableStats};
