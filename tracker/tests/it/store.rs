//! The conformance suite of the stores. Each test runs on a fresh SQLite file, on a fresh PostgreSQL database, and on one over TLS.

mod accounts;
mod concurrency;
mod devices;
mod differential;
mod files;
mod ledger;
mod listings;
mod lost_server;
mod operators;
mod policies;
mod schema;
mod signatures;
mod support;
mod tls;
mod upgrade;
