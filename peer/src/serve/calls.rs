//! Replies to `DownloadChunk` and `GetManifest`, made on a disk thread.

use std::sync::Arc;
use std::time::Instant;

use peernet_engine::ids::{ChunkIndex, FileHash, ManifestId};
use peernet_engine::manifest::CHUNK_SIZE_MIN;
use peernet_protos::grpc::{ChunkRequest, ManifestReply, ManifestRequest};

use super::authorize::Presented;
use super::call_queue::{CallSlot, RunningCall};
use super::{Core, Permit, Refusal, RefusalCode, Rendered};
use crate::files::ReadError;
use crate::files::SharedFile;

/// A reply, with the memory and the slot that it occupies until it is sent.
pub(crate) struct Reply<T> {
    pub(crate) reply: T,
    pub(crate) _memory: Option<Permit>,
    pub(crate) _slot: CallSlot,
}

/// The waiting end of a call. `crate::grpc` implements it. Dropping it tells the caller that this peer stops.
pub(crate) trait ReplyTo<T>: Send {
    /// Returns true if the caller has stopped waiting.
    fn is_too_late(&self) -> bool;

    /// Sends the reply. The caller may have gone.
    fn send(self: Box<Self>, result: Result<Reply<T>, Refusal>);
}

/// A request, and where its reply goes.
pub(crate) enum Request {
    Chunk(ChunkRequest, Box<dyn ReplyTo<Rendered>>),
    Manifest(ManifestRequest, Box<dyn ReplyTo<ManifestReply>>),
}

impl Request {
    fn is_too_late(&self) -> bool {
        match self {
            Self::Chunk(_, reply) => reply.is_too_late(),
            Self::Manifest(_, reply) => reply.is_too_late(),
        }
    }
}

/// A single call that waits for a disk thread.
pub(crate) struct Call {
    pub(crate) question: Request,
    /// The caller's address without its port.
    pub(crate) address: String,
    /// The caller, and the grant that it presents.
    pub(crate) presented: Presented,
    /// Bytes that the upload limit has allowed for the reply.
    pub(crate) allowance: u32,
}

/// Answers one call, on a disk thread. Nothing is read for a caller that stopped waiting.
pub(super) fn answer(core: &Core, now: Instant, running: RunningCall) {
    let Some(RunningCall { call, slot }) = within_limit(core, now, running) else { return };
    let is_late = call.question.is_too_late();
    match call.question {
        Request::Chunk(request, reply) => {
            let result = if is_late { Err(Refusal::too_late()) } else { chunk(core, now, &call.presented, &request) };
            if result.is_err() {
                core.pace.give_back(now, call.allowance);
            }
            count(core, &result);
            reply.send(result.map(|(reply, memory)| Reply { reply, _memory: Some(memory), _slot: slot }));
        }
        Request::Manifest(request, reply) => {
            let result = if is_late { Err(Refusal::too_late()) } else { manifest(core, &call.presented, &request) };
            reply.send(result.map(|reply| Reply { reply, _memory: None, _slot: slot }));
        }
    }
}

/// Returns the call, unless it has to wait for the upload limit. Then it comes here again with its allowance.
fn within_limit(core: &Core, now: Instant, running: RunningCall) -> Option<RunningCall> {
    let Request::Chunk(request, _) = &running.call.question else { return Some(running) };
    if running.call.allowance > 0 || !core.pace.is_limited() {
        return Some(running);
    }
    match wanted_len(core, &running.call.presented, request) {
        Some(len) => core.pace.ask_for_call(now, running, len),
        // The answer is an error, which costs nothing.
        None => Some(running),
    }
}

/// Returns the length of the chunk; `None` where the call is refused, which is told at once and not after a turn.
fn wanted_len(core: &Core, presented: &Presented, request: &ChunkRequest) -> Option<u32> {
    let file_hash = request.file_hash.parse().ok()?;
    presented.without_grant().authorize(core, file_hash).ok()?;
    let file = core.catalog.find(file_hash, None)?;
    let geometry = file.manifest().geometry();
    let index = u32::try_from(request.chunk_index).ok().filter(|index| *index < geometry.chunk_count().0)?;
    Some(geometry.chunk_len(ChunkIndex(index)))
}

