//! What the engine promises, in one program: each program of tests is linked anew with all of the
//! engine. Tests that count what is allocated stand beside it in programs of their own.

#[path = "../common/mod.rs"]
mod common;

mod all_active;
mod checkpoints;
mod dense_rows;
mod determinism;
mod gradients;
mod growth;
mod limits;
mod odd_rows;
mod prediction;
mod updates;
