//! One download: from a file hash to a file with exactly that hash under its final name.
//!
//! The scheduler (`peernet_engine::download`) decides which chunk comes from which source; the code here moves bytes.
//! In the order of a download:
//!
//! - `run`: looks up the file and tries one manifest after the other. `manifest` chooses and obtains them.
//! - `session`: one manifest, from what is on the disk to a verified file. `session/pass` spawns and joins the threads.
//! - `event_loop`: owns the scheduler on the calling thread and takes one event at a time.
//! - `source`: one thread for each connection, which converses with a source.
//! - `pipeline`: the stages of a chunk's bytes: receive and verify, write, hash in order, deliver in order, sync.
//!
//! All threads end before [`fetch`] returns.

mod error;
mod event;
mod event_loop;
mod expected;
mod job;
mod manifest;
mod pipeline;
mod progress;
mod run;
mod session;
mod source;
mod source_table;
mod stage_times;

use crate::cancel::Cancel;
use crate::discovery::Discovery;

pub use error::FetchError;
pub(crate) use job::FetchLimits;
pub use job::{FetchJob, Fetched};
pub use pipeline::deliver::Sink;
#[cfg(feature = "cli")]
pub(crate) use pipeline::hash::PIECE_BYTES;
pub use progress::{FetchProgress, Phase, SourceProgress};
pub(crate) use session::finish::without_bytes;
pub(crate) use session::local_copy::Nearby;

/// Downloads a file. Blocks until the file is there, or cannot be had, or `cancel` says stop (then within a second). In
/// every case but the first the part and its journal stay, and the same job goes on from them.
pub fn fetch(
    job: FetchJob,
    discovery: &dyn Discovery,
    progress: &mut dyn FnMut(&FetchProgress),
    cancel: &Cancel,
) -> Result<Fetched, FetchError> {
    run::run(job, discovery, progress, cancel)
}
