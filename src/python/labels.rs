//! Labels that join a network.

use crate::error::{Error, Result};
use crate::network::NewLabels;
use crate::sparse::{Features, IdLists};

/// How the rows of new labels begin.
pub(super) fn new_labels<'a>(
    init: &str,
    x: Option<&'a Features<'a>>,
    y: Option<&'a IdLists<'a>>,
) -> Result<NewLabels<'a>> {
    match (init, x, y) {
        ("zeros", None, None) => Ok(NewLabels::Zeros),
        ("random", None, None) => Ok(NewLabels::Random),
        ("mean_of_inputs", Some(x), Some(y)) => Ok(NewLabels::MeanOfInputs(x, y)),
        (other, ..) => {
            let wanted = "\"zeros\" or \"random\", or \"mean_of_inputs\" with X and Y";
            Err(Error::Config { name: "init", found: format!("{other:?}"), wanted })
        }
    }
}
