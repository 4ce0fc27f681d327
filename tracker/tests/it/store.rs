//! The store's contract, checked against both stores: each test runs once on a fresh SQLite file and once on a fresh
//! PostgreSQL database.

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
mod upgrade;
