//! The running daemon's interfaces: the control socket for the command line, and metrics for Prometheus.

pub(crate) mod control;
pub(crate) mod metrics;
