//! Locality-sensitive hashing: which rows of a layer are likely to fire for an input.

mod index;
mod simhash;
mod tables;

pub use index::Index;
pub use simhash::SimHash;
pub use tables::HashTables;
