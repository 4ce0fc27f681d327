//! Validation of wire types: the one place where the fields of a request are parsed and checked.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use data_encoding::BASE64;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::candidate::{Candidate, Candidates};
use peernet_engine::ids::{ByteCount, ChunkCount, ChunkIndex, FileHash, ManifestId, PeerId};
use peernet_engine::lease::{AnnounceForm, lease_until};
use peernet_engine::manifest::Manifest;
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::{CHUNKS_MAX, FILE_NAME_BYTES_MAX, RANGES_PER_REQUEST_MAX};
use peernet_protos::rest::{
    AnnounceChunkRequest, FAILED_UPLOAD, FeedbackEntry, FeedbackRequest, GRPC, GRPC_TLS, Have, ManifestBody,
    SUCCESS_UPLOAD, SwarmAnnounceRequest,
};

use crate::api::ApiError;
use crate::domain::address::peer_address;
use crate::domain::swarm::{Location, V1Chunk};
use peernet_engine::plan::Held;

pub use crate::api::signature::{publication_key, signature};

/// The longest site label, in bytes.
const SITE_BYTES_MAX: usize = 64;

/// The verdict of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The word `SUCCESS_UPLOAD`.
    Success,
    /// The word `FAILED_UPLOAD`.
    Failure,
}

/// A report about some chunks, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The source that it is about.
    pub target: PeerId,
    /// The file.
    pub file_hash: FileHash,
    /// The chunks as they were listed; not empty.
    pub chunks: Vec<ChunkIndex>,
    /// The verdict.
    pub verdict: Verdict,
}

fn parse<T: FromStr<Err: std::fmt::Display>>(text: &str, field: &str, code: &'static str) -> Result<T, ApiError> {
    text.parse().map_err(|error| ApiError::bad_request(code, format!("{field}: {error}")))
}

/// Parses a file hash in a body.
pub fn file_hash(text: &str) -> Result<FileHash, ApiError> {
    parse(text, "file_hash", "invalid_file_hash")
}

/// Parses a manifest id in a body.
pub fn manifest_id(text: &str) -> Result<ManifestId, ApiError> {
    parse(text, "manifest_id", "invalid_manifest_id")
}

/// Checks one chunk of a version 1 announce. Its name may be a path, of which the last part counts.
pub fn v1_chunk(now: UnixMillis, peer: PeerId, body: &AnnounceChunkRequest) -> Result<V1Chunk, ApiError> {
    let file_hash = file_hash(&body.file_hash)?;
    let total_chunks =
        u32::try_from(body.total_chunks).ok().filter(|n| (1..=CHUNKS_MAX).contains(n)).ok_or_else(|| {
            ApiError::bad_request("invalid_total_chunks", format!("total_chunks must be from 1 to {CHUNKS_MAX}"))
        })?;
    let index = u32::try_from(body.chunk_index).ok().filter(|n| *n < total_chunks).ok_or_else(|| {
        ApiError::bad_request("invalid_chunk_index", "chunk_index must be from 0 to total_chunks - 1")
    })?;
    Ok(V1Chunk {
        peer,
        file_hash,
        total_chunks,
        index,
        chunk_hash: parse(&body.chunk_hash, "chunk_hash", "invalid_chunk_hash")?,
        file_name: file_name(body.file_name.rsplit(['/', '\\']).next().unwrap_or_default())?,
        expires_at: lease_until(now, AnnounceForm::PerChunk),
    })
}

/// Checks a suggested file name: at most 255 bytes, no separator, no control character, not `.` or `..`. It may be
/// empty.
pub fn file_name(text: &str) -> Result<String, ApiError> {
    let invalid = |why: &str| ApiError::bad_request("invalid_file_name", format!("file_name {why}"));
    if text.len() > FILE_NAME_BYTES_MAX {
        return Err(invalid("is longer than 255 bytes"));
    }
    if text.chars().any(|c| c.is_control() || c == '/' || c == '\\') || matches!(text, "." | "..") {
        return Err(invalid("must be a plain name without separators and control characters"));
    }
    Ok(text.to_owned())
}

/// Checks a manifest. The caller compares its id.
pub fn manifest(body: &ManifestBody) -> Result<(Manifest, String), ApiError> {
    let hashes = BASE64.decode(body.chunk_hashes.as_bytes()).map_err(|_| {
        ApiError::unprocessable("invalid_manifest", "chunk_hashes must be padded base64, 32 bytes a chunk")
    })?;
    let manifest = Manifest::from_parts(file_hash(&body.file_hash)?, ByteCount(body.size), body.chunk_size, &hashes)
        .map_err(|error| ApiError::unprocessable("invalid_manifest", error.to_string()))?;
    Ok((manifest, file_name(&body.file_name)?))
}

/// Reads the chunks that an announcer holds of a file of `chunks` chunks.
pub fn held(have: &Have, chunks: u32) -> Result<Held, ApiError> {
    let Have::Bitmap(text) = have else { return Ok(Held::Complete) };
    let invalid = || {
        ApiError::unprocessable("invalid_bitmap", "bitmap must be padded base64 of one bit a chunk, spare bits zero")
    };
    let bytes = BASE64.decode(text.as_bytes()).map_err(|_| invalid())?;
    Bitmap::from_bytes(&bytes, ChunkCount(chunks)).map(Held::of).ok_or_else(invalid)
}

