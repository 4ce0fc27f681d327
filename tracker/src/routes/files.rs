//! `/api/v1/files/…`: version 1's announce and lookup, and the plan.

mod offered;
mod render;

use std::sync::Arc;

use peernet_engine::ids::{ByteCount, FileHash, PeerId};
use peernet_engine::manifest::Geometry;
use peernet_engine::time::UnixMillis;
use peernet_protos::rest::{AnnounceChunkRequest, PlanManifest, PlanReply, PlanSource, StatusReply, TicketBody};

use crate::api::{ApiError, Caller, PathArgs, json_body, peer_address, query_args};
use crate::app::App;
use crate::http::{Reply, Request};
use crate::reputation::TicketWish;
use crate::store::{Durability, MANIFESTS_MAX, StoreError, V1Chunk, V1Listing, Write};
use crate::swarm::sources::{Offer, V1_CHUNK_SIZE, offers};
use crate::swarm::{FileView, Full, ManifestView, V1Address, V1Step, lookup::choose};
use crate::wire;

use offered::{Offered, order_plan, shown};

/// When to ask for the next plan where sources were found, in seconds.
const ASK_AGAIN_S: u64 = 60;
/// The same where nobody holds the file at the moment.
const ASK_AGAIN_SOON_S: u64 = 15;

impl From<Full> for ApiError {
    fn from(full: Full) -> Self {
        match full {
            Full::Tracker => Self { retry_after_s: Some(60), ..Self::new(503, "swarm_full", full.to_string()) },
            Full::Account => Self::new(429, "too_many_files", full.to_string()),
        }
    }
}

/// `POST /api/v1/files/announce`: one chunk of one file, by a version 1 peer. 200 only after it is stored; the chunk that
/// makes the file whole makes all of it durable and lists it.
pub fn announce_chunk(app: &App, caller: &Caller, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let body: AnnounceChunkRequest = json_body(request)?;
    let now = (app.clock)();
    let chunk = wire::v1_chunk(now, caller.peer, &body)?;
    let address = v1_address(app, caller.peer)?;
    match app.swarm.v1_next(now, &chunk, &address)? {
        V1Step::Known => {}
        V1Step::Stage => stage(app, now, chunk, &address)?,
        V1Step::Seal(listing) => seal(app, now, *listing, &address)?,
    }
    let address = app.swarm.v1_address(caller.peer).unwrap_or(address);
    if !address.is_reachable() {
        address.set_reachable(true);
        app.dialback.check(&address);
    }
    Ok(Reply::json(200, &StatusReply { status: "announced".to_owned() }))
}

fn stage(app: &App, now: UnixMillis, chunk: V1Chunk, address: &Arc<V1Address>) -> Result<(), ApiError> {
    app.writer.write(vec![Write::StageV1(chunk.clone())], Durability::Relaxed)?;
    match app.swarm.v1_staged(now, &chunk, address)? {
        Some(listing) => seal(app, now, *listing, address),
        None => Ok(()),
    }
}

fn seal(app: &App, now: UnixMillis, listing: V1Listing, address: &Arc<V1Address>) -> Result<(), ApiError> {
    app.writer.write(vec![Write::SealV1(listing.clone())], Durability::Synced)?;
    let peer = listing.peer;
    app.swarm.v1_sealed(now, listing, address)?;
    app.dialback.check(&app.swarm.v1_address(peer).unwrap_or_else(|| Arc::clone(address)));
    Ok(())
}

/// A version 1 announcer is reached where it registered.
fn v1_address(app: &App, peer: PeerId) -> Result<Arc<V1Address>, ApiError> {
    if let Some(address) = app.swarm.v1_address(peer) {
        return Ok(address);
    }
    let account = app.permits.with(|| app.store.account(peer))?;
    let address = account.and_then(|account| account.address).filter(|address| peer_address(address).is_ok());
    address.map(|text| Arc::new(V1Address::new(text))).ok_or_else(|| {
        ApiError::conflict(
            "no_address",
            "this account has no address; register with one, or use /api/v1/swarm/announce",
        )
    })
}

/// `GET /api/v1/files/lookup/{file_hash}`: version 1's lookup. `{"chunks":{}}` for what is unknown or not whole.
pub fn lookup(app: &App, caller: &Caller, _request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let file: FileHash = args.parse("file_hash", "invalid_file_hash")?;
    let now = (app.clock)();
    let body = match known_view(app, now, file)?.and_then(|view| choose(&view, caller.peer)) {
        Some(group) => render::lookup(app, now, caller.peer, file, &group)?,
        None => render::empty(),
    };
    Ok(Reply { status: 200, content_type: "application/json", headers: Vec::new(), body })
}

/// The index's view of a file with every manifest's sizes known, which the first asker after a start or an announce has read
/// from the store.
fn known_view(app: &App, now: UnixMillis, file: FileHash) -> Result<Option<FileView>, ApiError> {
    let Some(view) = app.swarm.view(now, file) else { return Ok(None) };
    if view.manifests_loaded && view.manifests.iter().all(|manifest| manifest.meta.is_some()) {
        return Ok(Some(view));
    }
    match app.permits.with(|| read_manifests(app, file, &view)) {
        Ok(()) => Ok(app.swarm.view(now, file)),
        // While the store is down, what is in memory is answered.
        Err(error) if error.status == 503 && !view.listings.is_empty() => Ok(Some(view)),
        Err(error) => Err(error),
    }
}

