//! What changes in the swarm, as bytes: for the log that survives a restart, and for the other trackers of one database.
//!
//! A body is a version byte and then records one after the other, integers big-endian, texts and lists with their length before
//! them. Bodies come from our own disk and database; they are parsed all the same as if anyone had written them.

use std::time::Duration;

use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkCount, ChunkHash, FileHash, ManifestId, PeerId};
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::CHUNKS_MAX;

use crate::domain::swarm::Reach;
use crate::store::{LeaseRow, V1Chunk, V1Listing};

/// How long others must know that somebody left: no announce that is older is still under way then.
const LEFT_KEPT: Duration = Duration::from_secs(600);
/// Of the format. A body of another is skipped: what it says is said again by the next announces.
const VERSION: u8 = 2;
/// Stands for every file in place of a count.
const ALL_FILES: u32 = u32::MAX;
const LEASE: u8 = 1;
const LEFT: u8 = 2;
const STAGED: u8 = 3;
const SEALED: u8 = 4;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A version 2 announce.
    Lease(LeaseRow),
    /// A peer ended its leases and listings: of some files, or of all.
    Left {
        /// Who.
        peer: PeerId,
        /// Which; `None` for all.
        files: Option<Vec<FileHash>>,
        /// When: what it announced later stands.
        at: UnixMillis,
    },
    /// One chunk of a version 1 announce.
    Staged(V1Chunk),
    /// A version 1 file became whole, or its listing was renewed.
    Sealed(V1Listing),
}

/// A body that is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

impl News {
    /// Until when it means anything: what is kept of it may go then.
    pub fn expires_at(&self) -> UnixMillis {
        match self {
            Self::Lease(lease) => lease.expires_at,
            Self::Left { at, .. } => at.plus(LEFT_KEPT),
            Self::Staged(chunk) => chunk.expires_at,
            Self::Sealed(listing) => listing.expires_at,
        }
    }

    /// Appends it to a body; begins one where `body` is empty.
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

    /// Appends what `other` says to a body.
    pub fn join(body: &mut Vec<u8>, other: &[u8]) {
        body.extend_from_slice(if body.is_empty() { other } else { other.get(1..).unwrap_or_default() });
    }

    /// Every record of a body, in order.
    pub fn decode(body: &[u8]) -> Result<Vec<Self>, Broken> {
        let (version, rest) = body.split_first().ok_or(Broken)?;
        if *version != VERSION {
            return Err(Broken);
        }
        let (mut reader, mut news) = (Reader(rest), Vec::new());
        while !reader.0.is_empty() {
            news.push(reader.record()?);
        }
        Ok(news)
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

    /// Names and addresses are bounded far below 64 KiB where they come in.
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
        self.text(&lease.reach.address);
        self.raw(&[u8::from(lease.reach.tls)]);
        self.text(lease.reach.plaintext.as_deref().unwrap_or_default());
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
    fn record(&mut self) -> Result<News, Broken> {
        match self.array::<1>()?[0] {
            LEASE => self.lease().map(News::Lease),
            LEFT => self.left(),
            STAGED => self.staged().map(News::Staged),
            SEALED => self.sealed().map(News::Sealed),
            _ => Err(Broken),
        }
    }

    fn raw(&mut self, count: usize) -> Result<&[u8], Broken> {
        let (raw, rest) = self.0.split_at_checked(count).ok_or(Broken)?;
        self.0 = rest;
        Ok(raw)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        self.raw(N)?.try_into().map_err(|_| Broken)
    }

    fn number(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_be_bytes)
    }

    /// A count of chunks, within what a file may have.
    fn chunks(&mut self) -> Result<u32, Broken> {
        self.number().and_then(|count| if count <= CHUNKS_MAX { Ok(count) } else { Err(Broken) })
    }

    fn time(&mut self) -> Result<UnixMillis, Broken> {
        self.array().map(|bytes| UnixMillis(i64::from_be_bytes(bytes)))
    }

    fn text(&mut self) -> Result<String, Broken> {
        let length = u16::from_be_bytes(self.array()?);
        std::str::from_utf8(self.raw(usize::from(length))?).map(str::to_owned).map_err(|_| Broken)
    }

    fn peer_and_file(&mut self) -> Result<(PeerId, FileHash), Broken> {
        Ok((PeerId(self.array()?), FileHash(self.array()?)))
    }

    fn lease(&mut self) -> Result<LeaseRow, Broken> {
        let ((peer, file_hash), manifest_id) = (self.peer_and_file()?, ManifestId(self.array()?));
        let (expires_at, reach, site) = (self.time()?, self.reach()?, self.text()?);
        let (count, full) = (ChunkCount(self.chunks()?), self.array::<1>()?[0]);
        let have = match full {
            1 => Bitmap::full(count),
            0 => Bitmap::from_bytes(self.raw(count.0.div_ceil(8) as usize)?, count).ok_or(Broken)?,
            _ => return Err(Broken),
        };
        let site = (!site.is_empty()).then_some(site);
        Ok(LeaseRow { peer, file_hash, manifest_id, reach, site, have, expires_at })
    }

