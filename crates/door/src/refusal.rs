//! Refusals: requests that the door answers itself, without the service's [`crate::Service::answer`].

use std::net::IpAddr;

use crate::door::Shared;
use crate::head::HeadError;
use crate::{Reply, RequestId};

/// Seconds a client is asked to wait when the door is full.
const RETRY_AFTER_S: &str = "1";

/// A request that the door refuses, for the service to log and to phrase.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    /// The id that the reply carries.
    pub id: RequestId,
    /// The address that the connection came from; `None` on a Unix socket.
    pub remote: Option<IpAddr>,
    /// The status of the reply.
    pub status: u16,
    /// A stable word for the reason.
    pub code: &'static str,
    /// The reason, for people.
    pub message: &'static str,
}

/// The reason why the service did not get or did not answer a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The head was refused.
    Head(HeadError),
    /// The body is, or is announced to be, larger than the service takes.
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
            Self::Plaintext => (400, "https_required", "this server speaks HTTPS only: use https:// in its URL"),
            Self::Panicked => (500, "internal", "internal error"),
        }
    }
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl Shared {
    /// Reports a refusal to the service. Returns the service's reply; the connection is closed after it.
    pub(crate) fn refusal_reply(&self, refusal: Refusal, id: RequestId, remote: Option<IpAddr>) -> Reply {
        let (status, code, message) = refusal.parts();
        let reply = self.service.refused(&Refused { id, remote, status, code, message });
        if refusal == Refusal::Busy { reply.with_header("Retry-After", RETRY_AFTER_S) } else { reply }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs compare status and code; the message is for people.
    #[test]
    fn every_refusal_has_its_status_and_code() {
        let head = Refusal::Head;
        for (refusal, status, code) in [
            (head(HeadError::Malformed("why")), 400, "bad_request"),
            (head(HeadError::TooLarge), 431, "head_too_large"),
            (head(HeadError::TargetTooLong), 414, "target_too_long"),
            (head(HeadError::TransferEncoding), 411, "length_required"),
            (head(HeadError::Version), 505, "http_version"),
            (head(HeadError::Expectation), 417, "expectation_failed"),
            (Refusal::BodyTooLarge, 413, "body_too_large"),
            (Refusal::Truncated, 400, "bad_request"),
            (Refusal::Timeout, 408, "timeout"),
            (Refusal::Busy, 503, "busy"),
            (Refusal::Plaintext, 400, "https_required"),
            (Refusal::Panicked, 500, "internal"),
        ] {
            let parts = refusal.parts();
            assert_eq!((parts.0, parts.1), (status, code), "{refusal:?}");
            let message = parts.2;
            assert!(!message.is_empty() && !message.ends_with('.'), "{refusal:?}: {message:?}");
            assert!(message.chars().next().is_some_and(|first| !first.is_uppercase() || message.starts_with("HTTP")));
        }
        assert_eq!(head(HeadError::Malformed("why")).parts().2, "why", "the parser's reason is passed on");
        assert_eq!(Refusal::from(HeadError::Version), head(HeadError::Version));
    }
}
