//! A tracker with peers of both versions around it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use peernet::{Cancel, DownloadOptions, Downloaded, Node, NodeError, Shared};
use peernet_engine::ids::PeerId;
use peernet_engine::link::Target;
use peernet_engine::time::UnixMillis;
use peernet_testkit::relay::{Faults, Relay};
use peernet_testkit::v1::V1Tracker;
use peernet_testkit::v1::peer::V1Sharer;
use peernet_tracker::Tracker;
use peernet_tracker::boot::config::Config;
use tempfile::TempDir;

/// The longest wait for an event, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The password of every account.
const PASSWORD: &str = "a good password";

/// One tracker, and a folder for all peers.
pub(super) struct World {
    pub(super) tracker: Tracker,
    folder: TempDir,
    old_clients: AtomicU32,
}

impl World {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // All clients of a test share one address.
        let config = Config { connections_per_address_max: 2_048, ..Config::default() };
        let builder = Tracker::builder().config(config).listen("127.0.0.1:0").bcrypt_cost(4);
        let tracker = builder.data_dir(folder.path().join("tracker")).start().unwrap();
        Self { tracker, folder, old_clients: AtomicU32::new(0) }
    }

    pub(super) fn url(&self) -> String {
        self.tracker.url()
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Makes a peer of this version with an account.
    pub(super) fn node(&self, name: &str) -> Node {
        self.node_at(&self.url(), name, None)
    }

    pub(super) fn node_at(&self, url: &str, name: &str, address: Option<SocketAddr>) -> Node {
        let mut builder = Node::builder().home(self.folder(&format!("{name}-home"))).tracker(url).listen("127.0.0.1:0");
        // Old peers know nothing else.
        builder = builder.allow_plaintext(true);
        if let Some(address) = address {
            builder = builder.address(address.to_string());
        }
        let node = builder.build().unwrap();
        node.register(PASSWORD).unwrap();
        node
    }

    /// Makes a peer of this version that shares `bytes` under `name`.
    pub(super) fn sharing(&self, name: &str, bytes: &[u8]) -> (Node, Shared) {
        let node = self.node(&format!("{name}-sharer"));
        node.serve().unwrap();
        let shared = self.share(&node, name, bytes);
        (node, shared)
    }

    /// Makes such a peer, reached through a relay with faults.
    pub(super) fn sharing_through(&self, faults: Faults, name: &str, bytes: &[u8]) -> (Node, Relay) {
        let relay = Relay::start_unaimed(faults).unwrap();
        let node = self.node_at(&self.url(), &format!("{name}-behind"), Some(relay.address()));
        relay.aim(node.serve().unwrap());
        self.share(&node, name, bytes);
        (node, relay)
    }

    fn share(&self, node: &Node, name: &str, bytes: &[u8]) -> Shared {
        let path = self.folder("offered").join(name);
        fs::write(&path, bytes).unwrap();
        node.share(&path, &mut |_| {}, &Cancel::new()).unwrap()
    }

    /// Starts an honest version 1 source.
    pub(super) fn old_sharer(&self, name: &str, bytes: &[u8]) -> V1Sharer {
        V1Sharer::share(&self.url(), name, bytes.to_vec(), |_, data| data)
    }

    /// Starts a version 1 source whose chunks all have one wrong bit.
    pub(super) fn old_liar(&self, name: &str, bytes: &[u8]) -> V1Sharer {
        V1Sharer::share(&self.url(), name, bytes.to_vec(), |_, mut data| {
            data[0] ^= 1;
            data
        })
    }

    /// Starts a version 1 source that is reached through a relay with faults.
    pub(super) fn old_sharer_through(&self, faults: Faults, name: &str, bytes: &[u8]) -> (V1Sharer, Relay) {
        let relay = Relay::start_unaimed(faults).unwrap();
        let reached_at = |listens| {
            relay.aim(listens);
            relay.address()
        };
        (V1Sharer::share_through(&self.url(), name, bytes.to_vec(), |_, data| data, reached_at), relay)
    }

    /// Makes a version 1 downloader. It registers an address, as all version 1 clients do, at which no server listens.
    pub(super) fn old_client(&self) -> V1Tracker {
        self.old_client_at(&self.url())
    }

    pub(super) fn old_client_at(&self, url: &str) -> V1Tracker {
        let mut client = V1Tracker::new(url);
        let number = self.old_clients.fetch_add(1, Ordering::Relaxed);
        client.register(&format!("old-client-{number}.invalid:50051"), PASSWORD).unwrap();
        client
    }

    /// Until when `asker` wants `target` last, as the tracker has it: later than now once a complaint has counted.
    pub(super) fn is_demoted(&self, asker: PeerId, target: PeerId) -> bool {
        let app = self.tracker.app();
        let now = (app.clock)();
        app.reputation.demotions(now, asker, std::iter::once(target)).iter().any(|until: &UnixMillis| *until > now)
    }
}

/// Downloads into `folder`, under the name that the source gave.
pub(super) fn download(node: &Node, file_hash: &str, folder: &Path) -> Result<Downloaded, NodeError> {
    let options = DownloadOptions { output: Some(folder.to_owned()), ..DownloadOptions::default() };
    node.download(&Target::parse(file_hash).unwrap(), &options, &mut |_| {}, &Cancel::new())
}

/// Returns the account of a node.
pub(super) fn peer_of(node: &Node) -> PeerId {
    node.account().unwrap().unwrap()
}

/// Returns the balance of an account, in milli-tokens.
pub(super) fn old_balance(tracker: &V1Tracker) -> i64 {
    tracker.get("/api/v1/peers/me").1["token_balance_mt"].as_i64().unwrap()
}

/// Repeats a question until its answer is true. Each question is a call, so this does not spin.
pub(super) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not come within {PATIENCE:?}");
        std::thread::yield_now();
    }
}
