//! PeerNet's peer as a library: share large files and download them from other peers, in blocking calls.
//!
//! Most programs need only [`Node`]: it has an account at a tracker, shares files and downloads others. It runs its own
//! threads, needs no async runtime, and stores everything in one folder. The `peernet` command line is built on it.
//!
//! ```no_run
//! use peernet::{Cancel, DownloadOptions, Node, Target};
//!
//! # fn main() -> Result<(), peernet::NodeError> {
//! let node = Node::builder().home("/var/lib/app/peernet").tracker("https://tracker.example:8080").build()?;
//! node.register("correct horse battery staple")?;
//!
//! // Share a file: listen, hash, announce.
//! node.serve()?;
//! let shared = node.share("/data/model.bin", &mut |_| {}, &Cancel::new())?;
//! println!("{}", shared.link);
//!
//! // Download a file, by its hash or its link.
//! let target = Target::parse(&shared.file_hash.to_string())?;
//! let options = DownloadOptions { output: Some("copy.bin".into()), ..DownloadOptions::default() };
//! let done = node.download(&target, &options, &mut |_| {}, &Cancel::new())?;
//! println!("{} bytes in {:?}", done.size, done.took);
//! node.stop();
//! # Ok(())
//! # }
//! ```
//!
//! All connections are encrypted, and both sides prove their account with certificates of the swarm's own authority.
//! [`Node::register`] and [`Node::login`] get the certificate. Unencrypted connections have to be allowed explicitly:
//! [`Builder::allow_plaintext`].
//!
//! Programs that embed the library leave out the default feature `cli`, which brings the dependencies of the command
//! line. Tokens are checked with the crate `jsonwebtoken`, which has one crypto provider per process. A program that
//! uses that crate itself with other algorithms than Ed25519 installs its provider before it builds a node.

// The command line is a module of this crate and uses more of the rooms than the facade does.
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]

mod access;
mod announce;
mod cancel;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod clock;
mod connect;
#[cfg(feature = "cli")]
mod daemon;
mod discovery;
mod download;
mod files;
mod grpc;
mod home;
mod identity;
mod log;
mod malloc;
mod memory;
mod node;
mod publication;
mod serve;
mod shares;
mod throttle;

pub use access::AccessPolicy;
pub use cancel::Cancel;
pub use discovery::tracker::{GroupInfo, Hit, Hits, LoginName, Me, TrackerTls};
pub use download::{FetchProgress, Phase, Sink, SourceProgress};
pub use files::hashing::HashProgress;
pub use identity::Fingerprint;
pub use log::{Level, Log};
pub use malloc::tune_for_transfers;
pub use memory::MemoryMax;
pub use node::{Builder, DownloadOptions, Downloaded, Node, NodeError, Shared};
pub use peernet_engine::bottleneck::Bottleneck;
pub use peernet_engine::candidate::Transport;
pub use peernet_engine::ids::{FileHash, PeerId};
pub use peernet_engine::link::{Link, Target};
pub use peernet_engine::rate_limit::Rate;
pub use publication::{Publication, PublicationKey, Publisher};
pub use shares::{DirectoryInfo, ShareInfo, ShareState};
pub use throttle::SpeedLimits;

/// The parts under [`Node`], for the tests, benchmarks and fuzz bodies of this workspace. They change without notice.
#[doc(hidden)]
pub mod internals {
    pub use peernet_engine::ids::DeviceId;

    pub use crate::access::{Membership, TrackerKeys};
    pub use crate::connect::{Candidates, Dial};
    pub use crate::discovery::tracker::{AtTracker, Device, LoggedOut};
    pub use crate::discovery::{
        DiscoveryError, FetchReport, GrantProvider, ManifestProvider, Plan, PlannedManifest, Protocol, ReportSink,
        Source, SourceDiscovery, V1Listing,
    };
    pub use crate::download::{FetchError, FetchJob, Fetched, fetch};
    pub use crate::files::hashing::{HashError, hash_file, hash_file_identified};
    pub use crate::files::{FileIdentity, PackFiles, SharedFile};
    pub use crate::grpc::fuzz;
    pub use crate::grpc::{Listen, PeerServer, ServeError};
    pub use crate::home::{Credentials, Home, parse_version1};
    pub use crate::identity::{Bundle, Identity, IdentityParts, Scope};
    pub use crate::malloc::{raise_open_files_limit, silence_grpc_log};
    pub use crate::serve::{FileCatalog, UploadLimits};
    pub use crate::throttle::Throttle;
}
