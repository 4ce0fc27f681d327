//! `/api/v1/swarm/…`: version 2's announce and leave.

use std::sync::Arc;

use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkCount, FileHash, ManifestId, PeerId};
use peernet_engine::lease::{AnnounceForm, lease_length, lease_until, renew_after};
use peernet_engine::random::Rng;
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::FILES_PER_ANNOUNCE_MAX;
use peernet_protos::rest::{SwarmAnnounceReply, SwarmAnnounceRequest, SwarmFile, SwarmLeaveReply, SwarmLeaveRequest};

use crate::api::routes::{Commit, Outcome};
use crate::api::{ApiError, Caller, PathArgs, json_body};
use crate::app::App;
use crate::http::{Reply, Request};
use crate::store::policies::Access;
use crate::store::{Durability, LeaseRow, Write};
use crate::swarm::{Held, Lease, ManifestMeta, News, Reach};
use crate::wire;

/// Who announces, from where.
struct Announcer {
    peer: PeerId,
    trusted: bool,
    reach: Reach,
    site: Option<Arc<str>>,
}

/// `POST /api/v1/swarm/announce`: the whole truth about each named file. All of it is checked before any of it is recorded;
/// files whose manifest is unknown, or that the announcer may not share, are named in the answer and not recorded.
pub fn announce(app: &App, caller: &Caller, request: &Request) -> Result<Outcome, ApiError> {
    let body: SwarmAnnounceRequest = json_body(request)?;
    too_many(body.files.len())?;
    let announcer = Announcer {
        peer: caller.peer,
        trusted: app.reputation.is_trusted(caller.peer),
        reach: wire::reach(&body, request.remote)?,
        site: wire::site(body.site.as_deref())?.map(Into::into),
    };
    let now = (app.clock)();
    let Sorted { leases, unknown_manifests, withdrawn, restricted } = sort(app, &announcer, &body.files)?;
    if !withdrawn.is_empty() {
        // What was announced while it was allowed ends now.
        app.swarm.leave(now, caller.peer, Some(&withdrawn));
    }
    let answer = announced(app, unknown_manifests, &withdrawn, &restricted);
    let expires_at = lease_until(now, AnnounceForm::PerFile);
    let stored: Vec<bool> = leases.iter().map(|lease| app.swarm.must_be_stored(now, lease)).collect();
    let due = leases.iter().zip(&stored).filter(|(_, stored)| **stored);
    let news: Vec<News> = due.map(|(lease, _)| News::Lease(lease_row(lease, expires_at))).collect();
    let then = move |app: &App| {
        for (lease, stored) in leases.into_iter().zip(stored) {
            app.swarm.announce(now, lease, stored.then_some(expires_at))?;
        }
        Ok(answer)
    };
    if news.is_empty() {
        then(app).map(Outcome::Reply)
    } else {
        Ok(Outcome::Commit(Commit { news, then: Box::new(then) }))
    }
}

fn announced(app: &App, unknown_manifests: Vec<String>, withdrawn: &[FileHash], restricted: &[FileHash]) -> Reply {
    let texts = |files: &[FileHash]| files.iter().map(ToString::to_string).collect();
    let (withdrawn, restricted) = (texts(withdrawn), texts(restricted));
    let lease = lease_length(AnnounceForm::PerFile);
    let renew_in = renew_after(lease, &mut Rng::new(app.swarm.next_seed()));
    let (lease_seconds, renew_in_seconds) = (lease.as_secs(), renew_in.as_secs());
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

/// An announce, sorted by what becomes of each file.
#[derive(Default)]
struct Sorted {
    leases: Vec<Lease>,
    unknown_manifests: Vec<String>,
    /// Not recorded: nobody may share them, or not this announcer.
    withdrawn: Vec<FileHash>,
    /// Of `leases`: not public.
    restricted: Vec<FileHash>,
}

fn sort(app: &App, announcer: &Announcer, files: &[SwarmFile]) -> Result<Sorted, ApiError> {
    let mut sorted = Sorted { leases: Vec::with_capacity(files.len()), ..Sorted::default() };
    for file in files {
        let (file_hash, manifest_id) = (wire::file_hash(&file.file_hash)?, wire::manifest_id(&file.manifest_id)?);
        let Some(access) = app.policies.access(file_hash, announcer.peer) else {
            sorted.withdrawn.push(file_hash);
            continue;
        };
        let Some((meta, file_name)) = meta_of(app, file_hash, manifest_id)? else {
            sorted.unknown_manifests.push(file.manifest_id.clone());
            continue;
        };
        if access != Access::Public {
            sorted.restricted.push(file_hash);
        }
        let lease = Lease {
            peer: announcer.peer,
            file_hash,
            manifest_id,
            held: wire::held(&file.have, meta.chunks)?,
            meta: Some(meta),
            file_name,
            reach: announcer.reach.clone(),
            site: announcer.site.clone(),
            trusted: announcer.trusted,
        };
        app.swarm.admits(&lease)?;
        sorted.leases.push(lease);
    }
    Ok(sorted)
}

/// A manifest's sizes, and its file's name where that had to be read; `None` for an unknown manifest. 400
/// `manifest_mismatch` when it is of another file.
fn meta_of(app: &App, file: FileHash, manifest: ManifestId) -> Result<Option<(ManifestMeta, String)>, ApiError> {
    if let Some(meta) = app.swarm.meta_of(file, manifest) {
        return Ok(Some((meta, String::new())));
    }
    let known = match app.swarm.catalogue().cached(manifest) {
        Some(known) => Some(known),
        None => app.permits.with(|| app.swarm.catalogue().load(app.store.as_ref(), manifest))?,
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
        reach: lease.reach.clone(),
        site: lease.site.as_deref().map(str::to_owned),
        have: match &lease.held {
            Held::Complete => Bitmap::full(chunks),
            Held::Chunks(bitmap) => Bitmap::clone(bitmap),
        },
        expires_at,
    }
}

/// `POST /api/v1/swarm/leave`: ends leases and listings at once, and for good once it is answered.
pub fn leave(app: &App, caller: &Caller, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let body: SwarmLeaveRequest =
        if request.body.is_empty() { SwarmLeaveRequest::default() } else { json_body(request)? };
    let files =
        body.files.as_ref().map(|files| files.iter().map(|file| wire::file_hash(file)).collect::<Result<Vec<_>, _>>());
    let files = files.transpose()?;
    too_many(files.as_ref().map_or(0, Vec::len))?;
    let now = (app.clock)();
    let left = app.swarm.leave(now, caller.peer, files.as_deref());
    app.journal.write(&[News::Left { peer: caller.peer, files: files.clone(), at: now }])?;
    app.writer.write(vec![Write::Leave { peer: caller.peer, files }], Durability::Synced)?;
    Ok(Reply::json(200, &SwarmLeaveReply { status: "left".to_owned(), left }))
}
