//! The strict parser of a request's head: pure, and the only place that turns a client's bytes into a [`Head`].
//!
//! It refuses everything that two programs could read in two ways (RFC 9112, request smuggling): bare line ends, folded
//! lines, control and non-ASCII bytes, a missing or doubled Host, any Content-Length that is not plain digits, any
//! Transfer-Encoding. `httparse` splits the lines; `scan` decides where the head ends and which bytes may be in it.

pub(crate) mod scan;
pub(crate) mod target;

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::str::FromStr;

use tiny_http::Method;

use crate::request::Head;
use scan::HeadScan;

/// The most headers any limits may allow; the parser's table has this size.
pub const HEADERS_MAX: usize = 64;

/// Headers of nearly all requests, in lower case. These names need no allocation.
const USUAL_NAMES: [&str; 6] = ["host", "authorization", "accept", "user-agent", "content-type", "content-length"];

/// The sizes that a head may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes from the request line up to and including the empty line; more is 431.
    pub head_bytes_max: usize,
    /// Header lines; more is 431. At most [`HEADERS_MAX`].
    pub headers_max: usize,
    /// Bytes of the request target; more is 414.
    pub target_bytes_max: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { head_bytes_max: 16 * 1024, headers_max: HEADERS_MAX, target_bytes_max: 4 * 1024 }
    }
}

/// A parsed head, and its statements about the bytes that follow it.
#[derive(Debug, Clone)]
pub struct ParsedHead {
    /// Method, path, query, headers.
    pub head: Head,
    /// Bytes of the input that the head took, with its empty line.
    pub head_bytes: usize,
    /// Announced body length in bytes; 0 if none is announced, `u64::MAX` if the number does not fit.
    pub content_length: u64,
    /// Whether the client wants the connection to stay open after the reply.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The request is HTTP/1.0, whose client must be told `Connection: keep-alive` to keep the connection.
    pub http_1_0: bool,
}

/// The reason why a head was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// Not HTTP, or HTTP that could be read in two ways: 400.
    Malformed(&'static str),
    /// More bytes or headers than allowed: 431.
    TooLarge,
    /// A longer target than allowed: 414.
    TargetTooLong,
    /// A Transfer-Encoding, where only Content-Length is spoken: 411.
    TransferEncoding,
    /// A version other than HTTP/1.0 and HTTP/1.1, such as the HTTP/2 preface: 505.
    Version,
    /// An Expect other than `100-continue`: 417.
    Expectation,
}

/// Parses the head at the start of `bytes`. `Ok(None)` means that the end has not come and nothing is wrong so far.
///
/// # Errors
/// See [`HeadError`]; the connection cannot be used further after any of them.
pub fn parse_head(bytes: &[u8], limits: &HeadLimits) -> Result<Option<ParsedHead>, HeadError> {
    let window = &bytes[..bytes.len().min(limits.head_bytes_max)];
    match HeadScan::default().advance(window)? {
        Some(head_bytes) => parse_whole(&window[..head_bytes], limits).map(Some),
        None if bytes.len() >= limits.head_bytes_max => Err(HeadError::TooLarge),
        None => Ok(None),
    }
}

/// Parses a head whose end [`HeadScan`] has found: `bytes` ends with the empty line.
pub(crate) fn parse_whole(bytes: &[u8], limits: &HeadLimits) -> Result<ParsedHead, HeadError> {
    let mut table = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut table[..limits.headers_max.min(HEADERS_MAX)]) {
        Ok(httparse::Status::Complete(parsed)) if parsed == bytes.len() => {}
        Ok(_) => return Err(HeadError::Malformed("the head does not end where its empty line is")),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
        Err(httparse::Error::Version) if names_a_version(bytes) => return Err(HeadError::Version),
        Err(_) => return Err(HeadError::Malformed("malformed request line or header")),
    }
    checked(&request, bytes.len(), limits)
}

