//! Replies: a status, headers and a body that is in memory before its first byte is written, so that no client can hold a worker.

use std::borrow::Cow;

use serde::Serialize;

use crate::deferred::{self, Deferred, Responder};
use crate::stream::{self, StreamReceiver, StreamSender};

/// Status, headers and body. The door adds Content-Length, Date and Connection.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status code.
    pub status: u16,
    /// `Content-Type`; none if empty.
    pub content_type: &'static str,
    /// Further headers. Their names and values are the service's, never a client's.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A JSON reply.
    pub fn json<T: Serialize>(status: u16, body: &T) -> Self {
        let body = serde_json::to_vec(body).expect("wire types have string keys and finite numbers");
        Self { body, ..Self::empty(status) }
    }

    /// A plain text reply.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", headers: Vec::new(), body: body.into().into_bytes() }
    }

    /// A JSON reply whose body is added later, or stays empty.
    pub fn empty(status: u16) -> Self {
        Self { status, content_type: "application/json", headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A handler's answer to one request.
#[derive(Debug)]
pub enum Answer {
    /// The reply is ready.
    Now(Reply),
    /// The reply comes later, from the [`Responder`]. Made by [`Answer::deferred`].
    Deferred(Deferred),
    /// The body comes piece by piece, from the [`StreamSender`]. Made by [`Answer::streamed`].
    Streamed(Streamed),
}

/// A streamed reply: its head, and the door's end of its body.
#[derive(Debug)]
pub struct Streamed {
    pub(crate) head: Reply,
    pub(crate) receiver: StreamReceiver,
}

impl Answer {
    /// A reply that is not ready yet. No thread waits for it. Return the answer, and have any thread call [`Responder::reply`].
    ///
    /// ```
    /// use peernet_door::{Answer, Reply};
    ///
    /// let (responder, answer) = Answer::deferred();
    /// std::thread::spawn(move || responder.reply(Reply::text(200, "done")));
    /// # drop(answer);
    /// ```
    pub fn deferred() -> (Responder, Self) {
        let (responder, deferred) = deferred::pair();
        (responder, Self::Deferred(deferred))
    }

    /// A reply whose body is pushed for as long as the producer likes, such as server-sent events. `head` has the status and
    /// the headers; its body is dropped. Return the answer, and push from any thread.
    ///
    /// A producer that pushes nothing for [`crate::StreamLimits::silence_max`] is cut, so send a heartbeat.
    pub fn streamed(mut head: Reply) -> (StreamSender, Self) {
        head.body = Vec::new();
        let (sender, receiver) = stream::pair();
        (sender, Self::Streamed(Streamed { head, receiver }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_have_a_type_and_their_body() {
        #[derive(Serialize)]
        struct Body {
            name: &'static str,
            number: u32,
        }
        let json = Reply::json(201, &Body { name: "a", number: 7 });
        assert_eq!((json.status, json.content_type), (201, "application/json"));
        assert_eq!(json.body, br#"{"name":"a","number":7}"#);
        let text = Reply::text(404, "not here");
        assert_eq!((text.status, text.content_type), (404, "text/plain; charset=utf-8"));
        assert_eq!(text.body, b"not here");
        let empty = Reply::empty(204);
        assert!(empty.body.is_empty() && empty.headers.is_empty());
    }

    #[test]
    fn headers_keep_their_order_and_may_repeat() {
        let reply = Reply::empty(200).with_header("A", "1").with_header("B", String::from("2")).with_header("A", "3");
        let headers: Vec<(&str, &str)> = reply.headers.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        assert_eq!(headers, [("A", "1"), ("B", "2"), ("A", "3")]);
    }

    #[test]
    fn a_streamed_reply_has_no_body_of_its_own() {
        let (_sender, answer) = Answer::streamed(Reply::text(200, "dropped").with_header("A", "1"));
        let Answer::Streamed(streamed) = answer else { panic!("{answer:?}") };
        assert!(streamed.head.body.is_empty());
        assert_eq!((streamed.head.status, streamed.head.headers.len()), (200, 1));
    }

    #[test]
    fn a_deferred_reply_is_delivered_from_another_thread() {
        let (responder, answer) = Answer::deferred();
        assert!(matches!(answer, Answer::Deferred(_)));
        std::thread::spawn(move || responder.reply(Reply::empty(202))).join().expect("replying does not panic");
    }
}
