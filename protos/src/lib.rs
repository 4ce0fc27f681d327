//! Everything two PeerNet processes must agree on: REST bodies, token claims, limits and, behind the feature `grpc`,
//! the gRPC messages.
//!
//! Wire types are dumb: strings and numbers as they travel. The crates that use them convert once, in their `wire.rs`,
//! to the engine's validated types.

pub mod claims;
pub mod identity;
pub mod limits;
pub mod rest;

#[cfg(feature = "grpc")]
pub mod grpc;
