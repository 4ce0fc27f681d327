//! A swarm in one process: real servers on free ports, and a discovery provider that is a list.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peernet::Cancel;
use peernet::FetchProgress;
use peernet::Transport;
use peernet::internals::FileIdentity;
use peernet::internals::SharedFile;
use peernet::internals::hash_file_identified;
use peernet::internals::{Candidates, Dial};
use peernet::internals::{
    DiscoveryError, FetchReport, GrantProvider, ManifestProvider, Plan, PlannedManifest, Protocol, ReportSink, Source,
    SourceDiscovery, V1Listing,
};
use peernet::internals::{FetchError, FetchJob, Fetched, fetch};
use peernet::internals::{FileCatalog, UploadLimits};
use peernet::internals::{Listen, PeerServer};
use peernet_engine::download::Has;
use peernet_engine::ids::{ChunkIndex, FileHash, ManifestId, PeerId};
use peernet_engine::manifest::Manifest;

pub(crate) const MIB: usize = 1 << 20;

/// Returns bytes that do not repeat and are the same in every run.
pub(crate) fn content(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
    }
    out.truncate(len);
    out
}

/// A catalog that is a list.
#[derive(Default)]
pub(crate) struct Library {
    files: Mutex<Vec<Arc<SharedFile>>>,
    pub(crate) spoiled: AtomicUsize,
    pub(crate) altered: AtomicUsize,
}

impl Library {
    pub(crate) fn add(&self, held: Arc<SharedFile>) {
        self.files.lock().unwrap().push(held);
    }
}

impl FileCatalog for Library {
    fn find(&self, file_hash: FileHash, id: Option<ManifestId>) -> Option<Arc<SharedFile>> {
        let files = self.files.lock().unwrap();
        let fits = |held: &&Arc<SharedFile>| {
            held.manifest().file_hash() == file_hash && id.is_none_or(|id| held.manifest().id() == id)
        };
        files.iter().find(fits).cloned()
    }

    fn withdraw_unreadable(&self, held: &SharedFile) {
        self.spoiled.fetch_add(1, Ordering::Relaxed);
        held.withdraw();
    }

    fn withdraw_altered(&self, held: &SharedFile, _: ChunkIndex) {
        self.altered.fetch_add(1, Ordering::Relaxed);
        held.withdraw();
    }
}

/// A serving peer.
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    pub(crate) library: Arc<Library>,
    pub(crate) server: PeerServer,
}

impl Peer {
    pub(crate) fn start() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let library = Arc::new(Library::default());
        let catalog: Arc<dyn FileCatalog> = Arc::<Library>::clone(&library);
        let server = PeerServer::start(Listen::plaintext("127.0.0.1:0"), catalog, UploadLimits::default()).unwrap();
        Self { id: PeerId::from_random(id), library, server }
    }

    /// Starts a peer that offers the file at `path` under `manifest`, true or not.
    pub(crate) fn sharing(path: &Path, manifest: &Arc<Manifest>) -> Self {
        let peer = Self::start();
        peer.share(path, manifest);
        peer
    }

    pub(crate) fn share(&self, path: &Path, manifest: &Arc<Manifest>) {
        let identity = FileIdentity::of_path(path).unwrap();
        self.library.add(SharedFile::complete(Arc::clone(manifest), path.to_owned(), identity, "name".to_owned()));
    }

    pub(crate) fn source(&self) -> Source {
        source(self.id, &self.server.local_addr().to_string())
    }

    pub(crate) fn v1_source(&self) -> Source {
        Source { protocol: Protocol::Version1, ..self.source() }
    }
}

pub(crate) fn source(peer: PeerId, address: &str) -> Source {
    Source {
        peer,
        candidates: Candidates::hosts([address]),
        transport: Transport::Plaintext,
        protocol: Protocol::FetchStream,
        has: Has::Complete,
    }
}

/// A discovery provider that is a list, and remembers the reports.
#[derive(Default)]
pub(crate) struct Catalogue {
    pub(crate) plan: Mutex<Plan>,
    pub(crate) manifests: Mutex<BTreeMap<ManifestId, Manifest>>,
    pub(crate) v1: Mutex<Option<V1Listing>>,
    pub(crate) reports: Mutex<Vec<FetchReport>>,
    pub(crate) plans_asked: AtomicUsize,
}

impl Catalogue {
    /// Lists one manifest with these sources.
    pub(crate) fn of(manifest: &Manifest, sources: Vec<Source>) -> Self {
        let catalogue = Self::default();
        catalogue.list(manifest, sources);
        catalogue
    }

