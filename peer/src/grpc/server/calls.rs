//! Answers to `DownloadChunk` and `GetManifest`, made on a disk thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_channel::oneshot;
use grpcio::{Deadline, RpcStatus, RpcStatusCode};
use peernet_engine::ids::{ChunkIndex, FileHash, ManifestId};
use peernet_engine::manifest::CHUNK_SIZE_MIN;
use peernet_protos::grpc::{ChunkRequest, ManifestReply, ManifestRequest};

use super::super::marshal::Rendered;
use super::Core;
use super::budget::Permit;
use super::leave::Claim;
use super::waiting::Running;
use crate::upload::{Held, ReadError};

/// A reply, and what it occupies until it is sent: memory, and a place among the calls being served.
pub(super) struct Answer<T> {
    pub(super) reply: T,
    pub(super) permit: Option<Permit>,
    pub(super) running: Option<Running>,
}

pub(super) type Reply<T> = oneshot::Sender<Result<Answer<T>, RpcStatus>>;

/// What was asked, and where the answer goes.
pub(super) enum Question {
    Chunk(ChunkRequest, Reply<Rendered>),
    Manifest(ManifestRequest, Reply<ManifestReply>),
}

/// A unary call waiting for a disk thread.
pub(super) struct Call {
    pub(super) question: Question,
    pub(super) deadline: Deadline,
    /// The caller's address without its port.
    pub(super) address: String,
    /// Who it is, and what it shows.
    pub(super) claim: Claim,
    /// Bytes the upload limit has allowed for the answer.
    pub(super) paid: u32,
}

/// Answers one call, on a disk thread. Nothing is read for a caller that stopped waiting.
pub(super) fn answer(core: &Core, call: Call, running: Running) {
    let Some((call, running)) = paced(core, call, running) else { return };
    let late = call.deadline.exceeded();
    if late {
        core.pace.give_back(call.paid);
    }
    match call.question {
        Question::Chunk(request, reply) => {
            let result = if late { Err(too_late()) } else { chunk(core, &call.claim, &request) };
            if result.is_err() && !late {
                core.pace.give_back(call.paid);
            }
            count(core, &result);
            hand_over(reply, result, running);
        }
        Question::Manifest(request, reply) => {
            let result = if late { Err(too_late()) } else { manifest(core, &call.claim, &request) };
            hand_over(reply, result.map(|reply| (reply, None)), running);
        }
    }
}

/// The call, unless it has to wait for the upload limit. Then it comes here again when its bytes are allowed.
fn paced(core: &Core, call: Call, running: Running) -> Option<(Call, Running)> {
    let Question::Chunk(request, _) = &call.question else { return Some((call, running)) };
    if call.paid > 0 || !core.pace.is_limited() {
        return Some((call, running));
    }
    match wanted_len(core, &call.claim, request) {
        Some(len) => core.pace.ask_for_call(call, running, len),
        // Its answer is an error, which costs nothing.
        None => Some((call, running)),
    }
}

fn wanted_len(core: &Core, claim: &Claim, request: &ChunkRequest) -> Option<u32> {
    let file_hash = request.file_hash.parse().ok()?;
    // Who may not have it is told so at once, as of a file that is not here.
    claim.without_grant().leave(core, file_hash).ok()?;
    let held = core.shelf.held(file_hash, None)?;
    let geometry = held.manifest().geometry();
    let index = u32::try_from(request.chunk_index).ok().filter(|index| *index < geometry.chunk_count().0)?;
    Some(geometry.chunk_len(ChunkIndex(index)))
}

/// Tells a caller that its turn did not come in time.
pub(super) fn expire(core: &Core, call: Call) {
    core.count_refused();
    // The caller may have gone.
    match call.question {
        Question::Chunk(_, reply) => drop(reply.send(Err(too_late()))),
        Question::Manifest(_, reply) => drop(reply.send(Err(too_late()))),
    }
}

fn hand_over<T>(to: Reply<T>, result: Result<(T, Option<Permit>), RpcStatus>, running: Running) {
    let answer = result.map(|(reply, permit)| Answer { reply, permit, running: Some(running) });
    // The caller may have gone.
    let _ = to.send(answer);
}

fn count<T>(core: &Core, result: &Result<T, RpcStatus>) {
    match result {
        Ok(_) => {
            core.counters.chunk_calls.fetch_add(1, Ordering::Relaxed);
        }
        Err(_) => core.count_refused(),
    }
}

