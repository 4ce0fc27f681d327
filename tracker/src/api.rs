//! What every REST handler is made of: the route table, the error it may answer, the guard, and readers of its input.

pub mod address;
pub mod body;
pub mod error;
pub mod guard;
pub mod path;
pub mod routes;

pub use address::peer_address;
pub use body::{json_body, query_args};
pub use error::ApiError;
pub use guard::Caller;
pub use path::PathArgs;
pub use routes::{Access, OPS_ROUTES, ROUTES, Route};
