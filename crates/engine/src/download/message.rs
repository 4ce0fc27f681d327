//! What goes into the scheduler of a download and what comes out.

use std::fmt;
use std::time::Duration;

use crate::bitmap::Bitmap;
use crate::cause::Cause;
use crate::ids::{ByteCount, ChunkIndex};

/// One source of one download. The driver gives the numbers, the same number to the same peer for the whole
/// download, also when a later lookup names it again: bans and back-off hang on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u64);

/// What a source says it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Has {
    /// Every chunk.
    Complete,
    /// These chunks; ignored when it is the bitmap of another number of chunks.
    Chunks(Bitmap),
}

/// What happened. Anything in any order is safe: what names an unknown source or a chunk past the end is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A lookup, a link or another peer named a source. Known ones only get the new rank.
    SourceAdded {
        /// The driver's number for it.
        source: SourceId,
        /// Its place in the tracker's order, from 0, best first.
        rank: u32,
        /// It speaks only `DownloadChunk`: no news of its own, no blocks, fewer chunks at a time.
        v1: bool,
    },
    /// What a source holds now: the whole truth, replacing what was known.
    SourceHas {
        /// Who.
        source: SourceId,
        /// What.
        has: Has,
    },
    /// What a source has given, or is giving, to others; `None` while it serves nobody else. What a complete source gives
    /// to others is left to them to pass on, for a while (see [`crate::serving::super_seed`]).
    SourceGave {
        /// Who.
        source: SourceId,
        /// To others than us; ignored when it is the bitmap of another number of chunks.
        others: Option<Bitmap>,
    },
    /// A chunk's bytes had the right hash and were written (synced or not). Counts whoever sent it.
    ChunkVerified {
        /// From whom.
        source: SourceId,
        /// Which.
        chunk: ChunkIndex,
        /// Its length.
        bytes: ByteCount,
        /// From its request, or from its first block, to its last byte.
        took: Duration,
    },
    /// A requested chunk will not come, or came wrong.
    ChunkFailed {
        /// From whom.
        source: SourceId,
        /// Which.
        chunk: ChunkIndex,
        /// `Refused`: it does not have it or cannot read it. `LocalDisk` ends the download and costs nobody anything.
        cause: Cause,
    },
    /// The source's queue is full: the chunk goes elsewhere, the source rests a little. No fault of anyone.
    SourceBusy {
        /// Who.
        source: SourceId,
        /// Which chunk it turned away.
        chunk: ChunkIndex,
    },
    /// The connection broke or could not be made. The source is tried again after a back-off.
    SourceFailed {
        /// Who.
        source: SourceId,
        /// Why.
        cause: Cause,
    },
    /// The source withdrew (left the swarm, or its file changed): forget it.
    SourceGone {
        /// Who.
        source: SourceId,
    },
    /// Bytes of a requested chunk arrived (a block); tells a slow source from a dead one and measures its rate.
    ProgressBytes {
        /// From whom.
        source: SourceId,
        /// How many, this time.
        bytes: ByteCount,
    },
    /// Our own limit, not the source, is why nothing comes from it now: its watch, and that of the whole download, begin
    /// anew. Say so at least every few seconds while it lasts.
    HeldBack {
        /// Who is held back; one that is not known here stands for those that are kept out.
        source: SourceId,
    },
    /// Somebody asks us for the same file: whoever that is, it is worth finding soon, if it is not known yet.
    Called,
    /// Time passed. Extra ticks are harmless.
    Tick,
}

/// What the driver shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open the connection (again) and, where its bitmap is not known, learn it. Comes before the first `Request`.
    Connect {
        /// To whom.
        source: SourceId,
    },
    /// Append these chunks to what is wanted of this source, in this order.
    Request {
        /// Of whom.
        source: SourceId,
        /// At least one.
        chunks: Vec<ChunkIndex>,
        /// Though it gave them to others: it is to be told that this is known.
        again: bool,
    },
    /// Another source was quicker: these are no longer wanted there.
    Drop {
        /// Of whom.
        source: SourceId,
        /// At least one.
        chunks: Vec<ChunkIndex>,
    },
    /// Close the connection; nothing is in flight there any more. `Connect` may follow later, not after `BadHash`.
    Disconnect {
        /// From whom.
        source: SourceId,
        /// `TimedOut` or `BadHash`.
        cause: Cause,
    },
    /// Ask the tracker (and whom else one knows) for sources, and feed what comes as `SourceAdded`. Limited in rate.
    NeedSources,
    /// Material for feedback: one for each chunk verified, one for each incident. Never `LocalDisk`.
    Report {
        /// About whom.
        source: SourceId,
        /// Which chunk.
        chunk: ChunkIndex,
        /// How it went.
        result: Result<(), Cause>,
    },
    /// Every wanted chunk is verified. The last output.
    Finished,
    /// Given up. The last output; what is verified stays, and a new `Download` goes on from it.
    Failed {
        /// Why.
        why: Why,
    },
}

/// Why a download was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No source could be reached for this long.
    NoSources {
        /// The configured time.
        waited: Duration,
    },
    /// Sources answer, but nobody holds the rest.
    Incomplete {
        /// How many chunks nobody holds.
        missing: u32,
        /// The configured time.
        waited: Duration,
    },
    /// Sources hold what is missing and sent nothing for this long.
    NoProgress {
        /// The configured time.
        waited: Duration,
    },
    /// Every source sent bytes that do not match the manifest: perhaps the manifest is false.
    BadHashes {
        /// How many sources.
        sources: u32,
    },
    /// Our own disk failed or is full.
    LocalDisk,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSources { waited } => write!(f, "no source could be reached for {} s", waited.as_secs()),
            Self::Incomplete { missing, waited } => {
                write!(f, "{missing} chunks are held by no reachable source, for {} s", waited.as_secs())
            }
            Self::NoProgress { waited } => write!(f, "no source sent anything for {} s", waited.as_secs()),
            Self::BadHashes { sources } => {
                write!(f, "all {sources} sources sent data that does not match the manifest")
            }
            Self::LocalDisk => f.write_str("the local disk failed or is full"),
        }
    }
}

impl std::error::Error for Why {}
