//! Sharing and no longer sharing.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use peernet_engine::ids::{ByteCount, FileHash, ManifestId};
use peernet_engine::link::{Kind, Link};
use peernet_engine::manifest::Manifest;
use peernet_engine::names::sanitise;

use super::{Node, Shared};
use crate::cancel::Cancel;
use crate::error::NodeError;
use crate::hashing::{HashProgress, hash_file_identified};
use crate::shares::{ShareInfo, ShareState};
use crate::upload::FileIdentity;

impl Node {
    /// Hashes a file and shares it where it lies. When the node serves, returns after the tracker has taken the announce;
    /// where that fails, the file stays shared and is announced as soon as the tracker answers. A file that is shared
    /// already and has not changed is not hashed again. `progress` is called on this thread.
    pub fn share(
        &self,
        path: impl AsRef<Path>,
        progress: &mut dyn FnMut(HashProgress),
        cancel: &Cancel,
    ) -> Result<Shared, NodeError> {
        let path = path.as_ref();
        let real = fs::canonicalize(path).map_err(NodeError::local("opening", path))?;
        let shared = match self.already_shared(&real) {
            Some(info) => self.shared(&info),
            None => self.hash_and_add(&real, progress, cancel)?,
        };
        self.running.settle().map_err(|error| match error {
            NodeError::Unreachable(why) => {
                NodeError::Unreachable(format!("{why}; it stays shared and is announced when the tracker answers"))
            }
            error => error,
        })?;
        Ok(shared)
    }

    /// Ends the share of a file, named by its hash.
    pub fn unshare(&self, file_hash: FileHash) -> Result<(), NodeError> {
        self.shares.remove(file_hash)?;
        self.running.settle()
    }

    /// The hashes of what is shared from this path.
    pub fn shared_from(&self, path: &Path) -> Vec<FileHash> {
        self.shares.shared_from(path)
    }

    /// The link of a file that the tracker knows.
    pub fn link_of(&self, file_hash: FileHash) -> Result<String, NodeError> {
        let plan = self.tracker.plan(file_hash)?;
        let manifest = plan.manifests.first();
        let link = Link {
            manifest: manifest.map(|manifest| manifest.id),
            name: Some(plan.file_name).filter(|name| !name.is_empty()),
            size: manifest.map(|manifest| manifest.size),
            trackers: vec![self.tracker.url().to_owned()],
            ..Link::new(file_hash)
        };
        Ok(link.to_string())
    }

    /// The link of a file that was hashed, shared or not.
    pub fn link_for(&self, manifest: &Manifest, path: &Path) -> String {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        link(manifest.file_hash(), manifest.id(), &name, manifest.geometry().size().0, self.tracker.url())
    }

    fn already_shared(&self, real: &Path) -> Option<ShareInfo> {
        // Shares whose file is not what it was are found out first.
        self.shares.recheck();
        self.shares().into_iter().find(|share| share.path == real && share.state == ShareState::Ready)
    }

    fn hash_and_add(
        &self,
        real: &Path,
        progress: &mut dyn FnMut(HashProgress),
        cancel: &Cancel,
    ) -> Result<Shared, NodeError> {
        let workers = available_parallelism().map_or(1, |n| n.get());
        let (manifest, identity) = hash_file_identified(real, workers, progress, cancel)?;
        self.add_share(Arc::new(manifest), real, identity, None)
    }

    pub(super) fn add_share(
        &self,
        manifest: Arc<Manifest>,
        path: &Path,
        identity: FileIdentity,
        held: Option<Arc<crate::upload::Held>>,
    ) -> Result<Shared, NodeError> {
        let file_hash = manifest.file_hash();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let file_name = sanitise(&name, &file_hash.to_string());
        let (size, chunks) = (manifest.geometry().size().0, manifest.geometry().chunk_count().0);
        let manifest_id = self.shares.add(manifest, path, identity, &file_name, held)?;
        let link = link(file_hash, manifest_id, &file_name, size, self.tracker.url());
        Ok(Shared { path: path.to_owned(), file_hash, manifest_id, file_name, size, chunks, link })
    }

    fn shared(&self, info: &ShareInfo) -> Shared {
        Shared {
            path: info.path.clone(),
            file_hash: info.file_hash,
            manifest_id: info.manifest_id,
            file_name: info.file_name.clone(),
            size: info.size,
            chunks: info.chunks,
            link: self.link(info),
        }
    }
}

/// The link of a search result.
#[cfg(feature = "cli")]
pub(crate) fn link_to_hit(hit: &crate::tracker::Hit, tracker: &str) -> String {
    let link = Link {
        manifest: hit.manifest_id,
        name: Some(hit.file_name.clone()).filter(|name| !name.is_empty()),
        size: hit.size.map(ByteCount),
        trackers: vec![tracker.to_owned()],
        ..Link::new(hit.file_hash)
    };
    link.to_string()
}

pub(super) fn link(file_hash: FileHash, manifest: ManifestId, name: &str, size: u64, tracker: &str) -> String {
    let link = Link {
        file_hash,
        manifest: Some(manifest),
        name: Some(name.to_owned()),
        size: Some(ByteCount(size)),
        trackers: vec![tracker.to_owned()],
        kind: Kind::File,
    };
    link.to_string()
}
