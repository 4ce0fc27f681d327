//! gRPC, both ways: the only part of the peer that mentions grpcio or futures.
//!
//! Rules that hold everywhere below: nothing blocks, reads a disk or panics on a completion-queue thread (it would stop
//! every other call of the process), every call has a deadline, and only numeric addresses are dialled.

mod client;
mod credentials;
mod environment;
mod marshal;
mod server;

pub(crate) use client::{
    CallError, ChunkCalls, ChunkEvent, Client, Command, Commands, FetchCall, Orders, StreamEvent, commands,
};
pub(crate) use credentials::Speech;
pub(crate) use marshal::Reply;
pub use server::{Listen, PeerServer, ServeError, UploadCounters};

/// For fuzzing only: parsers of what arrives, over plain bytes.
pub mod fuzz {
    use peernet_protos::grpc::FetchRequest;

    pub use super::marshal::{parse_chunk_response, parse_fetch_reply};

    /// What a caller says in one `Fetch` call, message after message: what is wanted then stays within its bounds.
    pub fn hear_requests(requests: &[FetchRequest]) {
        super::server::stream::request::assert_bounded(requests);
    }
}
