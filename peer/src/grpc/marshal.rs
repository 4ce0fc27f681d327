//! Serialisation of messages with payload, without copying the payload.
//!
//! A server reads the disk straight into the buffer that gRPC sends; a client hashes and writes straight out of the
//! buffers gRPC received. On the wire these are the messages of `peernet.proto`.

mod parse;

pub(crate) use parse::{Payload, Reply};
pub(super) use parse::{chunk_payload, fetch_reply};
pub use parse::{parse_chunk_response, parse_fetch_reply};

use grpcio::{Error, GrpcSlice, Marshaller, MessageReader, Method, MethodType, pb_de, pb_ser};
use peernet_protos::grpc::{
    ChunkRequest, DOWNLOAD_CHUNK, FETCH, FetchRequest, GET_MANIFEST, ManifestReply, ManifestRequest,
};

use crate::serve::Rendered;

const REQUEST_CHUNK: Marshaller<ChunkRequest> = Marshaller { ser: pb_ser, de: pb_de };
const REQUEST_FETCH: Marshaller<FetchRequest> = Marshaller { ser: pb_ser, de: pb_de };
const SERIALIZED: Marshaller<Serialized> = Marshaller { ser: send_serialized, de: never_received };

/// `DownloadChunk` as the server sees it.
pub(super) const SERVE_CHUNK: Method<ChunkRequest, Serialized> =
    Method { ty: MethodType::Unary, name: DOWNLOAD_CHUNK, req_mar: REQUEST_CHUNK, resp_mar: SERIALIZED };

/// `DownloadChunk` as the client sees it.
pub(super) const CALL_CHUNK: Method<ChunkRequest, Payload<MessageReader>> = Method {
    ty: MethodType::Unary,
    name: DOWNLOAD_CHUNK,
    req_mar: REQUEST_CHUNK,
    resp_mar: Marshaller { ser: never_sent, de: receive_chunk },
};

/// `Fetch` as the server sees it.
pub(super) const SERVE_FETCH: Method<FetchRequest, Serialized> =
    Method { ty: MethodType::Duplex, name: FETCH, req_mar: REQUEST_FETCH, resp_mar: SERIALIZED };

/// `Fetch` as the client sees it.
pub(super) const CALL_FETCH: Method<FetchRequest, Reply<MessageReader>> = Method {
    ty: MethodType::Duplex,
    name: FETCH,
    req_mar: REQUEST_FETCH,
    resp_mar: Marshaller { ser: never_sent, de: receive_reply },
};

/// `GetManifest`, on both sides. It has no payload, so protobuf's own code serialises it.
pub(super) const GET: Method<ManifestRequest, ManifestReply> = Method {
    ty: MethodType::Unary,
    name: GET_MANIFEST,
    req_mar: Marshaller { ser: pb_ser, de: pb_de },
    resp_mar: Marshaller { ser: pb_ser, de: pb_de },
};

/// A reply that `crate::serve` rendered, as gRPC sends it.
pub(super) struct Serialized(GrpcSlice);

impl From<Rendered> for Serialized {
    fn from(rendered: Rendered) -> Self {
        // Takes the vector as it is, without a copy.
        Self(GrpcSlice::from(rendered.into_bytes()))
    }
}

fn send_serialized(reply: &Serialized, buffer: &mut GrpcSlice) -> grpcio::Result<()> {
    // This counts a reference; the bytes stay where they are.
    *buffer = reply.0.clone();
    Ok(())
}

fn never_received(_: MessageReader) -> grpcio::Result<Serialized> {
    Err(Error::Codec("a server does not receive its own replies".into()))
}

fn never_sent<T>(_: &T, _: &mut GrpcSlice) -> grpcio::Result<()> {
    Err(Error::Codec("a client does not send a server's replies".into()))
}

fn receive_chunk(reader: MessageReader) -> grpcio::Result<Payload<MessageReader>> {
    let len = reader.len();
    chunk_payload(reader, len).map_err(|malformed| Error::Codec(malformed.into()))
}

fn receive_reply(reader: MessageReader) -> grpcio::Result<Reply<MessageReader>> {
    let len = reader.len();
    fetch_reply(reader, len).map_err(|malformed| Error::Codec(malformed.into()))
}
