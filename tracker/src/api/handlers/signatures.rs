//! Signatures of accounts that publish a manifest: `/api/v1/manifests/{manifest_id}/signature` and `…/signatures`.

use data_encoding::BASE64URL_NOPAD;
use peernet_engine::ids::{ManifestId, PeerId};
use peernet_protos::limits::SIGNATURES_TOLD_MAX;
use peernet_protos::rest::{SignatureBody, SignatureRequest, SignaturesReply};
use peernet_threads::Blocking;

use super::manifests::{known, over_quota, quota_exceeded, status};
use crate::api::handlers::ManifestCalls;
use crate::api::wire;
use crate::api::{ApiError, Caller, PathArgs, json_body, query_args};
use crate::store::signatures::{SIGNATURE_ROW_BYTES, Signer, StoredSignature};
use crate::store::{Store, StoreError, Write};
use peernet_door::{Reply, Request};

/// `PUT`: stores the caller's signature in place of an earlier one. 404 `unknown_manifest`, 422 `invalid_signature`,
/// 413 `quota_exceeded`.
pub fn put(calls: &ManifestCalls, caller: &Caller, request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let manifest_id: ManifestId = args.parse("manifest_id", "invalid_manifest_id")?;
    let body: SignatureRequest = json_body(request)?;
    known(calls, caller, manifest_id)?;
    let peer = caller.peer;
    let signed_at = (calls.clock)();
    let (public_key, signature) = wire::signature(peer, manifest_id, &body)?;
    if over_quota(calls, peer, SIGNATURE_ROW_BYTES)? && !has_signed(calls, peer, manifest_id)? {
        return Err(quota_exceeded(calls));
    }
    let stored = StoredSignature { manifest_id, peer, public_key, signature, signed_at };
    calls.database.write(&Blocking::declare(), vec![Write::PutSignature(stored)])?;
    Ok(status(200, "signed"))
}

/// Returns whether the caller has signed this manifest before: a signature in place of an earlier one costs no quota.
fn has_signed(calls: &ManifestCalls, peer: PeerId, manifest_id: ManifestId) -> Result<bool, ApiError> {
    let signer = Signer::Account(peer);
    let found = calls.database.read(&Blocking::declare(), |store| store.signature(manifest_id, signer))?;
    Ok(found.is_some())
}

/// `GET`: the oldest signatures, or only those of `account` or by `key`. 400 `invalid_peer_id`, `invalid_key`, 404
/// `unknown_manifest`.
pub fn list(calls: &ManifestCalls, caller: &Caller, request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let id: ManifestId = args.parse("manifest_id", "invalid_manifest_id")?;
    let query = query_args(request)?;
    let account = query.get("account").map(|text| peer_id(text)).transpose()?;
    let key = query.get("key").map(|text| wire::publication_key(text)).transpose()?;
    known(calls, caller, id)?;
    let (signatures, total) = calls.database.read(&Blocking::declare(), |store| match (account, key) {
        (None, None) => oldest(store, id),
        (Some(account), _) => only(store.signature(id, Signer::Account(account))?, key),
        (None, Some(key)) => only(store.signature(id, Signer::Key(key))?, None),
    })?;
    Ok(Reply::json(200, &SignaturesReply { signatures: signatures.iter().map(shown).collect(), total }))
}

fn peer_id(text: &str) -> Result<PeerId, ApiError> {
    text.parse().map_err(|error| ApiError::bad_request("invalid_peer_id", format!("account: {error}")))
}

type Found = (Vec<StoredSignature>, u64);

fn oldest(reader: &dyn Store, id: ManifestId) -> Result<Found, StoreError> {
    let signatures = reader.signatures(id)?;
    let listed = signatures.len() as u64;
    // Counted only where there may be more than are listed. An account may be suspended between the two reads.
    let total = if signatures.len() < SIGNATURES_TOLD_MAX { listed } else { reader.signature_count(id)?.max(listed) };
    Ok((signatures, total))
}

/// The one signature that was found, unless `key` asks for another key.
fn only(found: Option<StoredSignature>, key: Option<[u8; 32]>) -> Result<Found, StoreError> {
    let signatures = Vec::from_iter(found.filter(|signature| key.is_none_or(|key| key == signature.public_key)));
    let total = signatures.len() as u64;
    Ok((signatures, total))
}

fn shown(stored: &StoredSignature) -> SignatureBody {
    SignatureBody {
        peer_id: stored.peer.to_string(),
        key: BASE64URL_NOPAD.encode(&stored.public_key),
        signature: BASE64URL_NOPAD.encode(&stored.signature),
        signed_at: stored.signed_at.as_secs(),
    }
}
