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
//! Programs that embed the library leave out the default feature `cli`, which brings the dependencies of the command line.
//! Tokens are checked with the crate `jsonwebtoken`, which has one crypto provider per process. A program that uses that
//! crate itself with other algorithms than Ed25519 installs its provider before it builds a node.

pub mod access;
mod announce;
pub mod cancel;
#[cfg(feature = "cli")]
pub mod cli;
mod clock;
pub mod connect;
#[cfg(feature = "cli")]
mod daemon;
pub mod discovery;
pub mod download;
pub mod files;
pub mod grpc;
pub mod home;
pub mod identity;
pub mod log;
pub mod malloc;
pub mod memory;
pub mod node;
pub mod publication;
pub mod serve;
pub mod shares;
pub mod throttle;

pub use access::AccessPolicy;
pub use cancel::Cancel;
pub use discovery::tracker::{AtTracker, Device, GroupInfo, Hit, Hits, LoggedOut, LoginName, Me, TrackerTls};
pub use download::{FetchProgress, Phase, SourceProgress};
pub use files::hashing::HashProgress;
pub use identity::{Fingerprint, Scope};
pub use log::{Level, Log};
pub use memory::MemoryMax;
pub use node::error;
pub use node::transfers::Transfers;
pub use node::{Builder, DownloadOptions, Downloaded, Node, NodeError, Shared};
pub use peernet_engine::bottleneck::Bottleneck;
pub use peernet_engine::candidate::Transport;
pub use peernet_engine::ids::DeviceId;
pub use peernet_engine::link::{Link, Target};
pub use peernet_engine::rate_limit::Rate;
pub use publication::{Publication, PublicationKey, Publisher};
pub use shares::{DirectoryInfo, ShareInfo, ShareState};
pub use throttle::SpeedLimits;
