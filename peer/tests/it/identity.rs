//! Certificates between real servers: peers authenticate each other and their tracker.

mod mutual;
#[path = "../../src/identity/testing.rs"]
pub(crate) mod testing;
mod tracker;

// Names that the helpers of the library's own tests need.
use peernet::internals::Membership;
use peernet::internals::{Identity, IdentityParts};