/// Applies the rules to the parts that `httparse` has split.
fn checked(
    request: &httparse::Request<'_, '_>,
    head_bytes: usize,
    limits: &HeadLimits,
) -> Result<ParsedHead, HeadError> {
    let target = request.path.unwrap_or_default();
    if target.len() > limits.target_bytes_max {
        return Err(HeadError::TargetTooLong);
    }
    let (path, query) = target::split(target).ok_or(HeadError::Malformed("request target must be a path or a URL"))?;
    let method =
        Method::from_str(request.method.unwrap_or_default()).map_err(|()| HeadError::Malformed("malformed method"))?;
    let http_1_0 = request.version == Some(0);
    let meaning = Meaning::of(request.headers, http_1_0)?;
    let mut headers = Vec::with_capacity(request.headers.len());
    for header in request.headers.iter() {
        headers.push(owned(header)?);
    }
    Ok(ParsedHead {
        head: Head { method, path, query, headers },
        head_bytes,
        content_length: meaning.content_length.unwrap_or(0),
        keep_alive: if http_1_0 { meaning.says_keep_alive && !meaning.says_close } else { !meaning.says_close },
        expects_continue: meaning.expects_continue && !http_1_0,
        http_1_0,
    })
}

/// The headers' statements about framing and the connection.
#[derive(Default)]
struct Meaning {
    hosts: usize,
    content_length: Option<u64>,
    says_close: bool,
    says_keep_alive: bool,
    expects_continue: bool,
}

impl Meaning {
    fn of(headers: &[httparse::Header<'_>], http_1_0: bool) -> Result<Self, HeadError> {
        let mut meaning = Self::default();
        for header in headers {
            meaning.take(header, http_1_0)?;
        }
        match meaning.hosts {
            1 => Ok(meaning),
            0 if http_1_0 => Ok(meaning),
            _ => Err(HeadError::Malformed("exactly one Host header is required")),
        }
    }

    fn take(&mut self, header: &httparse::Header<'_>, http_1_0: bool) -> Result<(), HeadError> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        // Few headers matter here, and each of them starts with one of these letters.
        match header.name.as_bytes().first().map(u8::to_ascii_lowercase) {
            Some(b'h') if is("host") => self.host(header.value),
            Some(b'c') if is("content-length") => self.length(header.value),
            Some(b'c') if is("connection") => {
                self.connection(header.value);
                Ok(())
            }
            Some(b't') if is("transfer-encoding") => Err(HeadError::TransferEncoding),
            // RFC 9110 10.1.1: an expectation in an HTTP/1.0 request is ignored.
            Some(b'e') if is("expect") && !http_1_0 => self.expectation(header.value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), HeadError> {
        self.hosts += 1;
        if value.is_empty() || value.iter().any(|b| b" \t,/?#@\\".contains(b)) {
            return Err(HeadError::Malformed("malformed Host header"));
        }
        Ok(())
    }

    fn length(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if self.content_length.is_some() || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(HeadError::Malformed("Content-Length must be given once, in digits"));
        }
        let digits = std::str::from_utf8(value).expect("ASCII digits are UTF-8");
        self.content_length = Some(digits.parse().unwrap_or(u64::MAX));
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for token in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            self.says_close |= token.eq_ignore_ascii_case(b"close");
            self.says_keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn expectation(&mut self, value: &[u8]) -> Result<(), HeadError> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(HeadError::Expectation);
        }
        self.expects_continue = true;
        Ok(())
    }
}

fn owned(header: &httparse::Header<'_>) -> Result<(Cow<'static, str>, String), HeadError> {
    let value = std::str::from_utf8(header.value).map_err(|_| HeadError::Malformed("header is not ASCII"))?;
    Ok((lower_case(header.name), value.trim_matches([' ', '\t']).to_owned()))
}

fn lower_case(name: &str) -> Cow<'static, str> {
    let usual = USUAL_NAMES.into_iter().find(|usual| usual.eq_ignore_ascii_case(name));
    usual.map_or_else(|| name.to_ascii_lowercase().into(), Cow::Borrowed)
}

/// Returns whether the request line ends in an unsupported HTTP version, so that 505 is the right status.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.trim_ascii_start().split(|b| *b == b'\r').next().unwrap_or_default();
    let word = line.rsplit(|b| *b == b' ').next().unwrap_or_default();
    let Some(version) = word.strip_prefix(b"HTTP/") else { return false };
    let is_number = !version.is_empty() && version.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    is_number && version != b"1.1" && version != b"1.0"
}
