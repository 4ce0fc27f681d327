//! `GET /api/v1/files/{file_hash}`: the plan, answered from memory.
//!
//! Its cost does not depend on the number of holders: the index draws some, and [`peernet_engine::plan`] orders them
//! and names ten. Everything that is the same for all callers is prepared once and used until something changes. A
//! client that has a plan sends its `ETag`. It gets 304 while nothing has changed, or only the changes.

mod prepared;
mod query;
mod reply;

use peernet_engine::access::Visibility;
use peernet_engine::ids::{ByteCount, FileHash, PeerId};
use peernet_engine::manifest::Geometry;
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::SOURCES_PER_PLAN;
use peernet_protos::rest::{PlanManifest, PlanReply};

use super::access::unknown_file;
use super::offered::{self, Offered};
use super::ticket;
use crate::api::handlers::FileCalls;
use crate::api::{ApiError, Caller, PathArgs};
use crate::domain::swarm::ManifestView;
use crate::domain::swarm::lookup::{Group, choose};
use crate::domain::swarm::sources::V1_CHUNK_SIZE;
use peernet_door::{Reply, Request};
use peernet_engine::plan::{self, Held};
use peernet_threads::Blocking;
pub use prepared::PlanCache;
use prepared::{Prepared, PreparedManifest};
use query::PlanQuery;
use reply::ReplyWriter;

/// The time in seconds until the next plan where sources were found.
const ASK_AGAIN_S: u64 = 60;
/// The time in seconds until the next plan where no peer holds the file.
const ASK_AGAIN_SOON_S: u64 = 15;

/// A request for a plan, and the parts that answer it.
struct Lookup<'a> {
    calls: &'a FileCalls,
    now: UnixMillis,
    caller: PeerId,
    file: FileHash,
    query: &'a PlanQuery,
}

/// A manifest with its chosen sources.
struct Shown<'p> {
    manifest: &'p PreparedManifest,
    offered: Offered,
}

/// Answers 404 `unknown_file` when no account ever announced the file, and when the caller may not have it.
pub fn plan(calls: &FileCalls, caller: &Caller, request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let file: FileHash = args.parse("file_hash", "invalid_file_hash")?;
    let access = calls.access.visibility_for(file, caller.peer).ok_or_else(unknown_file)?;
    let query = PlanQuery::read(calls, caller, request)?;
    let now = (calls.clock)();
    if has_all_of_it(calls, caller, file, &query) {
        return Ok(Reply::empty(304).with_header("ETag", query.etag.unwrap_or_default()));
    }
    let Some(prepared) = calls.plans.prepared(calls, now, file, query.site.as_ref())? else {
        return plan_without_sources(calls, file, access).map(|reply| Reply::json(200, &reply));
    };
    let lookup = Lookup { calls, now, caller: caller.peer, file, query: &query };
    let body = plan_of(&lookup, access, &prepared)?;
    let reply = Reply { body, ..Reply::empty(200) }.with_header("ETag", prepared.etag.clone());
    Ok(reply.with_header("Cache-Control", "private, no-cache"))
}

/// Returns whether the caller's plan names all sources and is still right. Where there are more sources than a plan names, the
/// caller gets others.
fn has_all_of_it(calls: &FileCalls, caller: &Caller, file: FileHash, query: &PlanQuery) -> bool {
    let is_all = |(version, sources)| query.has(version) && sources <= SOURCES_PER_PLAN;
    query.etag.is_some()
        && calls.swarm.version_of(file).is_some_and(is_all)
        && calls.reputation.has_ticket(caller.peer, file)
}

fn plan_of(lookup: &Lookup<'_>, access: Visibility, prepared: &Prepared) -> Result<Vec<u8>, ApiError> {
    let Lookup { calls, now, caller, file, query } = *lookup;
    let known = query.since.map(|_| calls.reputation.listed(caller, file)).unwrap_or_default();
    let ranked = rank(lookup, prepared)?;
    let in_a_manifest = prepared.view.manifests.iter().any(|manifest| lists_version_1(manifest, caller));
    let v1_group = if in_a_manifest { None } else { choose(&prepared.view, caller) };
    let v1_listed = in_a_manifest || v1_group.is_some();
    let (geometry, sources) = payable(&ranked, v1_group.as_ref());
    let has_sources = !sources.is_empty();
    let mut reply = ReplyWriter::new(prepared, access);
    if let Some(since) = query.since.filter(|_| !known.is_empty()) {
        reply.delta(&calls.swarm.etag(since), since, gone(calls, now, file, &known), known);
    }
    reply.manifests(&ranked);
    reply.version_1(v1_listed);
    reply.ticket(geometry.and_then(|geometry| ticket(calls, caller, file, geometry, sources)).as_ref());
    Ok(reply.finish(if has_sources { ASK_AGAIN_S } else { ASK_AGAIN_SOON_S }))
}

