//! The record of announced files; it decides the next announces. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use peernet_engine::download::Has;
use peernet_engine::ids::{FileHash, ManifestId};
use peernet_protos::limits::FILES_PER_ANNOUNCE_MAX;

use crate::discovery::tracker::AnnouncedFile;
use crate::shares::Offer;

/// The largest sum of the bitmaps of one announce, in bytes before base64; far below the tracker's limit.
const BITMAP_BYTES_MAX: usize = 1 << 20;

type Key = (FileHash, ManifestId);

impl Offer {
    fn key(&self) -> Key {
        (self.manifest.file_hash(), self.manifest.id())
    }

    pub(super) fn announced(&self) -> AnnouncedFile {
        let (file_hash, manifest_id) = self.key();
        AnnouncedFile { file_hash, manifest_id, has: self.has.clone() }
    }

    fn bitmap_bytes(&self) -> usize {
        match &self.has {
            Has::Complete => 0,
            Has::Chunks(bitmap) => bitmap.as_bytes().len(),
        }
    }
}

/// The leases of this node, with the state that was announced last. `None` means that the lease has to be announced
/// again.
#[derive(Debug, Default)]
pub(super) struct Book {
    leases: BTreeMap<Key, Option<Has>>,
}

impl Book {
    /// Returns the files whose leases must end: those that are no longer shared, or not under a manifest that was
    /// announced. Leases end by file, so the file's other manifests have to be announced again.
    pub(super) fn gone(&self, offers: &[Offer]) -> Vec<FileHash> {
        let on_offer: BTreeSet<Key> = offers.iter().map(Offer::key).collect();
        let gone: BTreeSet<FileHash> =
            self.leases.keys().filter(|key| !on_offer.contains(key)).map(|key| key.0).collect();
        gone.into_iter().collect()
    }

    /// Returns the offers that the tracker does not know in this state.
    pub(super) fn due(&self, offers: &[Offer]) -> Vec<Offer> {
        let is_due = |offer: &&Offer| self.leases.get(&offer.key()) != Some(&Some(offer.has.clone()));
        offers.iter().filter(is_due).cloned().collect()
    }

    /// Tells whether the tracker knows all offers in this state.
    pub(super) fn is_whole(&self, offers: &[Offer]) -> bool {
        self.due(offers).is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    pub(super) fn announced(&mut self, offers: &[Offer]) {
        self.leases.extend(offers.iter().map(|offer| (offer.key(), Some(offer.has.clone()))));
    }

    pub(super) fn left(&mut self, files: &[FileHash]) {
        self.leases.retain(|key, _| !files.contains(&key.0));
    }

    /// Marks every lease to be announced again.
    pub(super) fn forget_all(&mut self) {
        self.leases.values_mut().for_each(|has| *has = None);
    }

    /// Returns every file with a lease.
    pub(super) fn files(&self) -> Vec<FileHash> {
        let files: BTreeSet<FileHash> = self.leases.keys().map(|key| key.0).collect();
        files.into_iter().collect()
    }
}

/// Splits offers into batches that fit one announce each.
pub(super) fn batches(offers: Vec<Offer>) -> Vec<Vec<Offer>> {
    let mut batches: Vec<Vec<Offer>> = Vec::new();
    let mut bytes = 0;
    for offer in offers {
        bytes += offer.bitmap_bytes();
        match batches.last_mut() {
            Some(batch) if batch.len() < FILES_PER_ANNOUNCE_MAX && bytes <= BITMAP_BYTES_MAX => batch.push(offer),
            _ => {
                bytes = offer.bitmap_bytes();
                batches.push(vec![offer]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use peernet_engine::bitmap::Bitmap;
    use peernet_engine::ids::{ByteCount, ChunkCount, ChunkHash, ChunkIndex};
    use peernet_engine::manifest::{Geometry, Manifest};

    use super::*;

    fn offer(file: u8, manifest: u8, has: Has) -> Offer {
        let geometry = Geometry::new(ByteCount(10), 1 << 20).unwrap();
        let manifest = Manifest::new(FileHash([file; 32]), geometry, vec![ChunkHash([manifest; 32])]).unwrap();
        Offer { manifest: Arc::new(manifest), file_name: "f".to_owned(), has }
    }

    fn part(chunks: u32) -> Has {
        let mut bitmap = Bitmap::empty(ChunkCount(100));
        (0..chunks).for_each(|chunk| assert!(bitmap.insert(ChunkIndex(chunk))));
        Has::Chunks(bitmap)
    }

    #[test]
    fn only_what_the_tracker_does_not_know_is_due() {
        let mut book = Book::default();
        let offers = [offer(1, 1, Has::Complete), offer(2, 1, part(1))];
        assert_eq!(book.due(&offers).len(), 2);
        book.announced(&offers);
        assert!(book.is_whole(&offers) && book.gone(&offers).is_empty());
        let grown = [offers[0].clone(), offer(2, 1, part(2))];
        assert_eq!(book.due(&grown).iter().map(|o| o.manifest.file_hash()).collect::<Vec<_>>(), [FileHash([2; 32])]);
        book.forget_all();
        assert_eq!(book.due(&offers).len(), 2);
        assert_eq!(book.files().len(), 2);
    }

    #[test]
    fn an_ended_manifest_has_the_files_others_announced_again() {
        let mut book = Book::default();
        let offers = [offer(1, 1, Has::Complete), offer(1, 2, Has::Complete), offer(3, 1, Has::Complete)];
        book.announced(&offers);
        let rest = &offers[1..];
        let gone = book.gone(rest);
        assert_eq!(gone, [FileHash([1; 32])]);
        book.left(&gone);
        assert_eq!(book.due(rest).len(), 1);
        assert!(book.gone(rest).is_empty());
    }

    #[test]
    fn batches_are_bounded_in_files_and_in_bytes() {
        let complete = vec![offer(1, 1, Has::Complete); FILES_PER_ANNOUNCE_MAX + 1];
        assert_eq!(batches(complete).iter().map(Vec::len).collect::<Vec<_>>(), [FILES_PER_ANNOUNCE_MAX, 1]);
        let large = Has::Chunks(Bitmap::empty(ChunkCount(16_384)));
        let sizes: Vec<_> = batches(vec![offer(1, 1, large); 600]).iter().map(Vec::len).collect();
        assert_eq!(sizes, [512, 88]);
        assert!(batches(Vec::new()).is_empty());
    }
}
