//! The handlers of the route table, one file a resource.

pub mod accounts;
pub mod feedback;
pub mod files;
pub mod manifests;
pub mod meta;
pub mod search;
pub mod swarm;