fn chunk(core: &Core, claim: &Claim, request: &ChunkRequest) -> Result<(Rendered, Option<Permit>), RpcStatus> {
    let file_hash: FileHash = request.file_hash.parse().map_err(|error| invalid(format!("file_hash: {error}")))?;
    claim.without_grant().leave(core, file_hash)?;
    let held = core.shelf.held(file_hash, None).ok_or_else(not_shared)?;
    let geometry = held.manifest().geometry();
    if geometry.chunk_size() != CHUNK_SIZE_MIN {
        return Err(status(RpcStatusCode::FAILED_PRECONDITION, "this file is not shared in chunks of 1 MiB"));
    }
    let count = geometry.chunk_count().0;
    let index = u32::try_from(request.chunk_index).ok().filter(|index| *index < count).map(ChunkIndex);
    let index = index.ok_or_else(|| {
        let text = format!("chunk {} is out of range: the file has {count} chunks", request.chunk_index);
        RpcStatus::with_message(RpcStatusCode::OUT_OF_RANGE, text)
    })?;
    if !held.holds(index) {
        return Err(status(RpcStatusCode::NOT_FOUND, "this peer does not have the chunk yet"));
    }
    let len = geometry.chunk_len(index) as usize;
    let permit = core.call_budget.take(len).ok_or_else(super::handlers::stopping)?;
    let opened = held.open().map_err(|error| unreadable(core, &held, &error))?;
    let offset = geometry.offset(index);
    let reply =
        Rendered::chunk(len, |buffer| opened.read(offset, buffer)).map_err(|error| unreadable(core, &held, &error))?;
    core.counters.bytes_sent.fetch_add(len as u64, Ordering::Relaxed);
    core.calls_flow().add(geometry.chunk_len(index));
    Ok((reply, Some(permit)))
}

fn manifest(core: &Core, claim: &Claim, request: &ManifestRequest) -> Result<ManifestReply, RpcStatus> {
    let file_hash = FileHash::from_slice(&request.file_hash).map_err(|_| invalid("file_hash: 32 bytes are wanted"))?;
    claim.leave(core, file_hash)?;
    let id = manifest_id(&request.manifest_id)?;
    let held = core.shelf.held(file_hash, id).ok_or_else(not_shared)?;
    Ok(manifest_reply(&held))
}

fn manifest_reply(held: &Arc<Held>) -> ManifestReply {
    let manifest = held.manifest();
    ManifestReply {
        manifest_id: manifest.id().as_bytes().to_vec(),
        file_hash: manifest.file_hash().as_bytes().to_vec(),
        size: manifest.geometry().size().0,
        chunk_size: manifest.geometry().chunk_size(),
        file_name: held.file_name().to_owned(),
        chunk_hashes: manifest.hash_bytes(),
        ..ManifestReply::default()
    }
}

/// 32 bytes, or empty for any.
pub(super) fn manifest_id(bytes: &[u8]) -> Result<Option<ManifestId>, RpcStatus> {
    if bytes.is_empty() {
        return Ok(None);
    }
    ManifestId::from_slice(bytes).map(Some).map_err(|_| invalid("manifest_id: 32 bytes are wanted"))
}

/// A file that cannot be read as it was hashed is taken off the shelf.
pub(super) fn unreadable(core: &Core, held: &Held, error: &ReadError) -> RpcStatus {
    core.shelf.spoiled(held);
    // The system's own message would tell a stranger where our files lie.
    let text = match error {
        ReadError::Changed => "the shared file has changed",
        ReadError::Withdrawn => "the file is no longer shared",
        ReadError::Io(_) => "the shared file cannot be read",
    };
    status(RpcStatusCode::NOT_FOUND, text)
}

pub(super) fn not_shared() -> RpcStatus {
    status(RpcStatusCode::NOT_FOUND, "this peer does not share that file")
}

pub(super) fn invalid(text: impl Into<String>) -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::INVALID_ARGUMENT, text.into())
}

fn too_late() -> RpcStatus {
    status(RpcStatusCode::RESOURCE_EXHAUSTED, "this peer could not serve the call in time; try again later")
}

pub(super) fn status(code: RpcStatusCode, text: &str) -> RpcStatus {
    RpcStatus::with_message(code, text.to_owned())
}
