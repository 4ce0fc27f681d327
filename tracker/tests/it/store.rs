//! The store's contract, checked against both stores: each test runs on a fresh SQLite file, on a fresh PostgreSQL database, and on one
//! that is reached over TLS.

mod accounts;
mod books;
mod concurrency;
mod devices;
mod files;
mod lost_server;
mod policies;
mod registry;
mod schema;
mod signatures;
mod support;
mod swarm;
mod tls;
mod upgrade;
