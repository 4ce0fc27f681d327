//! The events that the threads of a pass send to its event loop.

use std::io;
use std::time::Duration;

use crossbeam_channel::Sender;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::cause::Cause;
use peernet_engine::download::{Has, SourceId};
use peernet_engine::ids::{ChunkIndex, FileHash};

use crate::discovery::{DiscoveryError, Source};

/// The bound of the event queue. Threads that are further ahead of the event loop wait for it.
pub(crate) const EVENTS_MAX: usize = 256;

/// One connection to one source. A later connection to the same source has another number, so that late events of an
/// earlier one are not taken for its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionId {
    pub(crate) source: SourceId,
    pub(crate) number: u64,
}

/// An event for the event loop.
#[derive(Debug)]
pub(crate) enum Event {
    /// A source announced the chunks that it holds.
    Has(ConnectionId, Has),
    /// A source announced the chunks that it gives to other callers.
    Gave(ConnectionId, Option<Bitmap>),
    /// Bytes of a requested chunk came.
    Progress(ConnectionId, u32),
    /// A chunk is right and written.
    Verified { id: ConnectionId, chunk: ChunkIndex, bytes: u32, took: Duration },
    /// A chunk will not come, or came wrong.
    Failed(ConnectionId, ChunkIndex, Cause),
    /// A chunk was turned away for now: by the source, or for want of memory here.
    Busy(ConnectionId, ChunkIndex),
    /// The connection does not read on, because of this node's own rate limit.
    HeldBack(ConnectionId),
    /// A connection has ended: the cause for the scheduler, and a text for the user.
    Ended(ConnectionId, Cause, String),
    /// The local disk failed. The text names the action.
    Disk(String, io::Error),
    /// The whole file is hashed.
    Whole(FileHash),
    /// The sink has got every byte.
    Delivered,
    /// The sink takes no more.
    Sink(io::Error),
    /// A lookup has ended, with the sources of this manifest.
    Sources(Result<Vec<Source>, DiscoveryError>),
}

/// The event loop has ended, and with it the pass.
#[derive(Debug)]
pub(crate) struct EventLoopGone;

/// Sends an event, and waits while the queue is full.
pub(crate) fn send(events: &Sender<Event>, event: Event) -> Result<(), EventLoopGone> {
    events.send(event).map_err(|_| EventLoopGone)
}
