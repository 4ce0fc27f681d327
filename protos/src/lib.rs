//! The contract between two PeerNet processes: REST bodies, token claims and limits. The gRPC messages are behind the
//! feature `grpc`, and signing and checking tokens behind the feature `tokens`.
//!
//! Wire types are dumb: strings and numbers as they travel. The crates that use them convert once, in their `wire.rs`,
//! to the engine's validated types.

pub mod claims;
pub mod identity;
pub mod limits;
pub mod rest;

#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "tokens")]
pub mod tokens;
