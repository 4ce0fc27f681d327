//! The one error of the REST layer: a status, a stable word for programs and a sentence for people.

use std::fmt;
use std::time::Duration;

use peernet_protos::rest::ErrorBody;

use crate::http::{Reply, RequestId};
use crate::log;
use crate::store::StoreError;

/// After how many seconds a refused client should come back, where nothing better is known.
const RETRY_AFTER_S: u32 = 1;

/// An answer other than success. Rendered as `{"error": message, "code": code}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status code, 4xx or 5xx.
    pub status: u16,
    /// A stable word for programs.
    pub code: &'static str,
    /// What went wrong and what to do, for people. Never contains secrets or what the database said.
    pub message: String,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u32>,
    /// `Allow`, for 405.
    pub allow: Option<String>,
}

impl ApiError {
    /// Any status without a `Retry-After`.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after_s: None, allow: None }
    }

    /// 400: the request can never work as it is.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    /// 401 with one of version 1's three texts, or wrong credentials.
    pub fn unauthorized(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(401, code, message)
    }

    /// 404: the thing named does not exist.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(404, code, message)
    }

    /// 409: what is there already contradicts the request.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(409, code, message)
    }

    /// 422: every field is well-formed, but together, or for the file they are about, they say what cannot be. Version 1's calls
    /// answer 400 instead.
    pub fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(422, code, message)
    }

    /// 503 `busy`: a bounded queue is full. The same request works a moment later.
    pub fn busy(what: &str) -> Self {
        Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::new(503, "busy", format!("{what}; try again shortly")) }
    }

    /// 429: this client, and not the tracker, has had enough for now. `wait` becomes `Retry-After`, a second at least.
    pub fn too_many(code: &'static str, what: &str, wait: Duration) -> Self {
        let seconds = u32::try_from(wait.as_millis().div_ceil(1_000).max(1)).unwrap_or(u32::MAX);
        let message = format!("{what}; come back in {seconds} s");
        Self { retry_after_s: Some(seconds), ..Self::new(429, code, message) }
    }

    /// 503 `store_unavailable`: the database does not answer.
    pub fn store_unavailable() -> Self {
        let message = "the tracker's database does not answer; try again shortly";
        Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::new(503, "store_unavailable", message) }
    }

    /// 503 `draining`: the process is about to stop.
    pub fn draining() -> Self {
        let message = "this tracker is about to stop; ask another one, or this one after its restart";
        Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::new(503, "draining", message) }
    }

    /// 500 `internal`: a defect of ours. Log its cause where it is met.
    pub fn internal() -> Self {
        Self::new(500, "internal", "the tracker failed on this request; its log says why")
    }

    /// As it goes to the client, in answer to the request `id`.
    pub fn to_reply(&self, id: &RequestId) -> Reply {
        let request_id = (self.status >= 500).then(|| id.to_string());
        let body = ErrorBody { error: self.message.clone(), code: self.code.to_owned(), request_id };
        let mut reply = Reply::json(self.status, &body);
        if let Some(seconds) = self.retry_after_s {
            reply = reply.with_header("Retry-After", seconds.to_string());
        }
        if let Some(methods) = &self.allow {
            reply = reply.with_header("Allow", methods.clone());
        }
        if self.status == 401 {
            reply = reply.with_header("WWW-Authenticate", "Bearer");
        }
        reply
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.message)
    }
}

impl std::error::Error for ApiError {}

impl From<StoreError> for ApiError {
    /// Logs what the database said and hides it from the client.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(what) => {
                log::warn("store", &format!("unavailable: {what}"), &[]);
                Self::store_unavailable()
            }
            StoreError::Failed(what) => {
                log::error("store", &format!("failed: {what}"), &[]);
                Self::internal()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_database_said_stays_in_the_log() {
        for error in [StoreError::Unavailable("at 10.0.0.7".into()), StoreError::Failed("at 10.0.0.7".into())] {
            let reply = ApiError::from(error).to_reply(&RequestId::fresh());
            assert!(reply.status >= 500 && !String::from_utf8_lossy(&reply.body).contains("10.0.0.7"));
        }
    }

    #[test]
    fn a_client_that_asks_too_much_is_told_a_whole_second_at_least() {
        for (ms, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (900_000, 900)] {
            let error = ApiError::too_many("rate_limited", "slower", Duration::from_millis(ms));
            assert_eq!((error.status, error.retry_after_s), (429, Some(seconds)), "{ms}");
        }
    }

    #[test]
    fn a_full_queue_says_when_to_come_back() {
        let reply = ApiError::busy("too many writes are waiting").to_reply(&RequestId::fresh());
        assert_eq!((reply.status, reply.headers), (503, vec![("Retry-After", "1".into())]));
    }
}
