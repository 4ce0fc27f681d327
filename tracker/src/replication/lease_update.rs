//! The encoding of lease updates, for the log that survives a restart and for the other trackers of one database.
//!
//! A body is a version byte and then records one after the other. Integers are big-endian; texts and lists have their length before them.
//! Bodies come from this tracker's disk and database, and are parsed as carefully as input from the network.

use std::sync::Arc;
use std::time::Duration;

use peernet_engine::bitmap::Bitmap;
use peernet_engine::candidate::{Candidate, Candidates};
use peernet_engine::ids::{ChunkCount, ChunkHash, FileHash, ManifestId, PeerId};
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::CHUNKS_MAX;

use crate::domain::swarm::{LeaseRow, Location, V1Chunk};
use crate::store::V1Listing;

/// The time that a departure is kept. After it no announce that is older than the departure is still on its way.
const LEFT_KEPT: Duration = Duration::from_secs(600);
/// The version of the format. A body of another version is skipped, because its peers announce again.
const VERSION: u8 = 2;
/// Means all files, in place of a count.
const ALL_FILES: u32 = u32::MAX;
const LEASE: u8 = 1;
const LEFT: u8 = 2;
const STAGED: u8 = 3;
const SEALED: u8 = 4;

/// One change of the swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseUpdate {
    /// A version 2 announce.
    Lease(LeaseRow),
    /// A peer ended its leases and listings: of some files, or of all.
    Left {
        /// The peer.
        peer: PeerId,
        /// The files; `None` for all.
        files: Option<Vec<FileHash>>,
        /// The time of the departure. Later announces stay.
        at: UnixMillis,
    },
    /// One chunk of a version 1 announce.
    Staged(V1Chunk),
    /// The last chunk of a version 1 file was announced, or its listing was renewed.
    Sealed(V1Listing),
}

