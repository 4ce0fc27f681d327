//! The rules of the tracker: accounts, access to files, the swarm index, and the economy.
//!
//! This layer knows no HTTP. Its operations take what they use and return results and errors of their own; `api` translates both.

pub mod access;
pub mod accounts;
pub mod address;
pub mod authority;
pub mod database;
pub mod economy;
pub mod keys;
pub mod limits;
pub mod permits;
pub mod rate;
pub mod swarm;