/// The wire form of held chunks.
pub fn have(held: &Held) -> Have {
    match held {
        Held::Complete => Have::Complete,
        Held::Chunks(bitmap) => Have::Bitmap(BASE64.encode(bitmap.as_bytes())),
    }
}

/// The address where an announcer listens: its own statement, with the address that it is seen from in place of
/// `0.0.0.0` or `[::]`.
pub fn announced_address(text: &str, seen: Option<IpAddr>) -> Result<String, ApiError> {
    let address = peer_address(text)?;
    // Parsed and not compared as text, because `[0::0]` means the same as `[::]`.
    let port = match address.parse::<SocketAddr>() {
        Ok(literal) if literal.ip().to_canonical().is_unspecified() => literal.port(),
        _ => return Ok(address),
    };
    match seen.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => Ok(format!("{ip}:{port}")),
        Some(IpAddr::V6(ip)) => Ok(format!("[{ip}]:{port}")),
        None => Err(ApiError::bad_request("invalid_address", "address must name a host: this connection shows none")),
    }
}

/// The addresses of an announcer and their transport: 400 `invalid_transport` for an unknown word.
pub fn location(body: &SwarmAnnounceRequest, seen: Option<IpAddr>) -> Result<Location, ApiError> {
    let tls = match body.transport.as_deref() {
        None | Some(GRPC) => false,
        Some(GRPC_TLS) => true,
        Some(_) => {
            let message = format!("transport must be {GRPC_TLS} or {GRPC}");
            return Err(ApiError::bad_request("invalid_transport", message));
        }
    };
    let plaintext = body.plaintext_address.as_deref().map(|text| candidate(text, seen)).transpose()?;
    Ok(Location { candidates: Candidates::new([candidate(&body.address, seen)?]), tls, plaintext })
}

fn candidate(text: &str, seen: Option<IpAddr>) -> Result<Candidate, ApiError> {
    let address = announced_address(text, seen)?;
    Candidate::host(address).map_err(|error| ApiError::bad_request("invalid_address", error.to_string()))
}

/// Checks a site label: 1 to 64 bytes without control characters; an empty one is none.
pub fn site(text: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > SITE_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(ApiError::bad_request("invalid_site", "site must be at most 64 bytes without control characters"));
    }
    Ok(Some(text.to_owned()))
}

/// Checks a version 1 report.
pub fn report(body: &FeedbackRequest) -> Result<Report, ApiError> {
    let index = u32::try_from(body.chunk_index).ok().filter(|n| *n < CHUNKS_MAX).ok_or_else(|| {
        ApiError::bad_request("invalid_chunk_index", format!("chunk_index must be from 0 to {}", CHUNKS_MAX - 1))
    })?;
    Ok(Report {
        target: target(&body.target_peer_id)?,
        file_hash: file_hash(&body.file_hash)?,
        chunks: vec![ChunkIndex(index)],
        verdict: verdict(&body.event_type)?,
    })
}

/// Checks one entry of a batch of reports.
pub fn report_entry(entry: &FeedbackEntry) -> Result<Report, ApiError> {
    Ok(Report {
        target: target(&entry.target_peer_id)?,
        file_hash: file_hash(&entry.file_hash)?,
        chunks: runs(&entry.chunks)?,
        verdict: verdict(&entry.event_type)?,
    })
}

fn runs(runs: &[(u32, u32)]) -> Result<Vec<ChunkIndex>, ApiError> {
    let invalid = || {
        let what = format!(
            "chunks must be 1 to {RANGES_PER_REQUEST_MAX} runs [first, count], each chunk once, all below {CHUNKS_MAX}"
        );
        ApiError::unprocessable("invalid_chunks", what)
    };
    if runs.is_empty() || runs.len() > RANGES_PER_REQUEST_MAX {
        return Err(invalid());
    }
    let mut seen = Bitmap::empty(ChunkCount(CHUNKS_MAX));
    for (first, count) in runs {
        let end = first.checked_add(*count).filter(|end| *count > 0 && *end <= CHUNKS_MAX).ok_or_else(invalid)?;
        if !(*first..end).all(|index| seen.insert(ChunkIndex(index))) {
            return Err(invalid());
        }
    }
    Ok(seen.iter().collect())
}

fn target(text: &str) -> Result<PeerId, ApiError> {
    parse(text, "target_peer_id", "invalid_peer_id")
}

fn verdict(text: &str) -> Result<Verdict, ApiError> {
    match text {
        SUCCESS_UPLOAD => Ok(Verdict::Success),
        FAILED_UPLOAD => Ok(Verdict::Failure),
        _ => Err(ApiError::bad_request("invalid_event_type", "event_type must be SUCCESS_UPLOAD or FAILED_UPLOAD")),
    }
}