    pub(crate) fn list(&self, manifest: &Manifest, sources: Vec<Source>) {
        let geometry = manifest.geometry();
        self.plan.lock().unwrap().manifests.push(PlannedManifest {
            id: manifest.id(),
            size: geometry.size(),
            chunk_size: geometry.chunk_size(),
            sources,
        });
        self.manifests.lock().unwrap().insert(manifest.id(), manifest.clone());
    }

    /// Has only version 1's listing.
    pub(crate) fn of_v1(manifest: &Manifest, sources: Vec<Source>) -> Self {
        let catalogue = Self::default();
        catalogue.plan.lock().unwrap().v1_listed = true;
        let chunk_hashes = manifest.chunk_hashes().to_vec();
        *catalogue.v1.lock().unwrap() = Some(V1Listing { chunk_hashes, sources });
        catalogue
    }

    pub(crate) fn reported(&self) -> Vec<FetchReport> {
        self.reports.lock().unwrap().clone()
    }
}

impl SourceDiscovery for Catalogue {
    fn plan(&self, _: FileHash) -> Result<Plan, DiscoveryError> {
        self.plans_asked.fetch_add(1, Ordering::Relaxed);
        Ok(self.plan.lock().unwrap().clone())
    }

    fn v1_listing(&self, _: FileHash) -> Result<Option<V1Listing>, DiscoveryError> {
        Ok(self.v1.lock().unwrap().clone())
    }
}

impl ManifestProvider for Catalogue {
    fn manifest(&self, id: ManifestId) -> Result<Manifest, DiscoveryError> {
        self.manifests.lock().unwrap().get(&id).cloned().ok_or(DiscoveryError::NotFound)
    }
}

impl GrantProvider for Catalogue {}

impl ReportSink for Catalogue {
    fn report(&self, reports: Vec<FetchReport>) {
        self.reports.lock().unwrap().extend(reports);
    }
}

/// A folder with one file to share, and a place to download it to.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    pub(crate) bytes: Vec<u8>,
    pub(crate) original: PathBuf,
    pub(crate) manifest: Arc<Manifest>,
}

impl Stage {
    pub(crate) fn with(len: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bytes = content(len, len as u64 + 7);
        let original = folder.path().join("original");
        std::fs::write(&original, &bytes).unwrap();
        let (manifest, _) = hash_file_identified(&original, 2, &mut |_| {}, &Cancel::new()).unwrap();
        Self { folder, bytes, original, manifest: Arc::new(manifest) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer::sharing(&self.original, &self.manifest)
    }

    /// Starts a peer that offers another file of the same length under the same manifest.
    pub(crate) fn liar(&self) -> Peer {
        let path = self.path("lie");
        std::fs::write(&path, content(self.bytes.len(), 99)).unwrap();
        Peer::sharing(&path, &self.manifest)
    }

    pub(crate) fn final_path(&self) -> PathBuf {
        self.path("copy")
    }

    pub(crate) fn part_path(&self) -> PathBuf {
        self.path("copy.peernet-part")
    }

    pub(crate) fn journal_path(&self) -> PathBuf {
        self.path("copy.peernet-part.journal")
    }

    pub(crate) fn job(&self) -> FetchJob {
        let mut job = FetchJob::new(self.manifest.file_hash(), self.part_path(), self.final_path(), 11);
        job.limits.progress_interval = Duration::ZERO;
        job.dial = Dial::plaintext();
        job
    }

    pub(crate) fn fetch(&self, directory: &Catalogue) -> Result<Fetched, FetchError> {
        fetch(self.job(), directory, &mut |_| {}, &Cancel::new())
    }

    /// Begins a download and cancels it when `enough` returns true.
    pub(crate) fn fetch_some(&self, directory: &Catalogue, enough: impl Fn(&FetchProgress) -> bool) {
        let cancel = Cancel::new();
        let mut watch = |progress: &FetchProgress| {
            if enough(progress) {
                cancel.cancel();
            }
        };
        let result = fetch(self.job(), directory, &mut watch, &cancel);
        assert!(matches!(result, Err(FetchError::Cancelled)), "{result:?}");
    }

    /// Asserts that the whole file is there, and no other file.
    pub(crate) fn assert_complete(&self, fetched: &Fetched) {
        assert!(std::fs::read(&fetched.path).unwrap() == self.bytes, "the copy differs");
        assert_eq!(*fetched.manifest, *self.manifest);
        assert_eq!(fetched.path, self.final_path());
        assert!(!self.part_path().exists() && !self.journal_path().exists());
        assert_eq!(fetched.bytes_fetched + fetched.bytes_resumed, self.bytes.len() as u64);
    }
}
