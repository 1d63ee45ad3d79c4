//! What the checks of all settings share.

use crate::error::{Error, Result};

pub(super) fn ensure(
    fine: bool,
    name: &'static str,
    found: impl Copy + ToString,
    wanted: &'static str,
) -> Result<()> {
    if fine { Ok(()) } else { Err(Error::Config { name, found: found.to_string(), wanted }) }
}

/// Ids are 32-bit signed in `SciPy` and in our results, and slots 32-bit unsigned.
pub(super) fn size(name: &'static str, found: usize) -> Result<()> {
    ensure((1..=i32::MAX as usize).contains(&found), name, found, "from 1 to 2147483647")
}

pub(super) fn share(name: &'static str, found: f32) -> Result<()> {
    ensure((0.0..1.0).contains(&found), name, found, "at least 0 and below 1")
}
