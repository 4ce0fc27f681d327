//! Paths to a peer: its candidate addresses, name resolution, and the transport that may be used.

mod address;
mod dial;

pub(crate) use address::resolve;
pub(crate) use address::{AddressError, HostPort};
pub(crate) use dial::ChannelSecurity;
pub use dial::Dial;
pub use peernet_engine::candidate::Candidates;
