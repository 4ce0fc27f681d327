//! Everything that can happen to a download's owner, beside time and cancellation.

use std::io;
use std::time::Duration;

use crossbeam_channel::Sender;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::cause::Cause;
use peernet_engine::download::{Has, SourceId};
use peernet_engine::ids::{ChunkIndex, FileHash};

use crate::discovery::{DirectoryError, Source};

/// Events that threads may be ahead of the owner; then they wait for it.
pub(crate) const EVENTS_MAX: usize = 256;

/// One connection to one source. A later connection to the same source has another number, so that the last words of
/// an old one are not taken for the new one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkId {
    pub(crate) source: SourceId,
    pub(crate) number: u64,
}

/// From a thread to the owner.
#[derive(Debug)]
pub(crate) enum Event {
    /// A source says what it holds.
    Has(LinkId, Has),
    /// What a source gave to others.
    Gave(LinkId, Option<Bitmap>),
    /// Bytes of a wanted chunk came.
    Progress(LinkId, u32),
    /// A chunk is right and written.
    Verified { link: LinkId, chunk: ChunkIndex, bytes: u32, took: Duration },
    /// A chunk will not come, or came wrong.
    Failed(LinkId, ChunkIndex, Cause),
    /// A chunk was turned away for now.
    Busy(LinkId, ChunkIndex),
    /// Our own limit keeps us from reading on.
    HeldBack(LinkId),
    /// A connection is over; why, in the scheduler's words and in a user's.
    Ended(LinkId, Cause, String),
    /// Our own disk failed while this was done.
    Disk(String, io::Error),
    /// The whole file is hashed.
    Whole(FileHash),
    /// Every byte went to the sink.
    Delivered,
    /// The sink takes no more.
    Sink(io::Error),
    /// A lookup came back with sources of this blueprint.
    Sources(Result<Vec<Source>, DirectoryError>),
}

/// The owner ended; nobody needs to know anything any more.
#[derive(Debug)]
pub(crate) struct OwnerGone;

/// Tells the owner, waiting for it where it is behind.
pub(crate) fn tell(events: &Sender<Event>, event: Event) -> Result<(), OwnerGone> {
    events.send(event).map_err(|_| OwnerGone)
}
