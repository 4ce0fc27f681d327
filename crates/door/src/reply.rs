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
