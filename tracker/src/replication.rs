//! Lease updates on disk and between trackers.
//!
//! Leases live for minutes and change all the time, so they are not rows of the database. Each tracker appends them to a write-ahead log of
//! its own, in a file of its data folder. The trackers of one database publish their logs to each other through that database.
//!
//! - `lease_update`: the encoding of an update. Its stored format is fixed.
//! - `log_file`: the file.
//! - `lease_log`: group commit into the file. An announce is acknowledged after its commit.
//! - `apply`: updates become the swarm index.
//! - [`restore`]: the index is filled at start.
//! - `replicator`: the thread that publishes to the other trackers and reads from them.
//! - `maintenance`: the thread that ends leases and deletes expired updates.
//!
//! The swarm index knows none of this: it receives updates and reads no clock.

mod apply;
mod lease_log;
mod lease_update;
mod log_file;
pub(crate) mod maintenance;
pub(crate) mod replicator;
mod restore;

pub use apply::Applier;
pub use lease_log::{LeaseLog, LeaseLogCounters, Then};
pub use lease_update::{LeaseUpdate, Malformed};
pub use log_file::LogFile;
pub use restore::restore;

pub(crate) use lease_log::LeaseLogLoop;
