//! Files: data in the XMC text format, models as safetensors, and checks of what files hold.

pub mod canonical;
pub mod checksum;
mod durable;
pub mod model;
mod state;
pub mod xmc;
