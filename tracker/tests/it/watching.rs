//! The operator's view: request ids, the log, readiness, the drain and the metrics.

mod drain;
mod handbook;
mod hostile;
mod ids;
mod log;
mod metrics;
mod ready;
