//! Integration tests of the peer, one binary: linking gRPC is slow.
// Clippy knows helpers of tests only by an attribute; here all are.
#![allow(clippy::unwrap_used)]

mod altered;
mod cli;
mod collection;
mod faults;
mod fetch;
mod hashing;
mod identity;
mod node;
mod serve;
mod share_directory;
mod swarm;
mod throttle;
mod version1;
mod world;
