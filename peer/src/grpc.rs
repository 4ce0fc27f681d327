//! gRPC client and server: the only part of the peer that mentions grpcio or futures.
//!
//! Rules for all of it: code on a completion-queue thread never blocks, reads a disk or panics, because that would stop
//! every other call of the process. Every call has a deadline. Only numeric addresses are dialled.

mod client;
mod credentials;
mod environment;
mod marshal;
mod server;

pub(crate) use crate::serve::UploadCounters;
pub(crate) use client::{
    CallError, ChunkCalls, ChunkEvent, Client, Command, CommandReceiver, CommandSender, FetchCall, FetchMessage,
    Patience, StreamEvent, commands,
};
pub use server::{Listen, PeerServer, ServeError};

/// Payload bytes where gRPC received them.
pub(crate) type Received = marshal::Payload<grpcio::MessageReader>;

/// Parsers of received messages over plain bytes, for fuzzing only.
pub mod fuzz {
    use peernet_protos::grpc::FetchRequest;

    pub use super::marshal::{parse_chunk_response, parse_fetch_reply};

    /// Takes the requests of one `Fetch` call, one after the other. Asserts that the requested chunks stay within their
    /// bounds.
    pub fn hear_requests(requests: &[FetchRequest]) {
        crate::serve::stream::assert_bounded(requests);
    }
}
