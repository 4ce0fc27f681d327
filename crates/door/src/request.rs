//! One HTTP request, read whole and checked before anything sees it.

use std::borrow::Cow;
use std::net::IpAddr;

use tiny_http::Method;

use crate::RequestId;

/// A request's head. Names are lower-case; values are trimmed and printable ASCII (or tab).
#[derive(Debug, Clone)]
pub struct Head {
    /// The method as sent; unknown ones are `Method::NonStandard`.
    pub method: Method,
    /// The path with its percent-encoding, always starting with `/`. Runs of leading slashes are one slash, because version 1
    /// clients produce `//api`.
    pub path: String,
    /// The text after `?`; empty if there is none.
    pub query: String,
    /// Every header in order, names in lower case.
    pub headers: Vec<(Cow<'static, str>, String)>,
}

impl Head {
    /// The first value of a header, its name given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// A whole request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method, path, query, headers.
    pub head: Head,
    /// All of the body; empty if there is none.
    pub body: Vec<u8>,
    /// The client's address; `None` on a Unix socket.
    pub remote: Option<IpAddr>,
    /// The id in its reply and in its lines of the log.
    pub id: RequestId,
}