/// The error of a body that this program cannot have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl LeaseUpdate {
    /// Returns the time at which the update expires. It may be deleted then.
    pub fn expires_at(&self) -> UnixMillis {
        match self {
            Self::Lease(lease) => lease.expires_at,
            Self::Left { at, .. } => at.plus(LEFT_KEPT),
            Self::Staged(chunk) => chunk.expires_at,
            Self::Sealed(listing) => listing.expires_at,
        }
    }

    /// Appends the update to a body, and begins the body where it is empty.
    pub fn encode(&self, body: &mut Vec<u8>) {
        if body.is_empty() {
            body.push(VERSION);
        }
        let mut out = Writer(body);
        match self {
            Self::Lease(lease) => out.lease(lease),
            Self::Left { peer, files, at } => out.left(*peer, files.as_deref(), *at),
            Self::Staged(chunk) => out.staged(chunk),
            Self::Sealed(listing) => out.sealed(listing),
        }
    }

    /// Appends the records of `other` to a body.
    pub fn join(body: &mut Vec<u8>, other: &[u8]) {
        body.extend_from_slice(if body.is_empty() { other } else { other.get(1..).unwrap_or_default() });
    }

    /// Returns the records of a body in order.
    pub fn decode(body: &[u8]) -> Result<Vec<Self>, Malformed> {
        let (version, rest) = body.split_first().ok_or(Malformed)?;
        if *version != VERSION {
            return Err(Malformed);
        }
        let mut reader = Reader(rest);
        let mut updates = Vec::new();
        while !reader.0.is_empty() {
            updates.push(reader.record()?);
        }
        Ok(updates)
    }
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, number: u32) {
        self.raw(&number.to_be_bytes());
    }

    fn time(&mut self, time: UnixMillis) {
        self.raw(&time.0.to_be_bytes());
    }

    /// The API bounds names and addresses far below 64 KiB.
    fn text(&mut self, text: &str) {
        let length = u16::try_from(text.len()).unwrap_or(0);
        self.raw(&length.to_be_bytes());
        self.raw(&text.as_bytes()[..usize::from(length)]);
    }

    fn lease(&mut self, lease: &LeaseRow) {
        self.raw(&[LEASE]);
        self.raw(&lease.peer.0);
        self.raw(&lease.file_hash.0);
        self.raw(&lease.manifest_id.0);
        self.time(lease.expires_at);
        self.text(address_text(lease.location.candidates.first()));
        self.raw(&[u8::from(lease.location.tls)]);
        self.text(address_text(lease.location.plaintext.as_ref()));
        self.text(lease.site.as_deref().unwrap_or_default());
        self.number(lease.have.count().0);
        self.raw(&[u8::from(lease.have.is_full())]);
        if !lease.have.is_full() {
            self.raw(lease.have.as_bytes());
        }
    }

    fn left(&mut self, peer: PeerId, files: Option<&[FileHash]>, at: UnixMillis) {
        self.raw(&[LEFT]);
        self.raw(&peer.0);
        self.time(at);
        self.number(files.map_or(ALL_FILES, |files| u32::try_from(files.len()).unwrap_or(0)));
        files.into_iter().flatten().for_each(|file| self.raw(&file.0));
    }

    fn staged(&mut self, chunk: &V1Chunk) {
        self.raw(&[STAGED]);
        self.raw(&chunk.peer.0);
        self.raw(&chunk.file_hash.0);
        self.number(chunk.total_chunks);
        self.number(chunk.index);
        self.raw(&chunk.chunk_hash.0);
        self.time(chunk.expires_at);
        self.text(&chunk.file_name);
    }

    fn sealed(&mut self, listing: &V1Listing) {
        self.raw(&[SEALED]);
        self.raw(&listing.peer.0);
        self.raw(&listing.file_hash.0);
        self.time(listing.expires_at);
        self.time(listing.created_at);
        self.text(&listing.file_name);
        self.number(u32::try_from(listing.chunk_hashes.len()).unwrap_or(0));
        listing.chunk_hashes.iter().for_each(|hash| self.raw(&hash.0));
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn record(&mut self) -> Result<LeaseUpdate, Malformed> {
        match self.array::<1>()?[0] {
            LEASE => self.lease().map(LeaseUpdate::Lease),
            LEFT => self.left(),
            STAGED => self.staged().map(LeaseUpdate::Staged),
            SEALED => self.sealed().map(LeaseUpdate::Sealed),
            _ => Err(Malformed),
        }
    }

    fn raw(&mut self, count: usize) -> Result<&[u8], Malformed> {
        let (raw, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(raw)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.raw(N)?.try_into().map_err(|_| Malformed)
    }

    fn number(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a number of chunks, within the bound of a file.
    fn chunks(&mut self) -> Result<u32, Malformed> {
        self.number().and_then(|count| if count <= CHUNKS_MAX { Ok(count) } else { Err(Malformed) })
    }

    fn time(&mut self) -> Result<UnixMillis, Malformed> {
        self.array().map(|bytes| UnixMillis(i64::from_be_bytes(bytes)))
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let length = u16::from_be_bytes(self.array()?);
        std::str::from_utf8(self.raw(usize::from(length))?).map(str::to_owned).map_err(|_| Malformed)
    }

    fn peer(&mut self) -> Result<PeerId, Malformed> {
        self.array().map(PeerId)
    }

    fn file_hash(&mut self) -> Result<FileHash, Malformed> {
        self.array().map(FileHash)
    }

    fn lease(&mut self) -> Result<LeaseRow, Malformed> {
        let peer = self.peer()?;
        let file_hash = self.file_hash()?;
        let manifest_id = ManifestId(self.array()?);
        let expires_at = self.time()?;
        let location = Arc::new(self.location()?);
        let site = self.text()?;
        let count = ChunkCount(self.chunks()?);
        let have = match self.array::<1>()?[0] {
            1 => Bitmap::full(count),
            0 => Bitmap::from_bytes(self.raw(count.0.div_ceil(8) as usize)?, count).ok_or(Malformed)?,
            _ => return Err(Malformed),
        };
        let site = (!site.is_empty()).then_some(site);
        Ok(LeaseRow { peer, file_hash, manifest_id, location, site, have, expires_at })
    }

    fn location(&mut self) -> Result<Location, Malformed> {
        let candidates = Candidates::hosts([self.text()?]);
        let tls = match self.array::<1>()?[0] {
            tls @ (0 | 1) => tls == 1,
            _ => return Err(Malformed),
        };
        let plaintext = Candidate::host(self.text()?).ok();
        Ok(Location { candidates, tls, plaintext })
    }

    fn left(&mut self) -> Result<LeaseUpdate, Malformed> {
        let peer = self.peer()?;
        let at = self.time()?;
        let count = self.number()?;
        let files = match count {
            ALL_FILES => None,
            // Checked before a list of that length is allocated.
            count if self.0.len() / 32 < count as usize => return Err(Malformed),
            count => Some((0..count).map(|_| self.array().map(FileHash)).collect::<Result<_, _>>()?),
        };
        Ok(LeaseUpdate::Left { peer, files, at })
    }

    fn staged(&mut self) -> Result<V1Chunk, Malformed> {
        let peer = self.peer()?;
        let file_hash = self.file_hash()?;
        let total_chunks = self.chunks()?;
        let index = self.number()?;
        if index >= total_chunks {
            return Err(Malformed);
        }
        let chunk_hash = ChunkHash(self.array()?);
        let expires_at = self.time()?;
        let file_name = self.text()?;
        Ok(V1Chunk { peer, file_hash, total_chunks, index, chunk_hash, file_name, expires_at })
    }

    fn sealed(&mut self) -> Result<V1Listing, Malformed> {
        let peer = self.peer()?;
        let file_hash = self.file_hash()?;
        let expires_at = self.time()?;
        let created_at = self.time()?;
        let file_name = self.text()?;
        let count = self.chunks()?;
        if self.0.len() / 32 < count as usize {
            return Err(Malformed);
        }
        let chunk_hashes = (0..count).map(|_| self.array().map(ChunkHash)).collect::<Result<_, _>>()?;
        Ok(V1Listing { peer, file_hash, file_name, chunk_hashes, expires_at, created_at })
    }
}

/// The text of an address in the stored format; empty where there is none.
fn address_text(candidate: Option<&Candidate>) -> &str {
    candidate.map_or("", |candidate| candidate.address())
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::ChunkIndex;

    use super::*;

    const AT: UnixMillis = UnixMillis(1_800_000_000_000);
    const PEER: PeerId = PeerId([1; 16]);
    const FILE: FileHash = FileHash([2; 32]);

    fn partial_lease() -> LeaseRow {
        let mut some = Bitmap::empty(ChunkCount(11));
        some.insert(ChunkIndex(9));
        LeaseRow {
            peer: PEER,
            file_hash: FILE,
            manifest_id: ManifestId([3; 32]),
            location: Arc::new(Location::plain("peer.example:50051")),
            site: None,
            have: some,
            expires_at: AT,
        }
    }

    fn chunk() -> V1Chunk {
        V1Chunk {
            peer: PEER,
            file_hash: FILE,
            total_chunks: 3,
            index: 2,
            chunk_hash: ChunkHash([4; 32]),
            file_name: "é.bin".to_owned(),
            expires_at: AT,
        }
    }

    fn samples() -> Vec<LeaseUpdate> {
        let plaintext = Candidate::host("[::1]:2").ok();
        let location = Arc::new(Location { tls: true, plaintext, ..Location::plain("[::1]:1") });
        let have = Bitmap::full(ChunkCount(16_384));
        let full_lease = LeaseRow { location, site: Some("büro".into()), have, ..partial_lease() };
        let listing = V1Listing {
            peer: PEER,
            file_hash: FILE,
            file_name: "é.bin".to_owned(),
            chunk_hashes: vec![ChunkHash([5; 32]); 3],
            expires_at: AT,
            created_at: UnixMillis(-1),
        };
        vec![
            LeaseUpdate::Lease(partial_lease()),
            LeaseUpdate::Lease(full_lease),
            LeaseUpdate::Left { peer: PEER, files: None, at: AT },
            LeaseUpdate::Left { peer: PEER, files: Some(vec![FILE; 2]), at: AT },
            LeaseUpdate::Staged(chunk()),
            LeaseUpdate::Sealed(listing),
        ]
    }

    fn encoded(updates: &[LeaseUpdate]) -> Vec<u8> {
        let mut body = Vec::new();
        updates.iter().for_each(|update| update.encode(&mut body));
        body
    }

    /// Decodes one record of this kind with these bytes after its peer and file.
    fn decode_record(kind: u8, rest: &[u8]) -> Result<Vec<LeaseUpdate>, Malformed> {
        LeaseUpdate::decode(&[&[VERSION, kind], &PEER.0[..], &FILE.0[..], rest].concat())
    }

    #[test]
    fn encoded_updates_are_decoded_unchanged() {
        let body = encoded(&samples());
        assert_eq!(LeaseUpdate::decode(&body), Ok(samples()));
        let mut twice = Vec::new();
        (0..2).for_each(|_| LeaseUpdate::join(&mut twice, &body));
        assert_eq!(LeaseUpdate::decode(&twice), Ok([samples(), samples()].concat()));
    }

    #[test]
    fn a_cut_body_is_refused_except_between_records() {
        let body = encoded(&samples());
        let mut ends = vec![1];
        for update in samples() {
            ends.push(ends[ends.len() - 1] + encoded(&[update]).len() - 1);
        }
        for cut in 0..body.len() {
            assert_eq!(LeaseUpdate::decode(&body[..cut]).is_ok(), ends.contains(&cut), "{cut}");
        }
    }

    #[test]
    fn a_changed_body_is_refused_or_decoded_without_a_panic() {
        let body = encoded(&samples());
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 0xff;
            let _refused_or_decoded = LeaseUpdate::decode(&changed);
        }
    }

    #[test]
    fn bodies_without_records_or_of_another_version() {
        assert_eq!(LeaseUpdate::decode(&[VERSION]), Ok(vec![]));
        for body in [&[][..], &[VERSION - 1], &[VERSION + 1], &[VERSION, 0], &[VERSION, SEALED + 1]] {
            assert_eq!(LeaseUpdate::decode(body), Err(Malformed), "{body:?}");
        }
    }

    #[test]
    fn the_stored_format_does_not_change() {
        let left = LeaseUpdate::Left { peer: PEER, files: Some(vec![FILE]), at: UnixMillis(258) };
        let expected = [&[2, LEFT], &[1; 16][..], &[0, 0, 0, 0, 0, 0, 1, 2], &[0, 0, 0, 1], &[2; 32]].concat();
        assert_eq!(encoded(&[left]), expected);

        let have = [0, 0, 0, 11, 0, partial_lease().have.as_bytes()[0], partial_lease().have.as_bytes()[1]];
        let lease = [
            &[2, LEASE],
            &[1; 16][..],
            &[2; 32],
            &[3; 32],
            &AT.0.to_be_bytes(),
            &[0, 18],
            b"peer.example:50051",
            // Plaintext, no second address, no site.
            &[0, 0, 0, 0, 0],
            &have,
        ];
        assert_eq!(encoded(&[LeaseUpdate::Lease(partial_lease())]), lease.concat());
    }

    #[test]
    fn impossible_fields_are_refused() {
        let mut body = encoded(&[LeaseUpdate::Staged(V1Chunk { index: 3, ..chunk() })]);
        assert_eq!(LeaseUpdate::decode(&body), Err(Malformed), "an index beyond the last chunk");
        body = encoded(&[LeaseUpdate::Staged(V1Chunk { total_chunks: CHUNKS_MAX + 1, ..chunk() })]);
        assert_eq!(LeaseUpdate::decode(&body), Err(Malformed), "more chunks than a file may have");

        let after_manifest = [&[3; 32][..], &AT.0.to_be_bytes()].concat();
        let plain = [&after_manifest[..], &[0, 0], &[0], &[0, 0], &[0, 0]].concat();
        assert!(decode_record(LEASE, &[&plain[..], &[0, 0, 0, 8], &[0, 0xff]].concat()).is_ok());
        assert_eq!(
            decode_record(LEASE, &[&plain[..], &[0, 0, 0, 8], &[2, 0xff]].concat()),
            Err(Malformed),
            "a flag of 2"
        );
        assert_eq!(
            decode_record(LEASE, &[&plain[..], &[0, 0, 0, 7], &[0, 0xff]].concat()),
            Err(Malformed),
            "a bit too many"
        );
        let odd = [&after_manifest[..], &[0, 0], &[9]].concat();
        assert_eq!(decode_record(LEASE, &odd), Err(Malformed), "a TLS flag of 9");
        let text = [&after_manifest[..], &[0, 1, 0xff]].concat();
        assert_eq!(decode_record(LEASE, &text), Err(Malformed), "an address that is not UTF-8");
    }

    #[test]
    fn a_count_without_its_items_allocates_nothing() {
        let left = [&[VERSION, LEFT], &PEER.0[..], &[0; 8], &(ALL_FILES - 1).to_be_bytes()].concat();
        assert_eq!(LeaseUpdate::decode(&left), Err(Malformed));
        let sealed = [&[0; 16][..], &[0, 0], &CHUNKS_MAX.to_be_bytes()].concat();
        assert_eq!(decode_record(SEALED, &sealed), Err(Malformed));
    }

    #[test]
    fn a_departure_outlives_announces_that_are_on_their_way() {
        let left = LeaseUpdate::Left { peer: PEER, files: None, at: AT };
        assert_eq!(left.expires_at(), AT.plus(LEFT_KEPT));
        assert_eq!(LeaseUpdate::Lease(partial_lease()).expires_at(), AT);
    }
}
