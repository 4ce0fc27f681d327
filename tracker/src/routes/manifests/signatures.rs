//! Who says that he publishes a manifest: `/api/v1/manifests/{manifest_id}/signature` and `…/signatures`.

use data_encoding::BASE64URL_NOPAD;
use peernet_engine::ids::{ManifestId, PeerId};
use peernet_protos::limits::SIGNATURES_TOLD_MAX;
use peernet_protos::rest::{SignatureBody, SignatureRequest, SignaturesReply};

use super::{known, over_quota, quota_exceeded, status};
use crate::api::{ApiError, Caller, PathArgs, json_body, query_args};
use crate::app::App;
use crate::http::{Reply, Request};
use crate::store::signatures::{SIGNATURE_ROW_BYTES, SignatureReader, Signer, StoredSignature};
use crate::store::{Durability, StoreError, Write};
use crate::wire;

/// `PUT`: stores the caller's signature in the place of an earlier one; once more is as good. 404 `unknown_manifest`, 422
/// `invalid_signature`, 413 `quota_exceeded`.
pub fn put(app: &App, caller: &Caller, request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let manifest_id: ManifestId = args.parse("manifest_id", "invalid_manifest_id")?;
    let body: SignatureRequest = json_body(request)?;
    known(app, caller, manifest_id)?;
    let (peer, signed_at) = (caller.peer, (app.clock)());
    let (public_key, signature) = wire::signature(peer, manifest_id, &body)?;
    if over_quota(app, peer, SIGNATURE_ROW_BYTES)? && !has_signed(app, peer, manifest_id)? {
        return Err(quota_exceeded(app));
    }
    let stored = StoredSignature { manifest_id, peer, public_key, signature, signed_at };
    app.writer.write(vec![Write::PutSignature(stored)], Durability::Synced)?;
    Ok(status(200, "signed"))
}

/// What takes another one's place costs nothing.
fn has_signed(app: &App, peer: PeerId, manifest_id: ManifestId) -> Result<bool, ApiError> {
    app.permits
        .with(|| app.store.signatures()?.signature(manifest_id, Signer::Account(peer)).map(|found| found.is_some()))
}

/// `GET`: the oldest signatures, or that of the `account`, by the `key`, which is asked for. 400 `invalid_peer_id`, `invalid_key`, 404
/// `unknown_manifest`.
pub fn list(app: &App, caller: &Caller, request: &Request, args: &PathArgs) -> Result<Reply, ApiError> {
    let id: ManifestId = args.parse("manifest_id", "invalid_manifest_id")?;
    let query = query_args(request)?;
    let account = query.get("account").map(|text| peer_id(text)).transpose()?;
    let key = query.get("key").map(|text| wire::publication_key(text)).transpose()?;
    known(app, caller, id)?;
    let (signatures, total) = app.permits.with(|| {
        let reader = app.store.signatures()?;
        match (account, key) {
            (None, None) => oldest(reader, id),
            (Some(account), _) => only(reader.signature(id, Signer::Account(account))?, key),
            (None, Some(key)) => only(reader.signature(id, Signer::Key(key))?, None),
        }
    })?;
    Ok(Reply::json(200, &SignaturesReply { signatures: signatures.iter().map(shown).collect(), total }))
}

fn peer_id(text: &str) -> Result<PeerId, ApiError> {
    text.parse().map_err(|error| ApiError::bad_request("invalid_peer_id", format!("account: {error}")))
}

type Found = (Vec<StoredSignature>, u64);

fn oldest(reader: &dyn SignatureReader, id: ManifestId) -> Result<Found, StoreError> {
    let signatures = reader.signatures(id)?;
    let told = signatures.len() as u64;
    // Counted only where there may be more than are told; an account may be suspended between the two questions.
    let total = if signatures.len() < SIGNATURES_TOLD_MAX { told } else { reader.signature_count(id)?.max(told) };
    Ok((signatures, total))
}

/// One signer's, unless another key is asked for.
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
