//! Group commit: durable changes of many requests share one transaction, and each request is answered after its commit.
//!
//! `group` is the engine. Its instances are small: durable writes ([`Writer`], here), lease updates
//! ([`crate::replication::LeaseLog`]) and settlements ([`crate::domain::economy`]). An instance says what one transaction is and how much fits
//! into it. The engine does the rest: the bounded queue, groups, panics, and exactly one answer for each request.
//!
//! Throughput grows with load, because more requests share a commit. A 2xx means that the change is durable.

pub(crate) mod group;
mod writes;

pub use group::GroupCounters;
pub use writes::{JOBS_QUEUED_MAX as WRITE_JOBS_QUEUED_MAX, WRITES_PER_GROUP_MAX, Writer};

pub(crate) use writes::{Apply, WriteLoop};
