//! PeerNet's peer as a library: share large files and download them from other peers, in blocking calls.
//!
//! [`Node`] is the whole of it for most programs: an account at a tracker, files on offer, downloads. It brings its own
//! threads, needs no async runtime, and keeps what must last in one folder. The `peernet` command line is built on it.
//!
//! ```no_run
//! use peernet::{Cancel, DownloadOptions, Node, Target};
//!
//! # fn main() -> Result<(), peernet::NodeError> {
//! let node = Node::builder().home("/var/lib/app/peernet").tracker("https://tracker.example:8080").build()?;
//! node.register("correct horse battery staple")?;
//!
//! // Offer a file: listen, hash, announce.
//! node.serve()?;
//! let shared = node.share("/data/model.bin", &mut |_| {}, &Cancel::new())?;
//! println!("{}", shared.link);
//!
//! // Fetch one, by its hash or by such a link.
//! let target = Target::parse(&shared.file_hash.to_string())?;
//! let options = DownloadOptions { output: Some("copy.bin".into()), ..DownloadOptions::default() };
//! let done = node.download(&target, &options, &mut |_| {}, &Cancel::new())?;
//! println!("{} bytes in {:?}", done.size, done.took);
//! node.stop();
//! # Ok(())
//! # }
//! ```
//!
//! What crosses a network is encrypted and both sides prove who they are, by certificates of the swarm's own authority, which
//! [`Node::register`] and [`Node::login`] bring. Whoever wants plaintext says so: [`Builder::allow_plaintext`].
//!
//! Without the default feature `cli` the command line's own dependencies are left out.

mod announce;
pub mod cancel;
#[cfg(feature = "cli")]
pub mod cli;
mod clock;
pub mod connect;
#[cfg(feature = "cli")]
mod control;
pub mod discovery;
pub mod download;
pub mod error;
pub mod grants;
pub mod grpc;
pub mod hashing;
pub mod home;
pub mod identity;
pub mod log;
pub mod malloc;
pub mod memory;
pub mod node;
mod part;
pub mod publication;
mod reports;
mod serve;
pub mod shares;
pub mod throttle;
pub mod transfers;
pub mod upload;

pub use cancel::Cancel;
pub use discovery::tracker::{
    AtTracker, Audience, Device, GroupInfo, Hit, Hits, LoggedOut, LoginName, Me, Scope, TrackerTls,
};
pub use download::{FetchProgress, Phase, SourceProgress};
pub use error::NodeError;
pub use hashing::HashProgress;
pub use identity::Fingerprint;
pub use log::{Level, Log};
pub use memory::MemoryMax;
pub use node::{Builder, DownloadOptions, Downloaded, Node, Shared};
pub use peernet_engine::bottleneck::Bottleneck;
pub use peernet_engine::ids::DeviceId;
pub use peernet_engine::link::{Link, Target};
pub use peernet_engine::rate_limit::Rate;
pub use publication::{Publication, PublicationKey, Publisher};
pub use shares::{DirectoryInfo, ShareInfo, ShareState};
pub use throttle::SpeedLimits;
pub use transfers::{Transfers, Transport};
