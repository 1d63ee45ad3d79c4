//! Files: data in the XMC text format, models as safetensors.

pub mod model;
pub mod xmc;
