//! Addresses of peers, and how they may be spoken to.

mod address;
mod dial;

pub use address::{AddressError, HostPort};
pub use dial::Dial;
