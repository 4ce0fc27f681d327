//! A tracker and nodes in this process.

use std::path::PathBuf;

use peernet::Node;
use peernet_testkit::fixture;
use peernet_tracker::Tracker;

/// A tracker and a folder, gone with the test.
pub(crate) struct World {
    pub(crate) tracker: Tracker,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("tracker");
        let tracker = Tracker::builder().listen("127.0.0.1:0").data_dir(data).bcrypt_cost(4).start().unwrap();
        Self { tracker, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with known content; returns its path and hash.
    pub(crate) fn file(&self, name: &str, size: u64) -> (PathBuf, String) {
        let path = self.path(name);
        let hash = fixture::write_file(&path, size, size + 1).unwrap();
        (path, hash)
    }

    /// With an account.
    pub(crate) fn node(&self, name: &str) -> Node {
        let node = Node::builder().home(self.path(name)).tracker(self.tracker.url()).listen("127.0.0.1:0");
        let node = node.build().unwrap();
        node.register("a password").unwrap();
        node
    }

    /// Stops the tracker; the folder stays.
    pub(crate) fn without_tracker(self) -> tempfile::TempDir {
        self.tracker.stop();
        self.folder
    }
}
