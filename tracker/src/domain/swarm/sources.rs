//! The sources of a manifest that a plan may name, made from the index's view of a file.

use std::collections::HashSet;
use std::sync::Arc;

use peernet_engine::ids::PeerId;
use peernet_engine::plan::{Held, Source};
use peernet_engine::time::UnixMillis;

use super::entry::ManifestMeta;
use super::peers::{Contact, Peer};
use super::view::{FileView, HolderView, ListingView, ManifestView};

/// The chunk size of version 1. Its listings never mix with manifests of another chunk size.
pub const V1_CHUNK_SIZE: u32 = 1 << 20;

/// A holder that a plan may name.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The account.
    pub peer: Arc<Peer>,
    /// The account's addresses and its site label.
    pub contact: Arc<Contact>,
    /// Whether it speaks only version 1's call.
    pub v1: bool,
    /// The chunks that it holds.
    pub held: Held,
    /// The end of its lease.
    pub expires_at: UnixMillis,
    /// The file's version at its last announce with new content; 0 for version 1.
    pub changed_at: u64,
}

impl Offer {
    pub(super) fn of_holder(holder: &HolderView) -> Self {
        Self {
            peer: Arc::clone(&holder.peer),
            contact: Arc::clone(&holder.contact),
            v1: false,
            held: holder.held.clone(),
            expires_at: holder.expires_at,
            changed_at: holder.changed_at,
        }
    }

    pub(super) fn of_listing(listing: &ListingView) -> Self {
        Self {
            peer: Arc::clone(&listing.peer),
            contact: Arc::clone(listing.address.contact()),
            v1: true,
            held: Held::Complete,
            expires_at: listing.expires_at,
            changed_at: 0,
        }
    }
}

impl Source for Offer {
    fn peer(&self) -> PeerId {
        self.peer.id
    }

    fn held(&self) -> &Held {
        &self.held
    }

    fn site(&self) -> Option<&str> {
        self.contact.site.as_deref()
    }

    fn lease_until(&self) -> UnixMillis {
        self.expires_at
    }

    fn offered_today(&self, now: UnixMillis) -> u32 {
        self.peer.offered_today(now)
    }

    fn load(&self, now: UnixMillis) -> u32 {
        self.peer.load(now)
    }
}

/// The sources of a manifest: its holders, and version 1 announcers whose listing has the same chunks.
pub fn offers(view: &FileView, manifest: &ManifestView, meta: &ManifestMeta) -> Vec<Offer> {
    let mut offers: Vec<Offer> = manifest.holders.iter().map(Offer::of_holder).collect();
    if meta.chunk_size == V1_CHUNK_SIZE && !view.listings.is_empty() {
        let known: HashSet<PeerId> = offers.iter().map(|offer| offer.peer.id).collect();
        let same = view.listings.iter().filter(|l| l.digest == meta.digest && !known.contains(&l.peer.id));
        offers.extend(same.map(Offer::of_listing));
    }
    offers
}
