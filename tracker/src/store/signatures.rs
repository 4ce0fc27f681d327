//! Signatures of manifests: at most one of each account for each manifest.
//!
//! The store verifies none of them. The caller that writes one has verified it.

use peernet_engine::ids::{ManifestId, PeerId};
use peernet_engine::time::UnixMillis;

use super::Result;

/// The approximate bytes that a signature counts towards its account's metadata.
pub const SIGNATURE_ROW_BYTES: u64 = 256;

/// An account's signature of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSignature {
    /// The signed manifest.
    pub manifest_id: ManifestId,
    /// The account that signed.
    pub peer: PeerId,
    /// The Ed25519 key that verifies the signature.
    pub public_key: [u8; 32],
    /// The signature's bytes.
    pub signature: [u8; 64],
    /// The time at which the account first signed the manifest.
    pub signed_at: UnixMillis,
}

/// The signer to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// An account, with any key.
    Account(PeerId),
    /// A key, of any account.
    Key([u8; 32]),
}

/// Reads signatures. Signatures of suspended accounts are left out.
pub trait Signatures {
    /// Returns a manifest's signatures, the oldest first, at most [`peernet_protos::limits::SIGNATURES_TOLD_MAX`].
    fn signatures(&self, manifest_id: ManifestId) -> Result<Vec<StoredSignature>>;

    /// Counts a manifest's signatures, up to [`peernet_protos::limits::SIGNATURES_COUNTED_MAX`].
    fn signature_count(&self, manifest_id: ManifestId) -> Result<u64>;

    /// Returns one signer's signature of a manifest. Where several accounts have signed with one key, the oldest.
    fn signature(&self, manifest_id: ManifestId, signer: Signer) -> Result<Option<StoredSignature>>;
}
