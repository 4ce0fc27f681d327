//! `/api/v1/files/…`: version 1's announce and lookup, and the plan.

pub mod access;
mod offered;
mod plan;
mod render;

use std::sync::Arc;

use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::manifest::Geometry;
use peernet_engine::time::UnixMillis;
use peernet_protos::rest::{AnnounceChunkRequest, StatusReply, TicketBody};

use crate::api::{ApiError, Caller, PathArgs, json_body, peer_address};
use crate::app::App;
use crate::http::{Reply, Request};
use crate::reputation::TicketWish;
use crate::store::{Durability, StoreError, V1Chunk, V1Listing, Write};
use crate::swarm::{FileView, Full, News, V1Address, V1Step, lookup::choose};
use crate::wire;

pub use plan::{PlanCache, plan};

impl From<Full> for ApiError {
    fn from(full: Full) -> Self {
        match full {
            Full::Tracker => Self { retry_after_s: Some(60), ..Self::new(503, "swarm_full", full.to_string()) },
            // Not 429: coming back later is no help.
            Full::Account => Self::new(413, "too_many_files", full.to_string()),
        }
    }
}

/// `POST /api/v1/files/announce`: one chunk of one file, by a version 1 peer. 200 only after it is stored; the chunk that
/// makes the file whole makes all of it durable and lists it.
pub fn announce_chunk(app: &App, caller: &Caller, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let body: AnnounceChunkRequest = json_body(request)?;
    let now = (app.clock)();
    let chunk = wire::v1_chunk(now, caller.peer, &body)?;
    access::refuse_restricted(app, chunk.file_hash)?;
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
    app.journal.write(&[News::Staged(chunk.clone())])?;
    match app.swarm.v1_staged(now, &chunk, address)? {
        Some(listing) => seal(app, now, *listing, address),
        None => Ok(()),
    }
}

fn seal(app: &App, now: UnixMillis, listing: V1Listing, address: &Arc<V1Address>) -> Result<(), ApiError> {
    app.writer.write(vec![Write::SealV1(listing.clone())], Durability::Synced)?;
    if app.store.exchange().is_some() {
        app.journal.write(&[News::Sealed(listing.clone())])?;
    }
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

/// `GET /api/v1/files/lookup/{file_hash}`: version 1's lookup. `{"chunks":{}}` for what is unknown, not whole, or not for the caller.
pub fn lookup(app: &App, caller: &Caller, _request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let file: FileHash = args.parse("file_hash", "invalid_file_hash")?;
    let now = (app.clock)();
    if app.policies.access(file, caller.peer).is_none() {
        return Ok(looked_up(render::empty()));
    }
    let site = app.swarm.site_of(caller.peer);
    let mut view = known_view(app, now, file, site.as_deref())?;
    view.iter_mut().for_each(FileView::retain_plaintext);
    let body = match view.and_then(|view| choose(&view, caller.peer)) {
        Some(group) => render::lookup(app, now, caller.peer, file, &group)?,
        None => render::empty(),
    };
    Ok(looked_up(body))
}

fn looked_up(body: Vec<u8>) -> Reply {
    Reply { status: 200, content_type: "application/json", headers: Vec::new(), body }
}

/// The index's view of a file with every manifest's sizes known, which the first asker after a start or an announce has read
/// from the store.
fn known_view(app: &App, now: UnixMillis, file: FileHash, site: Option<&str>) -> Result<Option<FileView>, ApiError> {
    let see = || {
        let mut view = app.swarm.view(now, file, site)?;
        view.retain(|peer| !app.accounts.is_suspended(peer));
        Some(view)
    };
    let Some(view) = see() else { return Ok(None) };
    if view.manifests_loaded && view.manifests.iter().all(|manifest| manifest.meta.is_some()) {
        return Ok(Some(view));
    }
    match app.permits.with(|| read_manifests(app, file, &view)) {
        Ok(()) => Ok(see()),
        // While the store is down, what is in memory is answered.
        Err(error) if error.status == 503 && view.names_someone() => Ok(Some(view)),
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
