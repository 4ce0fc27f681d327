//! PeerNet's tracker: who is who, who has what, and who has earned what. File data never passes through it.
//!
//! Start one inside a program with [`Tracker::builder`]; the program `peernet-tracker` does the same.

pub mod accounts;
pub mod admin;
pub mod api;
pub mod app;
pub mod authority;
mod calendar;
pub mod cli;
pub mod config;
pub mod dialback;
mod files;
pub mod invites;
pub mod keys;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod openapi;
pub mod passwords;
pub mod percent;
pub mod permits;
pub mod policies;
pub mod reputation;
pub mod routes;
pub mod scopes;
pub mod server;
pub mod store;
pub mod swarm;
mod sync;
pub mod wire;
pub mod writer;

pub use peernet_door as http;
pub use server::{Builder, StartError, Tracker};
