//! Manifests, which list the chunk hashes of a file: `/api/v1/manifests/{manifest_id}`.

use std::sync::Arc;

use data_encoding::BASE64;
use peernet_engine::ids::{ManifestId, PeerId};
use peernet_protos::rest::{ManifestBody, ManifestReplyBody, StatusReply};
use peernet_threads::Blocking;

use crate::api::handlers::ManifestCalls;
use crate::api::wire;
use crate::api::{ApiError, Caller, PathArgs, json_body};
use crate::domain::swarm::CachedManifest;
use crate::store::{StoredManifest, Write, Written};
use peernet_door::{Reply, Request};

/// `PUT`: stores a manifest. 201 when it is new, 200 when it is known, 422 `manifest_id_mismatch` when the id is not
/// the body's, 413 `quota_exceeded` when the account has used up its quota.
pub fn put(calls: &ManifestCalls, caller: &Caller, request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let id: ManifestId = args.parse("manifest_id", "invalid_manifest_id")?;
    let body: ManifestBody = json_body(request)?;
    let (manifest, file_name) = wire::manifest(&body)?;
    if manifest.id() != id {
        let message = format!("the body is the manifest {}", manifest.id());
        return Err(ApiError::unprocessable("manifest_id_mismatch", message));
    }
    if calls.swarm.catalogue().cached(id).is_some() {
        return Ok(status(200, "known"));
    }
    let stored = StoredManifest { manifest, file_name, announced_by: caller.peer, created_at: (calls.clock)() };
    if over_quota(calls, caller.peer, stored.metadata_bytes())? && !is_known(calls, id)? {
        return Err(quota_exceeded(calls));
    }
    let written = calls.database.write(&Blocking::declare(), vec![Write::PutManifest(stored.clone())])?;
    let known = calls.swarm.catalogue().keep(stored);
    calls.swarm.note_manifest(known.manifest.file_hash(), id, &known.meta, &known.file_name);
    Ok(if written.first() == Some(&Written::Unchanged) { status(200, "known") } else { status(201, "stored") })
}

/// Returns whether `bytes` more would exceed the account's quota. Requests in flight are not counted yet, so an account can
/// exceed it by one manifest per connection.
pub(super) fn over_quota(calls: &ManifestCalls, account: PeerId, bytes: u64) -> Result<bool, ApiError> {
    let quota = calls.metadata_bytes_per_account;
    if quota == 0 {
        return Ok(false);
    }
    let used = calls.database.read(&Blocking::declare(), |store| store.metadata_bytes(account))?;
    Ok(used.saturating_add(bytes) > quota)
}

/// Returns whether the manifest is stored already: putting it again costs no quota.
fn is_known(calls: &ManifestCalls, id: ManifestId) -> Result<bool, ApiError> {
    Ok(calls.database.read(&Blocking::declare(), |store| store.manifest(id))?.is_some())
}

pub(super) fn quota_exceeded(calls: &ManifestCalls) -> ApiError {
    let quota = calls.metadata_bytes_per_account;
    // Not 429: waiting does not help, and peers would retry.
    let message = format!("this account's manifests and signatures would take more than {quota} bytes");
    ApiError::new(413, "quota_exceeded", message)
}

/// `GET`: a manifest, or 404 `unknown_manifest`, also for a file that the caller may not have.
pub fn get(calls: &ManifestCalls, caller: &Caller, _request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let id: ManifestId = args.parse("manifest_id", "invalid_manifest_id")?;
    let known = known(calls, caller, id)?;
    let geometry = known.manifest.geometry();
    let manifest = ManifestBody {
        file_hash: known.manifest.file_hash().to_string(),
        file_name: known.file_name.clone(),
        size: geometry.size().0,
        chunk_size: geometry.chunk_size(),
        chunk_hashes: BASE64.encode(&known.manifest.hash_bytes()),
    };
    Ok(Reply::json(200, &ManifestReplyBody { manifest_id: id.to_string(), manifest }))
}

/// Finds a manifest that the caller may have; 404 `unknown_manifest`.
pub(super) fn known(calls: &ManifestCalls, caller: &Caller, id: ManifestId) -> Result<Arc<CachedManifest>, ApiError> {
    let known = match calls.swarm.catalogue().cached(id) {
        Some(known) => Some(known),
        None => calls.database.read(&Blocking::declare(), |store| calls.swarm.catalogue().load(store, id))?,
    };
    let known = known.filter(|known| calls.access.visibility_for(known.manifest.file_hash(), caller.peer).is_some());
    known.ok_or_else(|| ApiError::not_found("unknown_manifest", "no account has put this manifest"))
}

pub(super) fn status(status: u16, word: &str) -> Reply {
    Reply::json(status, &StatusReply { status: word.to_owned() })
}
