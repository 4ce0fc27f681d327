//! PeerNet's tracker: accounts, which peer holds which file, and what each account has earned. File data never passes through it.
//!
//! Start one inside a program with [`Tracker::builder`]; the program `peernet-tracker` does the same.

pub mod admin;
pub mod api;
pub mod base;
pub mod boot;
pub mod cli;
pub mod domain;
pub mod ops;
pub mod permits;
pub mod store;
pub mod writer;

pub use peernet_door as http;

pub use boot::{Builder, StartError, Tracker};
