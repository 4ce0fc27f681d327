//! The messages of `peernet.proto` and the full names of its calls.

#[allow(missing_docs, unreachable_pub, clippy::all, clippy::unwrap_used)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/generated/mod.rs"));
}

pub use generated::peernet::*;

/// Full method name of version 1's unary chunk call.
pub const DOWNLOAD_CHUNK: &str = "/proto.PeerService/DownloadChunk";
/// Full method name of the streaming call.
pub const FETCH: &str = "/proto.PeerService/Fetch";
/// Full method name of the manifest call.
pub const GET_MANIFEST: &str = "/proto.PeerService/GetManifest";
