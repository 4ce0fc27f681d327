//! Announce, lookup, plan, search and feedback over HTTP, with each store.

mod access;
mod announce;
mod client;
mod crash;
mod dialback;
mod feedback;
mod hostile;
mod kills;
mod lookup;
mod model;
mod order;
mod plan;
mod replicas;
mod search;
mod signatures;
