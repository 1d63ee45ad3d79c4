//! How the best labels are found, by its name.

use crate::error::{Error, Result};
use crate::network::Mode;

/// The mode of this name.
pub(super) fn mode_of(name: &str) -> Result<Mode> {
    match name {
        "exact" => Ok(Mode::Exact),
        "lsh" => Ok(Mode::Lsh),
        other => {
            let (found, wanted) = (format!("{other:?}"), "\"exact\" or \"lsh\"");
            Err(Error::Config { name: "mode", found, wanted })
        }
    }
}
