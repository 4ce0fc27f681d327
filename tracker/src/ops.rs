//! The operator's view of a running tracker: log, access log, metrics, counters, and readiness.

pub mod access_log;
pub mod counters;
pub mod log;
pub mod metrics;
pub mod readiness;
