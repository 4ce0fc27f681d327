//! Files under `/api/v1/files/`: version 1's announce and lookup, and the plan.

pub mod access;
mod offered;
mod plan;
mod render;

use std::sync::Arc;

use peernet_engine::candidate::Candidate;
use peernet_engine::ids::{FileHash, PeerId};
use peernet_engine::manifest::Geometry;
use peernet_engine::time::UnixMillis;
use peernet_protos::rest::{AnnounceChunkRequest, StatusReply, TicketBody};
use peernet_threads::Blocking;

use crate::api::handlers::FileCalls;
use crate::api::wire;
use crate::api::{ApiError, Caller, PathArgs, json_body};
use crate::domain::address::peer_address;
use crate::domain::economy::TicketRequest;
use crate::domain::swarm::{FileView, V1Address, V1Chunk, V1Step, lookup::choose};
use crate::replication::LeaseUpdate;
use crate::store::{Store, StoreError, V1Listing, Write};
use peernet_door::{Reply, Request};

pub use plan::{PlanCache, plan};

/// `POST /api/v1/files/announce`: one chunk of one file, by a version 1 peer. 200 only after it is stored. The chunk
/// that completes the file makes all of it durable and lists it.
pub fn announce_chunk(
    calls: &FileCalls,
    caller: &Caller,
    request: &Request,
    _args: &PathArgs,
) -> Result<Reply, ApiError> {
    let body: AnnounceChunkRequest = json_body(request)?;
    let now = (calls.clock)();
    let chunk = wire::v1_chunk(now, caller.peer, &body)?;
    access::refuse_restricted(&calls.access, chunk.file_hash)?;
    let address = v1_address(calls, caller.peer)?;
    match calls.swarm.v1_next(now, &chunk, &address)? {
        V1Step::Unchanged => {}
        V1Step::Stage => stage(calls, now, chunk, &address)?,
        V1Step::Seal(listing) => seal(calls, now, *listing, &address)?,
    }
    let address = calls.swarm.v1_address(caller.peer).unwrap_or(address);
    if !address.is_reachable() {
        address.set_reachable(true);
        calls.dialback.check(&address);
    }
    Ok(Reply::json(200, &StatusReply { status: "announced".to_owned() }))
}

fn stage(calls: &FileCalls, now: UnixMillis, chunk: V1Chunk, address: &Arc<V1Address>) -> Result<(), ApiError> {
    calls.lease_log.write(&Blocking::declare(), &[LeaseUpdate::Staged(chunk.clone())])?;
    match calls.swarm.v1_staged(now, &chunk, address)? {
        Some(listing) => seal(calls, now, *listing, address),
        None => Ok(()),
    }
}

fn seal(calls: &FileCalls, now: UnixMillis, listing: V1Listing, address: &Arc<V1Address>) -> Result<(), ApiError> {
    calls.database.write(&Blocking::declare(), vec![Write::SealV1(listing.clone())])?;
    if calls.database.is_shared() {
        calls.lease_log.write(&Blocking::declare(), &[LeaseUpdate::Sealed(listing.clone())])?;
    }
    let peer = listing.peer;
    calls.swarm.v1_sealed(now, listing, address)?;
    calls.dialback.check(&calls.swarm.v1_address(peer).unwrap_or_else(|| Arc::clone(address)));
    Ok(())
}

/// The address of a version 1 announcer: the one that it registered.
fn v1_address(calls: &FileCalls, peer: PeerId) -> Result<Arc<V1Address>, ApiError> {
    if let Some(address) = calls.swarm.v1_address(peer) {
        return Ok(address);
    }
    let account = calls.database.read(&Blocking::declare(), |store| store.account(peer))?;
    let address = account.and_then(|account| account.address).filter(|address| peer_address(address).is_ok());
    let candidate = address.and_then(|address| Candidate::host(address).ok());
    candidate.map(|candidate| Arc::new(V1Address::new(candidate))).ok_or_else(|| {
        ApiError::conflict(
            "no_address",
            "this account has no address; register with one, or use /api/v1/swarm/announce",
        )
    })
}

/// `GET /api/v1/files/lookup/{file_hash}`: version 1's lookup. `{"chunks":{}}` for a file that is unknown, incomplete,
/// or not for the caller.
pub fn lookup(calls: &FileCalls, caller: &Caller, _request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let file: FileHash = args.parse("file_hash", "invalid_file_hash")?;
    let now = (calls.clock)();
    if calls.access.visibility_for(file, caller.peer).is_none() {
        return Ok(looked_up(render::empty()));
    }
    let site = calls.swarm.site_of(caller.peer);
    let mut view = known_view(calls, now, file, site.as_deref())?;
    view.iter_mut().for_each(FileView::retain_plaintext);
    let body = match view.and_then(|view| choose(&view, caller.peer)) {
        Some(group) => render::lookup(calls, now, caller.peer, file, &group)?,
        None => render::empty(),
    };
    Ok(looked_up(body))
}

fn looked_up(body: Vec<u8>) -> Reply {
    Reply { status: 200, content_type: "application/json", headers: Vec::new(), body }
}

/// The index's view of a file, with the sizes of every manifest. The first lookup after a start or an announce reads
/// those from the store.
fn known_view(
    calls: &FileCalls,
    now: UnixMillis,
    file: FileHash,
    site: Option<&str>,
) -> Result<Option<FileView>, ApiError> {
    let see = || {
        let mut view = calls.swarm.view(now, file, site)?;
        view.retain(|peer| !calls.accounts.is_suspended(peer));
        Some(view)
    };
    let Some(view) = see() else { return Ok(None) };
    if view.manifests_loaded && view.manifests.iter().all(|manifest| manifest.meta.is_some()) {
        return Ok(Some(view));
    }
    match calls.database.read(&Blocking::declare(), |store| read_manifests(calls, store, file, &view)) {
        Ok(()) => Ok(see()),
        // While the store is down, the answer is made from what is in memory.
        Err(StoreError::Busy(_) | StoreError::Unavailable(_)) if view.names_a_source() => Ok(Some(view)),
        Err(error) => Err(error.into()),
    }
}

fn read_manifests(calls: &FileCalls, store: &dyn Store, file: FileHash, view: &FileView) -> Result<(), StoreError> {
    let catalogue = calls.swarm.catalogue();
    let stored = store.manifests_of(file)?.into_iter().filter_map(|meta| meta.manifest).map(|(id, _, _)| id);
    for id in stored.chain(view.manifests.iter().map(|manifest| manifest.id)) {
        if let Some(known) = catalogue.load(store, id)? {
            calls.swarm.note_manifest(file, id, &known.meta, &known.file_name);
        }
    }
    calls.swarm.note_manifests_loaded(file);
    Ok(())
}

/// Opens the caller's ticket; none where the plan lists no source to pay.
fn ticket(
    calls: &FileCalls,
    account: PeerId,
    file_hash: FileHash,
    geometry: Geometry,
    sources: Vec<PeerId>,
) -> Option<TicketBody> {
    if sources.is_empty() {
        return None;
    }
    calls.reputation.open_ticket(TicketRequest { account, file_hash, geometry, sources })
}
