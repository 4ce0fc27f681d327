//! Certificates and what they are good for: who may call whom, between real servers, and whom a node takes for its tracker.

mod mutual;
#[path = "../../src/identity/testing.rs"]
pub(crate) mod testing;
mod tracker;

// What the helpers of the library's own tests need.
use peernet::identity::{Identity, IdentityParts, Membership};
