//! `GET /api/v1/files/{file_hash}`: the plan, answered from memory.
//!
//! What it costs does not depend on how many hold the file: the index draws some, the ranking orders them, ten are shown. What
//! is the same for all askers is made once and used until something changes. Who has a plan already asks with its `ETag` and gets 304
//! while nothing has changed, or only what has.

mod answer;
mod prepared;
mod wish;

use peernet_engine::ids::{ByteCount, FileHash, PeerId};
use peernet_engine::manifest::Geometry;
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::SOURCES_PER_PLAN;
use peernet_protos::rest::{PlanManifest, PlanReply};

use super::access::unknown_file;
use super::offered::{Asker, Offered, order_plan, shown};
use super::ticket;
use crate::api::{ApiError, Caller, PathArgs};
use crate::app::App;
use crate::http::{Reply, Request};
use crate::store::policies::Access;
use crate::swarm::lookup::{Group, choose};
use crate::swarm::sources::V1_CHUNK_SIZE;
use crate::swarm::{Held, ManifestView};
use answer::Answer;
pub use prepared::PlanCache;
use prepared::{Prepared, PreparedManifest};
use wish::Wish;

/// When to ask for the next plan where sources were found, in seconds.
const ASK_AGAIN_S: u64 = 60;
/// The same where nobody holds the file at the moment.
const ASK_AGAIN_SOON_S: u64 = 15;

/// A manifest and who of its holders is shown.
struct Shown<'p> {
    manifest: &'p PreparedManifest,
    offered: Offered,
    places: Vec<usize>,
}

/// 404 `unknown_file` when nobody ever announced the file, and when it is not for the caller.
pub fn plan(app: &App, caller: &Caller, request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let file: FileHash = args.parse("file_hash", "invalid_file_hash")?;
    let access = app.policies.access(file, caller.peer).ok_or_else(unknown_file)?;
    let wish = Wish::read(app, caller, request)?;
    let now = (app.clock)();
    if has_all_of_it(app, caller, file, &wish) {
        return Ok(Reply::empty(304).with_header("ETag", wish.etag.unwrap_or_default()));
    }
    let Some(prepared) = app.plans.prepared(app, now, file, wish.site.as_ref())? else {
        return plan_without_sources(app, file, access).map(|reply| Reply::json(200, &reply));
    };
    let body = plan_of(app, now, caller.peer, (file, access), &prepared, &wish)?;
    let reply = Reply { body, ..Reply::empty(200) }.with_header("ETag", prepared.etag.clone());
    Ok(reply.with_header("Cache-Control", "private, no-cache"))
}

/// Whether the asker's plan names everyone there is, and still is right. Where there are more to name, it gets others.
fn has_all_of_it(app: &App, caller: &Caller, file: FileHash, wish: &Wish) -> bool {
    let is_all = |(version, sources)| wish.has(version) && sources <= SOURCES_PER_PLAN;
    wish.etag.is_some()
        && app.swarm.version_of(file).is_some_and(is_all)
        && app.reputation.has_ticket(caller.peer, file)
}

fn plan_of(
    app: &App,
    now: UnixMillis,
    asker: PeerId,
    (file, access): (FileHash, Access),
    prepared: &Prepared,
    wish: &Wish,
) -> Result<Vec<u8>, ApiError> {
    let known = wish.since.map(|_| app.reputation.listed(asker, file)).unwrap_or_default();
    let ranked = rank(app, now, asker, file, prepared, wish)?;
    let in_a_manifest = prepared.view.manifests.iter().any(|manifest| lists_version_1(manifest, asker));
    let v1_group = if in_a_manifest { None } else { choose(&prepared.view, asker) };
    let v1_listed = in_a_manifest || v1_group.is_some();
    let (geometry, sources) = payable(&ranked, v1_group.as_ref());
    let has_sources = !sources.is_empty();
    let mut answer = Answer::new(prepared, access);
    if let Some(since) = wish.since.filter(|_| !known.is_empty()) {
        answer.delta(&app.swarm.etag(since), since, gone(app, now, file, &known), known);
    }
    answer.manifests(&ranked);
    answer.version_1(v1_listed);
    answer.ticket(geometry.and_then(|geometry| ticket(app, asker, file, geometry, sources)).as_ref());
    Ok(answer.finish(if has_sources { ASK_AGAIN_S } else { ASK_AGAIN_SOON_S }))
}

/// Manifests, the one with most holders first, each with its sources in order.
fn rank<'p>(
    app: &App,
    now: UnixMillis,
    asker: PeerId,
    file: FileHash,
    prepared: &'p Prepared,
    wish: &Wish,
) -> Result<Vec<Shown<'p>>, ApiError> {
    let mut ranked = Vec::with_capacity(prepared.manifests.len());
    for manifest in &prepared.manifests {
        let view = prepared.view_of(manifest);
        let own = match wish.own_of(&manifest.meta)? {
            Some(own) => Some(own),
            None => app.swarm.held_by(file, view.id, asker),
        };
        let asker = Asker { peer: asker, site: wish.site.as_deref(), own: own.as_ref() };
        let offered = order_plan(app, now, &asker, manifest.known());
        let places = shown(manifest.meta.chunks, asker.own, &manifest.offers, &offered.order);
        places.iter().for_each(|place| manifest.offers[*place].peer.note_offered(now));
        ranked.push((view.useful, Shown { manifest, offered, places }));
    }
    ranked.sort_by_key(|(useful, shown)| std::cmp::Reverse((*useful).max(shown.offered.holders)));
    Ok(ranked.into_iter().map(|(_, shown)| shown).collect())
}

/// Whether version 1's lookup would list the file for this asker by one holder of a manifest alone.
fn lists_version_1(manifest: &ManifestView, asker: PeerId) -> bool {
    let whole = manifest.meta.as_ref().is_some_and(|meta| meta.chunk_size == V1_CHUNK_SIZE && meta.chunks > 0);
    whole && manifest.holders.iter().any(|holder| holder.held == Held::Complete && holder.peer.id != asker)
}

/// What a ticket is opened for: the size of the file, and whom it may pay. Version 1's group counts where no manifest is known.
fn payable(ranked: &[Shown<'_>], v1_group: Option<&Group>) -> (Option<Geometry>, Vec<PeerId>) {
    if let Some(first) = ranked.first() {
        let meta = &first.manifest.meta;
        let geometry = Geometry::new(ByteCount(meta.size), meta.chunk_size).ok();
        let kept: Vec<&[PeerId]> = ranked.iter().map(|shown| shown.offered.kept.as_slice()).collect();
        return (geometry, kept.concat());
    }
    let chunks = v1_group.map_or(0, |group| group.chunks);
    let sources = v1_group.iter().flat_map(|group| group.offers.iter().map(|offer| offer.peer.id)).collect();
    (Geometry::new(ByteCount(u64::from(chunks) * u64::from(V1_CHUNK_SIZE)), V1_CHUNK_SIZE).ok(), sources)
}

/// Whom the asker was told of and who no longer holds any of it.
fn gone(app: &App, now: UnixMillis, file: FileHash, known: &[PeerId]) -> Vec<PeerId> {
    let hold = app.swarm.still_hold(now, file, known);
    known.iter().zip(hold).filter(|(_, holds)| !holds).map(|(peer, _)| *peer).collect()
}

/// What is left of a file that nobody holds: its manifests, for whoever knows peers from elsewhere.
fn plan_without_sources(app: &App, file: FileHash, access: Access) -> Result<PlanReply, ApiError> {
    let stored = app.permits.with(|| app.store.manifests_of(file))?;
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