/// Tells a caller that its turn did not come in time.
pub(super) fn expire(core: &Core, call: Call) {
    core.count_refused();
    match call.question {
        Request::Chunk(_, reply) => reply.send(Err(Refusal::too_late())),
        Request::Manifest(_, reply) => reply.send(Err(Refusal::too_late())),
    }
}

fn count<T>(core: &Core, result: &Result<T, Refusal>) {
    match result {
        Ok(_) => core.counters.count_chunk_call(),
        Err(_) => core.count_refused(),
    }
}

fn chunk(
    core: &Core,
    now: Instant,
    presented: &Presented,
    request: &ChunkRequest,
) -> Result<(Rendered, Permit), Refusal> {
    let parsed: Result<FileHash, _> = request.file_hash.parse();
    let file_hash = parsed.map_err(|error| Refusal::invalid(format!("file_hash: {error}")))?;
    presented.without_grant().authorize(core, file_hash)?;
    let file = core.catalog.find(file_hash, None).ok_or_else(Refusal::not_shared)?;
    let geometry = file.manifest().geometry();
    if geometry.chunk_size() != CHUNK_SIZE_MIN {
        return Err(Refusal::new(RefusalCode::FailedPrecondition, "this file is not shared in chunks of 1 MiB"));
    }
    let count = geometry.chunk_count().0;
    let index = u32::try_from(request.chunk_index).ok().filter(|index| *index < count).map(ChunkIndex);
    let index = index.ok_or_else(|| {
        let text = format!("chunk {} is out of range: the file has {count} chunks", request.chunk_index);
        Refusal::new(RefusalCode::OutOfRange, text)
    })?;
    if !file.holds(index) {
        return Err(Refusal::new(RefusalCode::NotFound, "this peer does not have the chunk yet"));
    }
    let len = geometry.chunk_len(index);
    let memory = core.memory.calls.take(len as usize).ok_or_else(Refusal::stopping)?;
    let opened = file.open().map_err(|error| unreadable(core, &file, &error))?;
    let offset = geometry.offset(index);
    let reply = Rendered::chunk(len as usize, |buffer| opened.read(offset, buffer));
    let reply = reply.map_err(|error| unreadable(core, &file, &error))?;
    core.counters.count_bytes(len.into());
    core.calls_flow().add(now, len);
    Ok((reply, memory))
}

fn manifest(core: &Core, presented: &Presented, request: &ManifestRequest) -> Result<ManifestReply, Refusal> {
    let file_hash = FileHash::from_slice(&request.file_hash);
    let file_hash = file_hash.map_err(|_| Refusal::invalid("file_hash: expected 32 bytes"))?;
    presented.authorize(core, file_hash)?;
    let id = match request.manifest_id.as_slice() {
        [] => None,
        bytes => {
            let id = ManifestId::from_slice(bytes);
            Some(id.map_err(|_| Refusal::invalid("manifest_id: expected 32 bytes or none"))?)
        }
    };
    let file = core.catalog.find(file_hash, id).ok_or_else(Refusal::not_shared)?;
    Ok(manifest_reply(&file))
}

fn manifest_reply(file: &Arc<SharedFile>) -> ManifestReply {
    let manifest = file.manifest();
    ManifestReply {
        manifest_id: manifest.id().as_bytes().to_vec(),
        file_hash: manifest.file_hash().as_bytes().to_vec(),
        size: manifest.geometry().size().0,
        chunk_size: manifest.geometry().chunk_size(),
        file_name: file.file_name().to_owned(),
        chunk_hashes: manifest.hash_bytes(),
        ..ManifestReply::default()
    }
}

/// Withdraws a file that cannot be read as it was hashed, and returns the refusal for the caller.
pub(super) fn unreadable(core: &Core, file: &SharedFile, error: &ReadError) -> Refusal {
    core.catalog.withdraw_unreadable(file);
    // The system's own message would tell a stranger where our files lie.
    let text = match error {
        ReadError::Changed => "the shared file has changed",
        ReadError::Withdrawn => "the file is no longer shared",
        ReadError::Io(_) => "the shared file cannot be read",
    };
    Refusal::new(RefusalCode::NotFound, text)
}
