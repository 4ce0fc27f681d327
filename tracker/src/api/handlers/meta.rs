//! Calls about the tracker itself: health, readiness, keys, the API's description, statistics, metrics.

use serde_json::json;

use crate::api::handlers::MetaCalls;
use crate::api::openapi;
use crate::api::{ApiError, PathArgs};
use peernet_door::{Reply, Request};

/// `GET /health`: the process answers. Version 1's body.
pub fn health(_calls: &MetaCalls, _request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    Ok(Reply::json(200, &json!({"status": "UP"})))
}

/// `GET /ready`: requests should be sent here. 503 `draining` when the process is about to stop, 503 `store_unavailable` when
/// the database did not answer lately.
pub fn ready(calls: &MetaCalls, _request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    if calls.readiness.is_draining() {
        return Err(ApiError::draining());
    }
    if !calls.readiness.store_answers() {
        return Err(ApiError::store_unavailable());
    }
    Ok(Reply::json(200, &json!({"status": "READY"})))
}

/// `GET /.well-known/jwks.json`: the public half of the tracker's token key.
pub fn key_set(calls: &MetaCalls, _request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    Ok(Reply::json(200, &calls.keys.key_set()).with_header("Cache-Control", "public, max-age=300"))
}

/// `GET /api/v1/openapi.json`.
pub fn openapi(_calls: &MetaCalls, _request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let body = openapi::DOCUMENT.as_bytes().to_vec();
    Ok(Reply { status: 200, content_type: "application/json", headers: Vec::new(), body })
}

/// `GET /api/v1/stats`: a snapshot of counts; no query, no names.
pub fn stats(calls: &MetaCalls, _request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let (leases, _) = calls.swarm.usage();
    let door = (calls.door_stats)();
    let uptime_seconds = (calls.clock)().since(calls.started_at).as_secs();
    Ok(Reply::json(
        200,
        &json!({
            "uptime_seconds": uptime_seconds,
            "leases": leases,
            "connections_open": door.connections_open,
            "requests": door.requests,
            "version": env!("CARGO_PKG_VERSION"),
        }),
    ))
}

/// `GET /metrics` of the operations listener: Prometheus' text format.
pub fn metrics(calls: &MetaCalls, _request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    Ok(Reply { content_type: "text/plain; version=0.0.4", ..Reply::text(200, calls.metrics.render()) })
}
