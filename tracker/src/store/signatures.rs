//! Signatures of manifests as they are stored: which account says that it publishes which manifest, one of each account.
//!
//! The store checks none of them: who writes one has verified it.

use peernet_engine::ids::{ManifestId, PeerId};
use peernet_engine::time::UnixMillis;

use super::Result;

/// What a signature counts for in its account's metadata, roughly.
pub const SIGNATURE_ROW_BYTES: u64 = 256;

/// An account's signature of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSignature {
    /// Of which manifest.
    pub manifest_id: ManifestId,
    /// Whose.
    pub peer: PeerId,
    /// The Ed25519 key that verifies it.
    pub public_key: [u8; 32],
    /// Itself.
    pub signature: [u8; 64],
    /// When the account signed the manifest first.
    pub signed_at: UnixMillis,
}

/// Whose signature is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// This account's, with whatever key.
    Account(PeerId),
    /// Whoever has this key's.
    Key([u8; 32]),
}

/// Questions about signatures. Those of suspended accounts are not told.
pub trait SignatureReader {
    /// A manifest's signatures, the oldest first, at most [`peernet_protos::limits::SIGNATURES_TOLD_MAX`].
    fn signatures(&self, manifest_id: ManifestId) -> Result<Vec<StoredSignature>>;

    /// How many there are; no more than [`peernet_protos::limits::SIGNATURES_COUNTED_MAX`] are counted.
    fn signature_count(&self, manifest_id: ManifestId) -> Result<u64>;

    /// One signer's signature of a manifest; where several accounts have signed with one key, the oldest.
    fn signature(&self, manifest_id: ManifestId, signer: Signer) -> Result<Option<StoredSignature>>;
}
