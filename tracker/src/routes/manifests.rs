//! `/api/v1/manifests/{manifest_id}`: what a file's chunks must hash to.

pub mod signatures;

use std::sync::Arc;

use data_encoding::BASE64;
use peernet_engine::ids::{ManifestId, PeerId};
use peernet_protos::rest::{ManifestBody, ManifestReplyBody, StatusReply};

use crate::api::{ApiError, Caller, PathArgs, json_body};
use crate::app::App;
use crate::http::{Reply, Request};
use crate::store::{Durability, StoredManifest, Write, Written};
use crate::swarm::Known;
use crate::wire;

/// `PUT`: stores a manifest. 201 when new, 200 when known, 422 `manifest_id_mismatch` when the id is not the body's, 413
/// `quota_exceeded` when the account has stored as much as it may.
pub fn put(app: &App, caller: &Caller, request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let id: ManifestId = args.parse("manifest_id", "invalid_manifest_id")?;
    let body: ManifestBody = json_body(request)?;
    let (manifest, file_name) = wire::manifest(&body)?;
    if manifest.id() != id {
        let message = format!("the body is the manifest {}", manifest.id());
        return Err(ApiError::unprocessable("manifest_id_mismatch", message));
    }
    if app.swarm.catalogue().cached(id).is_some() {
        return Ok(status(200, "known"));
    }
    let stored = StoredManifest { manifest, file_name, announced_by: caller.peer, created_at: (app.clock)() };
    if over_quota(app, caller.peer, stored.metadata_bytes())? && !is_known(app, id)? {
        return Err(quota_exceeded(app));
    }
    let written = app.writer.write(vec![Write::PutManifest(stored.clone())], Durability::Synced)?;
    let known = app.swarm.catalogue().keep(stored);
    app.swarm.note_manifest(known.manifest.file_hash(), id, &known.meta, &known.file_name);
    Ok(if written.first() == Some(&Written::Known) { status(200, "known") } else { status(201, "stored") })
}

/// Whether so much more would be too much. What is on its way at the same time is not counted yet: an account can exceed its quota by
/// one manifest a connection.
fn over_quota(app: &App, account: PeerId, bytes: u64) -> Result<bool, ApiError> {
    let quota = app.config.metadata_bytes_per_account;
    if quota == 0 {
        return Ok(false);
    }
    let used = app.permits.with(|| app.store.registry()?.metadata_bytes(account))?;
    Ok(used.saturating_add(bytes) > quota)
}

/// What is there already costs nobody anything.
fn is_known(app: &App, id: ManifestId) -> Result<bool, ApiError> {
    app.permits.with(|| app.store.manifest(id).map(|found| found.is_some()))
}

fn quota_exceeded(app: &App) -> ApiError {
    let quota = app.config.metadata_bytes_per_account;
    // Not 429: peers would come back with it, and waiting does not help.
    let message = format!("this account has stored the {quota} bytes of manifests and signatures that it may");
    ApiError::new(413, "quota_exceeded", message)
}

/// `GET`: a manifest, or 404 `unknown_manifest`, also for one of a file that is not for the caller.
pub fn get(app: &App, caller: &Caller, _request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let id: ManifestId = args.parse("manifest_id", "invalid_manifest_id")?;
    let known = known(app, caller, id)?;
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

/// A manifest that is there for the caller; 404 `unknown_manifest`.
fn known(app: &App, caller: &Caller, id: ManifestId) -> Result<Arc<Known>, ApiError> {
    let known = match app.swarm.catalogue().cached(id) {
        Some(known) => Some(known),
        None => app.permits.with(|| app.swarm.catalogue().load(app.store.as_ref(), id))?,
    };
    let known = known.filter(|known| app.policies.access(known.manifest.file_hash(), caller.peer).is_some());
    known.ok_or_else(|| ApiError::not_found("unknown_manifest", "nobody has put this manifest"))
}

fn status(status: u16, word: &str) -> Reply {
    Reply::json(status, &StatusReply { status: word.to_owned() })
}