/// Chooses the sources of each manifest, and sorts the manifests by their number of holders.
fn rank<'p>(lookup: &Lookup<'_>, prepared: &'p Prepared) -> Result<Vec<Shown<'p>>, ApiError> {
    let Lookup { calls, now, caller, file, query } = *lookup;
    let mut ranked = Vec::with_capacity(prepared.manifests.len());
    for manifest in &prepared.manifests {
        let view = prepared.view_of(manifest);
        let own = match query.own_of(&manifest.meta)? {
            Some(own) => Some(own),
            None => calls.swarm.held_by(file, view.id, caller),
        };
        let chunks = manifest.meta.chunks;
        let request = plan::Request { caller, site: query.site.as_deref(), own: own.as_ref(), chunks, now };
        let offered = offered::choose(calls, &request, manifest.ranked());
        ranked.push((view.useful, Shown { manifest, offered }));
    }
    ranked.sort_by_key(|(useful, shown)| std::cmp::Reverse((*useful).max(shown.offered.holders)));
    Ok(ranked.into_iter().map(|(_, shown)| shown).collect())
}

/// Returns whether version 1's lookup would list the file for this caller because one holder has all of a manifest.
fn lists_version_1(manifest: &ManifestView, caller: PeerId) -> bool {
    let whole = manifest.meta.as_ref().is_some_and(|meta| meta.chunk_size == V1_CHUNK_SIZE && meta.chunks > 0);
    whole && manifest.holders.iter().any(|holder| holder.held == Held::Complete && holder.peer.id != caller)
}

/// The size of the file that a ticket is for, and the sources that it may pay. Version 1's group counts where no
/// manifest is known.
fn payable(ranked: &[Shown<'_>], v1_group: Option<&Group>) -> (Option<Geometry>, Vec<PeerId>) {
    if let Some(first) = ranked.first() {
        let meta = &first.manifest.meta;
        let geometry = Geometry::new(ByteCount(meta.size), meta.chunk_size).ok();
        let kept: Vec<&[PeerId]> = ranked.iter().map(|shown| shown.offered.listed.as_slice()).collect();
        return (geometry, kept.concat());
    }
    let chunks = v1_group.map_or(0, |group| group.chunks);
    let sources = v1_group.iter().flat_map(|group| group.offers.iter().map(|offer| offer.peer.id)).collect();
    (Geometry::new(ByteCount(u64::from(chunks) * u64::from(V1_CHUNK_SIZE)), V1_CHUNK_SIZE).ok(), sources)
}

/// The sources of the caller's earlier plan that no longer hold any of the file.
fn gone(calls: &FileCalls, now: UnixMillis, file: FileHash, known: &[PeerId]) -> Vec<PeerId> {
    let hold = calls.swarm.still_hold(now, file, known);
    known.iter().zip(hold).filter(|(_, holds)| !holds).map(|(peer, _)| *peer).collect()
}

/// The plan of a file that no peer holds: its manifests, for clients that know peers from elsewhere.
fn plan_without_sources(calls: &FileCalls, file: FileHash, access: Visibility) -> Result<PlanReply, ApiError> {
    let stored = calls.database.read(&Blocking::declare(), |store| store.manifests_of(file))?;
    let Some(first) = stored.first() else {
        return Err(unknown_file());
    };
    let file_name = first.file_name.clone();
    let manifests = stored.iter().filter_map(|meta| meta.manifest).map(|(id, size, chunk_size)| PlanManifest {
        manifest_id: id.to_string(),
        size,
        chunk_size,
        sources: Vec::new(),
        kept: Vec::new(),
    });
    Ok(PlanReply {
        file_hash: file.to_string(),
        file_name,
        access: access.as_str().to_owned(),
        manifests: manifests.collect(),
        ask_again_seconds: ASK_AGAIN_SOON_S,
        ..PlanReply::default()
    })
}
