//! The REST API: the route table, authentication, readers of requests, handlers, and the one error.

pub mod body;
pub mod error;
pub mod guard;
pub mod handlers;
pub mod openapi;
pub mod path;
pub mod router;
pub mod routes;
mod signature;
#[cfg(test)]
mod tests;
pub mod wire;

pub use body::{json_body, query_args};
pub use error::ApiError;
pub use guard::Caller;
pub use path::PathArgs;
pub use routes::{Access, OPS_ROUTES, ROUTES, Route};
