//! The answers the door and the operations listener make themselves, when a request never reaches the router.

use std::net::IpAddr;

use peernet_protos::rest::ErrorBody;

use crate::head::HeadError;
use crate::{Refused, Reply, RequestId};

/// Seconds a client is asked to wait where the tracker is full.
const RETRY_AFTER_S: &str = "1";

/// Why a request was not handed to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The head was refused.
    Head(HeadError),
    /// The body is, or is announced to be, larger than this path takes.
    BodyTooLarge,
    /// The connection ended within a request.
    Truncated,
    /// A total deadline passed within a request.
    Timeout,
    /// A cap of the door is reached.
    Busy,
    /// The service panicked.
    Panicked,
    /// HTTP without TLS, where that is not allowed.
    Plaintext,
}

impl Refusal {
    /// The answer; the connection is closed after it.
    pub(crate) fn reply(self, id: &RequestId) -> Reply {
        let (status, code, error) = self.parts();
        let request_id = (status >= 500).then(|| id.to_string());
        let reply = Reply::json(status, &ErrorBody { error: error.to_owned(), code: code.to_owned(), request_id });
        if self == Self::Busy { reply.with_header("Retry-After", RETRY_AFTER_S) } else { reply }
    }

    /// What the service is told of it.
    pub(crate) fn told(self, id: RequestId, remote: Option<IpAddr>) -> Refused {
        let (status, code, _) = self.parts();
        Refused { id, remote, status, code }
    }

    fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Head(HeadError::Malformed(why)) => (400, "bad_request", why),
            Self::Head(HeadError::TooLarge) => (431, "head_too_large", "request head too large"),
            Self::Head(HeadError::TargetTooLong) => (414, "target_too_long", "request target too long"),
            Self::Head(HeadError::TransferEncoding) => {
                (411, "length_required", "send the body with a Content-Length, not a Transfer-Encoding")
            }
            Self::Head(HeadError::Version) => (505, "http_version", "only HTTP/1.1 and HTTP/1.0 are spoken here"),
            Self::Head(HeadError::Expectation) => (417, "expectation_failed", "only Expect: 100-continue is supported"),
            Self::BodyTooLarge => (413, "body_too_large", "request body too large"),
            Self::Truncated => (400, "bad_request", "connection ended within the request"),
            Self::Timeout => (408, "timeout", "request not received in time"),
            Self::Busy => (503, "busy", "too many connections or requests; try again later"),
            Self::Plaintext => (400, "https_required", "this tracker speaks HTTPS only: use https:// in its URL"),
            Self::Panicked => (500, "internal", "internal error"),
        }
    }
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}
