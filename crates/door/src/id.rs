//! Request ids: the client's own, or one made here without a system call. The reply and the log carry it.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Head;

/// The header that carries the id, both ways.
pub(crate) const HEADER: &str = "X-Request-Id";
/// The header as [`Head`] names it.
const HEADER_LOWER: &str = "x-request-id";
/// The longest id that is taken over from a client.
pub(crate) const BYTES_MAX: usize = 64;
/// Bytes of randomness that tell the ids of one process from those of another.
const PREFIX_BYTES: usize = 5;

/// A request id: 1 to 64 characters of `[A-Za-z0-9._-]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    bytes: [u8; BYTES_MAX],
    length: u8,
}

impl RequestId {
    /// Makes an id of a random prefix of this process and a number.
    pub fn fresh() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut id = Self { bytes: [0; BYTES_MAX], length: 0 };
        id.push(prefix());
        id.push(b"-");
        let mut digits = [0; 16];
        data_encoding::HEXLOWER.encode_mut(&number.to_be_bytes(), &mut digits);
        // Leading zeros would only cost bytes in every reply.
        let zeros = digits.iter().take(digits.len() - 1).take_while(|digit| **digit == b'0').count();
        id.push(&digits[zeros..]);
        id
    }

    /// The id that a client gave its request, if it may be repeated in headers and logs.
    pub fn given(head: &Head) -> Option<Self> {
        let text = head.header(HEADER_LOWER)?.as_bytes();
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if !(1..=BYTES_MAX).contains(&text.len()) || !text.iter().all(plain) {
            return None;
        }
        let mut id = Self { bytes: [0; BYTES_MAX], length: 0 };
        id.push(text);
        Some(id)
    }

    /// The client's own, or a fresh one.
    pub fn of(head: &Head) -> Self {
        Self::given(head).unwrap_or_else(Self::fresh)
    }

    /// The bytes of the header's value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    fn push(&mut self, more: &[u8]) {
        let start = usize::from(self.length);
        let end = (start + more.len()).min(BYTES_MAX);
        self.bytes[start..end].copy_from_slice(&more[..end - start]);
        self.length = u8::try_from(end).expect("64 at most");
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(self.as_bytes()).expect("only ASCII is taken in"))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn prefix() -> &'static [u8] {
    static PREFIX: OnceLock<String> = OnceLock::new();
    let drawn = PREFIX.get_or_init(|| {
        let mut random = [0; PREFIX_BYTES];
        // Without entropy, the process's number still tells its ids from those of others.
        if getrandom::fill(&mut random).is_err() {
            random[..4].copy_from_slice(&std::process::id().to_be_bytes());
        }
        data_encoding::HEXLOWER.encode(&random)
    });
    drawn.as_bytes()
}

#[cfg(test)]
mod tests {
    use tiny_http::Method;

    use super::*;

    fn given(value: &str) -> Option<String> {
        let headers = vec![(HEADER_LOWER.into(), value.to_owned())];
        let head = Head { method: Method::Get, path: "/".into(), query: String::new(), headers };
        RequestId::given(&head).map(|id| id.to_string())
    }

    #[test]
    fn a_clients_id_is_taken_over_if_it_is_plain() {
        let longest = "x".repeat(BYTES_MAX);
        for good in ["a", "7f3a-9.b_C", longest.as_str()] {
            assert_eq!(given(good).as_deref(), Some(good));
        }
        for bad in ["", "a b", "a\"b", "a/b", "é", "a\tb", format!("{longest}x").as_str()] {
            assert_eq!(given(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn fresh_ids_differ_and_have_one_prefix() {
        let one = RequestId::fresh().to_string();
        let two = RequestId::fresh().to_string();
        assert_ne!(one, two);
        assert_eq!(one.split_once('-').expect("has one").0, two.split_once('-').expect("has one").0);
        assert!(given(&one).is_some(), "{one} would be taken over by another server");
    }
}
