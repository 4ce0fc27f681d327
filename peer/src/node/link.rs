//! Share links of the files that a node knows.

use std::fs;
use std::path::Path;

use peernet_engine::collection::LISTING_SUFFIX;
use peernet_engine::ids::{ByteCount, FileHash};
use peernet_engine::link::{Kind, Link};
use peernet_engine::manifest::Manifest;

use super::Node;
use crate::cancel::Cancel;
use crate::files::hashing::{HashProgress, hash_tree, walk};
use crate::node::NodeError;
use crate::shares::{ShareInfo, directory_name};

impl Node {
    /// Returns the link of a file that the tracker knows.
    pub fn link_of(&self, file_hash: FileHash) -> Result<String, NodeError> {
        let plan = self.tracker.plan(file_hash)?;
        let manifest = plan.manifests.first();
        let (kind, name) = kind_and_name(&plan.file_name);
        let size = manifest.map(|manifest| manifest.size);
        let manifest = manifest.map(|manifest| manifest.id);
        Ok(Link { manifest, name, size, kind, ..self.bare_link(file_hash) }.to_string())
    }

    /// Returns the link of a file that was hashed. It need not be shared.
    #[doc(hidden)]
    pub fn link_for(&self, manifest: &Manifest, path: &Path) -> String {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.link_to(manifest, &name, Kind::File)
    }

    /// Hashes a directory and returns its link. It need not be shared.
    #[doc(hidden)]
    pub fn link_for_directory(
        &self,
        path: &Path,
        progress: &mut dyn FnMut(HashProgress),
        cancel: &Cancel,
    ) -> Result<String, NodeError> {
        let real = fs::canonicalize(path).map_err(NodeError::local("opening", path))?;
        let manifest = hash_tree(&real, &walk(&real, cancel)?, progress, cancel)?.listing_manifest;
        let name = directory_name(&real, &manifest.file_hash().to_string());
        Ok(self.link_to(&manifest, &name, Kind::Collection))
    }

    /// Returns the link of a share.
    pub fn link(&self, share: &ShareInfo) -> String {
        let (kind, name, size) = match &share.directory {
            None => (Kind::File, &share.file_name, share.size),
            Some(directory) => (Kind::Collection, &directory.name, directory.listing_size),
        };
        let link = Link {
            manifest: Some(share.manifest_id),
            name: Some(name.clone()),
            size: Some(ByteCount(size)),
            kind,
            ..self.bare_link(share.file_hash)
        };
        link.to_string()
    }

    /// Returns the link of a search result.
    #[cfg(feature = "cli")]
    pub(crate) fn link_to_hit(&self, hit: &crate::discovery::tracker::Hit) -> String {
        let (kind, name) = kind_and_name(&hit.file_name);
        let size = hit.size.map(ByteCount);
        Link { manifest: hit.manifest_id, name, size, kind, ..self.bare_link(hit.file_hash) }.to_string()
    }

    fn link_to(&self, manifest: &Manifest, name: &str, kind: Kind) -> String {
        let link = Link {
            manifest: Some(manifest.id()),
            name: Some(name.to_owned()),
            size: Some(manifest.geometry().size()),
            kind,
            ..self.bare_link(manifest.file_hash())
        };
        link.to_string()
    }

    /// Begins a link with the trackers and the authority to trust there.
    fn bare_link(&self, file_hash: FileHash) -> Link {
        let authority = self.authority().map(|fingerprint| *fingerprint.as_bytes());
        Link { trackers: self.tracker.urls(), authority, ..Link::new(file_hash) }
    }
}

/// Returns the kind and name of a file of the swarm. A listing stands for its directory.
fn kind_and_name(file_name: &str) -> (Kind, Option<String>) {
    match file_name.strip_suffix(LISTING_SUFFIX) {
        Some(directory) => (Kind::Collection, Some(directory.to_owned()).filter(|name| !name.is_empty())),
        None => (Kind::File, Some(file_name.to_owned()).filter(|name| !name.is_empty())),
    }
}
