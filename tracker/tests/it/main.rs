//! The tracker's integration tests, one binary.

// Helpers are outside of test functions, where clippy.toml does not reach; a failing unwrap is a failing test.
#![allow(clippy::unwrap_used)]

mod accounts;
mod admin;
mod devices;
mod identity;
mod limits;
mod openapi;
mod refusals;
mod registration;
mod router;
mod server;
mod store;
mod support;
mod swarm;
mod watching;
