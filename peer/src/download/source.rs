//! Connections to sources: one thread for each, which converses with the source and hands on received bytes.
//!
//! [`connection`] owns the thread. It does not know how a source is spoken to: that is a [`Conversation`], of which
//! there is one implementation for each [`Protocol`](peernet_engine::download::Protocol).

pub(crate) mod connection;
mod conversation;
mod fetch_stream;
mod rate_limit;
mod v1_calls;

pub(crate) use conversation::{Block, Conversation, Message};
