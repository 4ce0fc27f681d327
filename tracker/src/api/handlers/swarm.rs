//! Version 2's announces and departures: `/api/v1/swarm/announce` and `/api/v1/swarm/leave`.

use std::sync::Arc;

use peernet_engine::access::Visibility;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkCount, FileHash, ManifestId, PeerId};
use peernet_engine::lease::{AnnounceForm, lease_length, lease_until, renew_after};
use peernet_engine::random::Rng;
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::FILES_PER_ANNOUNCE_MAX;
use peernet_protos::rest::{SwarmAnnounceReply, SwarmAnnounceRequest, SwarmFile, SwarmLeaveReply, SwarmLeaveRequest};

use crate::api::handlers::SwarmCalls;
use crate::api::routes::{Commit, Outcome};
use crate::api::wire;
use crate::api::{ApiError, Caller, PathArgs, json_body};
use crate::domain::swarm::{Lease, LeaseRow, Location, ManifestMeta};
use crate::replication::LeaseUpdate;
use crate::store::Write;
use peernet_door::{Reply, Request};
use peernet_engine::plan::Held;
use peernet_threads::Blocking;

/// The announcer of a request, with its addresses.
struct Announcer {
    peer: PeerId,
    trusted: bool,
    location: Arc<Location>,
    site: Option<Arc<str>>,
}

/// `POST /api/v1/swarm/announce`: all chunks that the caller holds of each named file. Everything is checked before
/// anything is recorded. Files whose manifest is unknown, or that the caller may not share, are listed in the answer
/// and not recorded.
pub fn announce(calls: &SwarmCalls, caller: &Caller, request: &Request) -> Result<Outcome, ApiError> {
    let body: SwarmAnnounceRequest = json_body(request)?;
    too_many(body.files.len())?;
    let announcer = Announcer {
        peer: caller.peer,
        trusted: calls.reputation.is_trusted(caller.peer),
        location: Arc::new(wire::location(&body, request.remote)?),
        site: wire::site(body.site.as_deref())?.map(Into::into),
    };
    let now = (calls.clock)();
    let Sorted { leases, unknown_manifests, withdrawn, restricted } = sort(calls, &announcer, &body.files)?;
    if !withdrawn.is_empty() {
        // A lease from before the policy changed ends now.
        calls.swarm.leave(now, caller.peer, Some(&withdrawn));
    }
    let answer = announced(calls, unknown_manifests, &withdrawn, &restricted);
    let expires_at = lease_until(now, AnnounceForm::PerFile);
    let stored: Vec<bool> = leases.iter().map(|lease| calls.swarm.must_be_stored(now, lease)).collect();
    let due = leases.iter().zip(&stored).filter(|(_, stored)| **stored);
    let updates: Vec<LeaseUpdate> = due.map(|(lease, _)| LeaseUpdate::Lease(lease_row(lease, expires_at))).collect();
    let swarm = Arc::clone(&calls.swarm);
    let then = move || {
        for (lease, stored) in leases.into_iter().zip(stored) {
            swarm.announce(now, lease, stored.then_some(expires_at))?;
        }
        Ok(answer)
    };
    if updates.is_empty() {
        then().map(Outcome::Reply)
    } else {
        Ok(Outcome::Commit(Commit { updates, then: Box::new(then) }))
    }
}

fn announced(
    calls: &SwarmCalls,
    unknown_manifests: Vec<String>,
    withdrawn: &[FileHash],
    restricted: &[FileHash],
) -> Reply {
    let texts = |files: &[FileHash]| files.iter().map(ToString::to_string).collect();
    let withdrawn = texts(withdrawn);
    let restricted = texts(restricted);
    let lease = lease_length(AnnounceForm::PerFile);
    let renew_in = renew_after(lease, &mut Rng::new(calls.swarm.next_seed()));
    let lease_seconds = lease.as_secs();
    let renew_in_seconds = renew_in.as_secs();
    let status = "announced".to_owned();
    let reply =
        SwarmAnnounceReply { status, lease_seconds, renew_in_seconds, unknown_manifests, withdrawn, restricted };
    Reply::json(200, &reply)
}

fn too_many(files: usize) -> Result<(), ApiError> {
    if files > FILES_PER_ANNOUNCE_MAX {
        let message = format!("one call names at most {FILES_PER_ANNOUNCE_MAX} files");
        return Err(ApiError::bad_request("too_many_files", message));
    }
    Ok(())
}

