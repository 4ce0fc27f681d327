//! The OpenAPI description, as it is served. A test compares it with the route table in both directions.

/// OpenAPI 3.1, JSON.
pub const DOCUMENT: &str = include_str!("../../openapi.json");