fn read_manifests(app: &App, file: FileHash, view: &FileView) -> Result<(), StoreError> {
    let catalogue = app.swarm.catalogue();
    let stored = app.store.manifests_of(file)?.into_iter().filter_map(|meta| meta.manifest).map(|(id, _, _)| id);
    for id in stored.chain(view.manifests.iter().map(|manifest| manifest.id)) {
        if let Some(known) = catalogue.load(app.store.as_ref(), id)? {
            app.swarm.note_manifest(file, id, &known.meta, &known.file_name);
        }
    }
    app.swarm.note_manifests_loaded(file);
    Ok(())
}

/// `GET /api/v1/files/{file_hash}?site=…`: the plan. 404 `unknown_file` when nobody ever announced the file.
pub fn plan(app: &App, caller: &Caller, request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let file: FileHash = args.parse("file_hash", "invalid_file_hash")?;
    let query = query_args(request)?;
    let site =
        wire::site(query.get("site").map(String::as_str))?.map(Arc::from).or_else(|| app.swarm.site_of(caller.peer));
    let now = (app.clock)();
    let reply = match known_view(app, now, file)? {
        Some(view) => plan_of(app, now, caller.peer, site.as_deref(), file, &view),
        None => plan_without_sources(app, file)?,
    };
    Ok(Reply::json(200, &reply))
}

fn plan_of(
    app: &App,
    now: UnixMillis,
    asker: PeerId,
    site: Option<&str>,
    file: FileHash,
    view: &FileView,
) -> PlanReply {
    let mut known: Vec<&ManifestView> = view.manifests.iter().collect();
    known.sort_by_key(|manifest| std::cmp::Reverse(manifest.useful()));
    known.truncate(MANIFESTS_MAX);
    let mut ranked: Vec<(PlanManifest, Offered)> =
        known.into_iter().filter_map(|manifest| plan_manifest(app, now, asker, site, view, manifest)).collect();
    ranked.sort_by_key(|(_, offered)| std::cmp::Reverse(offered.holders));
    let v1_group = choose(view, asker);
    let geometry =
        ranked.first().map(|(m, _)| Geometry::new(ByteCount(m.size), m.chunk_size).ok()).unwrap_or_else(|| {
            let chunks = v1_group.as_ref().map_or(0, |group| group.chunks);
            Geometry::new(ByteCount(u64::from(chunks) * u64::from(V1_CHUNK_SIZE)), V1_CHUNK_SIZE).ok()
        });
    let sources: Vec<PeerId> = match ranked.is_empty() {
        false => ranked.iter().flat_map(|(_, offered)| offered.kept.iter().copied()).collect(),
        true => v1_group.iter().flat_map(|group| group.offers.iter().map(|offer| offer.peer)).collect(),
    };
    let ask_again_seconds = if sources.is_empty() { ASK_AGAIN_SOON_S } else { ASK_AGAIN_S };
    PlanReply {
        file_hash: file.to_string(),
        file_name: view.name.clone(),
        v1_listed: v1_group.is_some(),
        ticket: geometry.and_then(|geometry| ticket(app, asker, file, geometry, sources)),
        manifests: ranked.into_iter().map(|(manifest, _)| manifest).collect(),
        ask_again_seconds,
    }
}

fn plan_manifest(
    app: &App,
    now: UnixMillis,
    asker: PeerId,
    site: Option<&str>,
    view: &FileView,
    manifest: &ManifestView,
) -> Option<(PlanManifest, Offered)> {
    let meta = manifest.meta.as_ref()?;
    let offers = offers(view, manifest, meta);
    let offered = order_plan(app, now, asker, site, meta.chunks, &offers);
    let shown = shown(meta.chunks, &offers, &offered.order);
    let sources = shown.into_iter().map(|place| plan_source(&offers[place], offered.scores[place])).collect();
    let id = manifest.id.to_string();
    Some((PlanManifest { manifest_id: id, size: meta.size, chunk_size: meta.chunk_size, sources }, offered))
}

fn plan_source(offer: &Offer, score: f64) -> PlanSource {
    PlanSource {
        peer_id: offer.peer.to_string(),
        addresses: vec![offer.address.to_string()],
        transport: if offer.v1 { "grpc-v1" } else { "grpc" }.to_owned(),
        reputation_score: score,
        have: wire::have(&offer.held),
    }
}

/// The caller's ticket; none where there is nobody to pay.
fn ticket(
    app: &App,
    account: PeerId,
    file_hash: FileHash,
    geometry: Geometry,
    sources: Vec<PeerId>,
) -> Option<TicketBody> {
    if sources.is_empty() {
        return None;
    }
    app.reputation.open_ticket(TicketWish { account, file_hash, geometry, sources })
}

/// What is left of a file that nobody holds: its manifests, for whoever knows peers from elsewhere.
fn plan_without_sources(app: &App, file: FileHash) -> Result<PlanReply, ApiError> {
    let stored = app.permits.with(|| app.store.manifests_of(file))?;
    let Some(first) = stored.first() else {
        return Err(ApiError::not_found("unknown_file", "nobody has announced this file"));
    };
    let file_name = first.file_name.clone();
    let manifests = stored.iter().filter_map(|meta| meta.manifest).map(|(id, size, chunk_size)| PlanManifest {
        manifest_id: id.to_string(),
        size,
        chunk_size,
        sources: Vec::new(),
    });
    Ok(PlanReply {
        file_hash: file.to_string(),
        file_name,
        manifests: manifests.collect(),
        v1_listed: false,
        ticket: None,
        ask_again_seconds: ASK_AGAIN_SOON_S,
    })
}
