//! PeerNet's tracker: accounts, which peer holds which file, and what each account has earned. File data never passes through it.
//!
//! Start one inside a program with [`Tracker::builder`]; the program `peernet-tracker` does the same.
//!
//! A module uses only modules above it in this list:
//!
//! | module | owns |
//! |---|---|
//! | `base` | small types and functions that know nothing of the tracker |
//! | `ops` | logs, metrics, readiness |
//! | `store` | the durable tables: PostgreSQL or SQLite |
//! | `commit` | group commit |
//! | `domain` | accounts, access control, the swarm index, the economy |
//! | `replication` | the lease log, and the exchange of lease updates between trackers |
//! | `api` | the REST calls |
//! | `boot` | configuration, building and threads |
//! | `admin`, `cli` | commands |

pub mod admin;
pub mod api;
pub mod base;
pub mod boot;
pub mod cli;
pub mod commit;
pub mod domain;
pub mod ops;
pub mod replication;
pub mod store;

pub use boot::{Builder, StartError, Tracker};
