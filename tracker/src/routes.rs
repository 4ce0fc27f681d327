//! The handlers of the route table, one file a resource.

pub mod accounts;
pub mod devices;
pub mod feedback;
pub mod files;
pub mod grants;
pub mod groups;
pub mod identity;
pub mod manifests;
pub mod meta;
pub mod search;
pub mod swarm;
