//! Locality-sensitive hashing: which rows of a layer are likely to fire for an input.

mod bins;
mod doph;
mod dwta;
mod family;
mod hadamard;
mod index;
mod packing;
mod rebuild;
mod simhash;
mod stage;
mod state;
mod tables;
mod vectors;
mod wta;

pub use family::{HashFamily, HashScratch, Shape};
pub use index::Index;
pub use rebuild::{Due, Rebuild};
pub use state::IndexState;
pub use tables::{Cap, HashTables, ShardCodes, TableStats};
pub use vectors::{Vector, Vectors};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod theory;