/// An announce, its files sorted by outcome.
#[derive(Default)]
struct Sorted {
    leases: Vec<Lease>,
    unknown_manifests: Vec<String>,
    /// Not recorded: the announcer may not share these files.
    withdrawn: Vec<FileHash>,
    /// The files of `leases` that are not public.
    restricted: Vec<FileHash>,
}

fn sort(calls: &SwarmCalls, announcer: &Announcer, files: &[SwarmFile]) -> Result<Sorted, ApiError> {
    let mut sorted = Sorted { leases: Vec::with_capacity(files.len()), ..Sorted::default() };
    for file in files {
        let file_hash = wire::file_hash(&file.file_hash)?;
        let manifest_id = wire::manifest_id(&file.manifest_id)?;
        let Some(access) = calls.access.visibility_for(file_hash, announcer.peer) else {
            sorted.withdrawn.push(file_hash);
            continue;
        };
        let Some((meta, file_name)) = meta_of(calls, file_hash, manifest_id)? else {
            sorted.unknown_manifests.push(file.manifest_id.clone());
            continue;
        };
        if access != Visibility::Public {
            sorted.restricted.push(file_hash);
        }
        let lease = Lease {
            peer: announcer.peer,
            file_hash,
            manifest_id,
            held: wire::held(&file.have, meta.chunks)?,
            meta: Some(meta),
            file_name,
            location: Arc::clone(&announcer.location),
            site: announcer.site.clone(),
            trusted: announcer.trusted,
        };
        calls.swarm.admits(&lease)?;
        sorted.leases.push(lease);
    }
    Ok(sorted)
}

/// The sizes of a manifest, and its file name where it had to be read; `None` for an unknown manifest. 400
/// `manifest_mismatch` when it is of another file.
fn meta_of(
    calls: &SwarmCalls,
    file: FileHash,
    manifest: ManifestId,
) -> Result<Option<(ManifestMeta, String)>, ApiError> {
    if let Some(meta) = calls.swarm.meta_of(file, manifest) {
        return Ok(Some((meta, String::new())));
    }
    let known = match calls.swarm.catalogue().cached(manifest) {
        Some(known) => Some(known),
        None => calls.database.read(&Blocking::declare(), |store| calls.swarm.catalogue().load(store, manifest))?,
    };
    let Some(known) = known else { return Ok(None) };
    if known.manifest.file_hash() != file {
        return Err(ApiError::bad_request(
            "manifest_mismatch",
            format!("manifest {manifest} is of another file than {file}"),
        ));
    }
    Ok(Some((known.meta.clone(), known.file_name.clone())))
}

fn lease_row(lease: &Lease, expires_at: UnixMillis) -> LeaseRow {
    let chunks = ChunkCount(lease.meta.as_ref().map_or(0, |meta| meta.chunks));
    LeaseRow {
        peer: lease.peer,
        file_hash: lease.file_hash,
        manifest_id: lease.manifest_id,
        location: Arc::clone(&lease.location),
        site: lease.site.as_deref().map(str::to_owned),
        have: match &lease.held {
            Held::Complete => Bitmap::full(chunks),
            Held::Chunks(bitmap) => Bitmap::clone(bitmap),
        },
        expires_at,
    }
}

/// `POST /api/v1/swarm/leave`: ends the caller's leases and listings at once. They stay ended after a restart once this
/// is answered.
pub fn leave(calls: &SwarmCalls, caller: &Caller, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let body: SwarmLeaveRequest =
        if request.body.is_empty() { SwarmLeaveRequest::default() } else { json_body(request)? };
    let files =
        body.files.as_ref().map(|files| files.iter().map(|file| wire::file_hash(file)).collect::<Result<Vec<_>, _>>());
    let files = files.transpose()?;
    too_many(files.as_ref().map_or(0, Vec::len))?;
    let now = (calls.clock)();
    let left = calls.swarm.leave(now, caller.peer, files.as_deref());
    calls
        .lease_log
        .write(&Blocking::declare(), &[LeaseUpdate::Left { peer: caller.peer, files: files.clone(), at: now }])?;
    calls.database.write(&Blocking::declare(), vec![Write::Leave { peer: caller.peer, files }])?;
    Ok(Reply::json(200, &SwarmLeaveReply { status: "left".to_owned(), left }))
}