    fn reach(&mut self) -> Result<Reach, Broken> {
        let address = self.text()?.into();
        let tls = match self.array::<1>()?[0] {
            tls @ (0 | 1) => tls == 1,
            _ => return Err(Broken),
        };
        let plaintext = Some(self.text()?).filter(|address| !address.is_empty()).map(Into::into);
        Ok(Reach { address, tls, plaintext })
    }

    fn left(&mut self) -> Result<News, Broken> {
        let (peer, at, count) = (PeerId(self.array()?), self.time()?, self.number()?);
        let files = match count {
            ALL_FILES => None,
            // Asked for before anything is made that large.
            count if self.0.len() / 32 < count as usize => return Err(Broken),
            count => Some((0..count).map(|_| self.array().map(FileHash)).collect::<Result<_, _>>()?),
        };
        Ok(News::Left { peer, files, at })
    }

    fn staged(&mut self) -> Result<V1Chunk, Broken> {
        let ((peer, file_hash), total_chunks, index) = (self.peer_and_file()?, self.chunks()?, self.number()?);
        if index >= total_chunks {
            return Err(Broken);
        }
        let (chunk_hash, expires_at, file_name) = (ChunkHash(self.array()?), self.time()?, self.text()?);
        Ok(V1Chunk { peer, file_hash, total_chunks, index, chunk_hash, file_name, expires_at })
    }

    fn sealed(&mut self) -> Result<V1Listing, Broken> {
        let ((peer, file_hash), expires_at, created_at) = (self.peer_and_file()?, self.time()?, self.time()?);
        let (file_name, count) = (self.text()?, self.chunks()?);
        if self.0.len() / 32 < count as usize {
            return Err(Broken);
        }
        let chunk_hashes = (0..count).map(|_| self.array().map(ChunkHash)).collect::<Result<_, _>>()?;
        Ok(V1Listing { peer, file_hash, file_name, chunk_hashes, expires_at, created_at })
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::ids::ChunkIndex;

    use super::*;

    fn samples() -> Vec<News> {
        let (peer, file_hash, expires_at) = (PeerId([1; 16]), FileHash([2; 32]), UnixMillis(1_800_000_000_000));
        let mut some = Bitmap::empty(ChunkCount(11));
        some.insert(ChunkIndex(9));
        let lease = LeaseRow {
            peer,
            file_hash,
            manifest_id: ManifestId([3; 32]),
            reach: "peer.example:50051".into(),
            site: None,
            have: some,
            expires_at,
        };
        let reach = Reach { address: "[::1]:1".into(), tls: true, plaintext: Some("[::1]:2".into()) };
        let site = Some("büro".into());
        let whole = LeaseRow { reach, site, have: Bitmap::full(ChunkCount(16_384)), ..lease.clone() };
        let (chunk_hash, file_name) = (ChunkHash([4; 32]), "é.bin".to_owned());
        let chunk = V1Chunk {
            peer,
            file_hash,
            total_chunks: 3,
            index: 2,
            chunk_hash,
            file_name: file_name.clone(),
            expires_at,
        };
        let chunk_hashes = vec![ChunkHash([5; 32]); 3];
        let listing = V1Listing { peer, file_hash, file_name, chunk_hashes, expires_at, created_at: UnixMillis(-1) };
        vec![
            News::Lease(lease),
            News::Lease(whole),
            News::Left { peer, files: None, at: expires_at },
            News::Left { peer, files: Some(vec![file_hash; 2]), at: expires_at },
            News::Staged(chunk),
            News::Sealed(listing),
        ]
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut body = Vec::new();
        samples().iter().for_each(|news| news.encode(&mut body));
        assert_eq!(News::decode(&body), Ok(samples()));
        let mut twice = Vec::new();
        (0..2).for_each(|_| News::join(&mut twice, &body));
        assert_eq!(News::decode(&twice), Ok([samples(), samples()].concat()));
    }

    #[test]
    fn a_body_that_was_cut_or_changed_is_refused_or_read_without_harm() {
        let mut body = Vec::new();
        samples().iter().for_each(|news| news.encode(&mut body));
        let mut ends = vec![1];
        for news in samples() {
            let mut one = Vec::new();
            news.encode(&mut one);
            ends.push(ends[ends.len() - 1] + one.len() - 1);
        }
        for cut in 0..body.len() {
            assert_eq!(News::decode(&body[..cut]).is_ok(), ends.contains(&cut), "{cut}");
        }
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 0xff;
            let _refused_or_read = News::decode(&changed);
        }
    }
}
