//! The inputs and outputs of the download scheduler.

use std::fmt;
use std::time::Duration;

use crate::bitmap::Bitmap;
use crate::cause::Cause;
use crate::ids::{ByteCount, ChunkIndex};

/// One source of one download. The driver assigns the numbers. A peer keeps its number for the whole download, also
/// when a later lookup names it again, because bans and back-off are kept by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u64);

/// The calls that a source understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// One `Fetch` stream: ranges out, blocks and availability updates in.
    FetchStream,
    /// Version 1: one `DownloadChunk` call for each chunk, always in plaintext. No blocks, no availability updates.
    Version1,
}

/// The chunks that a source says it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Has {
    /// Every chunk.
    Complete,
    /// The chunks of this bitmap. The input is ignored when the bitmap is for another number of chunks.
    Chunks(Bitmap),
}

/// An event that the driver feeds in. Any order is safe: inputs that name an unknown source or a chunk past the end are
/// ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A lookup, a link or another peer named a source. A known source only gets the new rank.
    SourceAdded {
        /// The driver's number for it.
        source: SourceId,
        /// The rank in the tracker's order, from 0, best first.
        rank: u32,
        /// The calls it understands. Version 1 gets fewer chunks at a time.
        protocol: Protocol,
    },
    /// The chunks that a source holds now, replacing the earlier ones.
    SourceHas {
        /// The source.
        source: SourceId,
        /// The chunks.
        has: Has,
    },
    /// The chunks that a source gives, or has given, to other callers; `None` while it serves no other caller. For a
    /// while, these chunks are not requested from a complete source, because the other callers will pass them on (see
    /// [`crate::serving::super_seed`]).
    SourceGave {
        /// The source.
        source: SourceId,
        /// Ignored when it is the bitmap of another number of chunks.
        others: Option<Bitmap>,
    },
    /// A chunk has the right hash and is written, synced or not. It counts whether it was requested or not.
    ChunkVerified {
        /// The source.
        source: SourceId,
        /// The chunk.
        chunk: ChunkIndex,
        /// The number of bytes that arrived.
        bytes: ByteCount,
        /// From its request, or from its first block, to its last byte.
        took: Duration,
    },
    /// A requested chunk will not come, or came wrong.
    ChunkFailed {
        /// The source.
        source: SourceId,
        /// The chunk.
        chunk: ChunkIndex,
        /// `Refused`: the source does not have it or cannot read it. `LocalDisk` ends the download and costs no source
        /// anything.
        cause: Cause,
    },
    /// The source's queue is full. The chunk is requested elsewhere, and the source gets no request for a while.
    SourceBusy {
        /// The source.
        source: SourceId,
        /// The chunk it turned away.
        chunk: ChunkIndex,
    },
    /// The connection broke or could not be made. The source is tried again after a back-off.
    SourceFailed {
        /// The source.
        source: SourceId,
        /// The reason.
        cause: Cause,
    },
    /// The source withdrew: it left the swarm, or its file changed. It is forgotten.
    SourceGone {
        /// The source.
        source: SourceId,
    },
    /// A block of a requested chunk arrived. Distinguishes slow sources from stalled ones, and measures their rate.
    ProgressBytes {
        /// The source.
        source: SourceId,
        /// The bytes of this block.
        bytes: ByteCount,
    },
    /// Our own rate limit, not the source, is the reason why nothing comes. The stall timers of the source and of the
    /// download start again. Feed this at least every few seconds while it lasts.
    HeldBack {
        /// The source that is held back. An unknown one stands for sources that the limit on connections keeps out.
        source: SourceId,
    },
    /// Another downloader asks this node for the file. A lookup soon may find it.
    Called,
    /// Time has passed. Extra ticks are harmless.
    Tick,
}

/// An order to the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a connection and learn the chunks that the source holds. Comes before the first `Request`.
    Connect {
        /// The source.
        source: SourceId,
    },
    /// Request these chunks from the source, after those requested before.
    Request {
        /// The source.
        source: SourceId,
        /// At least one.
        chunks: Vec<ChunkIndex>,
        /// Whether the source gives some of them to others and is to send them nevertheless.
        again: bool,
    },
    /// Take these requests back: another source was quicker.
    Drop {
        /// The source.
        source: SourceId,
        /// At least one.
        chunks: Vec<ChunkIndex>,
    },
    /// Close the connection. Nothing is in flight there any more. `Connect` may follow later, except after `BadHash`.
    Disconnect {
        /// The source.
        source: SourceId,
        /// `TimedOut` or `BadHash`.
        cause: Cause,
    },
    /// Look up sources, and feed them in as `SourceAdded`. Put out at a limited rate.
    NeedSources,
    /// Report a result as feedback: one for each verified chunk and one for each incident. Never `LocalDisk`.
    Report {
        /// The source.
        source: SourceId,
        /// The chunk.
        chunk: ChunkIndex,
        /// Success, or the reason of the failure.
        result: Result<(), Cause>,
    },
    /// Every wanted chunk is verified. The last output.
    Finished,
    /// The download is given up. The last output. A new `Download` can go on from the verified chunks.
    Failed {
        /// The reason.
        why: Why,
    },
}

/// The reason why a download was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No source could be reached for this long.
    NoSources {
        /// The configured time.
        waited: Duration,
    },
    /// Sources answer, but none holds the rest.
    Incomplete {
        /// The number of chunks that no source holds.
        missing: u32,
        /// The configured time.
        waited: Duration,
    },
    /// Sources hold the missing chunks and sent nothing for this long.
    NoProgress {
        /// The configured time.
        waited: Duration,
    },
    /// Every source sent bytes that do not match the manifest: perhaps the manifest is false.
    BadHashes {
        /// The number of sources.
        sources: u32,
    },
    /// The local disk failed or is full.
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
