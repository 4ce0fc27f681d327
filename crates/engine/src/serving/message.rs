//! The inputs and outputs of the serving machine.

use std::fmt;

use crate::bitmap::Bitmap;
use crate::ids::{ChunkIndex, FileHash, ManifestId};
use crate::manifest::Geometry;
use crate::serving::wanted::{ChunkRange, WantedError};

/// The file that a stream is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileKey {
    /// SHA-256 of the file.
    pub file_hash: FileHash,
    /// The manifest, where the caller names one.
    pub manifest_id: Option<ManifestId>,
}

/// One message of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The file, or why the message names none. Only the first message's counts.
    pub file: Result<FileKey, RequestError>,
    /// Chunks wanted, after those wanted before.
    pub wanted: Vec<ChunkRange>,
    /// Chunks wanted although the caller knows that others got them.
    pub again: Vec<ChunkRange>,
    /// Chunks no longer wanted.
    pub dropped: Vec<ChunkRange>,
    /// Chunks that came whole and wrong.
    pub complaints: Vec<u32>,
    /// A newer grant.
    pub grant: Option<String>,
}

impl Request {
    /// A message that asks for nothing.
    pub fn of(file: Result<FileKey, RequestError>) -> Self {
        let none = Vec::new;
        Self { file, wanted: none(), again: none(), dropped: none(), complaints: Vec::new(), grant: None }
    }
}

/// A file that was found for the caller, and that the caller may have.
#[derive(Debug)]
pub struct OpenedFile<S> {
    /// Size and chunks.
    pub geometry: Geometry,
    /// Whether every chunk is held.
    pub is_complete: bool,
    /// The super-seeding state of all callers of this file.
    pub super_seed: S,
}

/// An event that the driver feeds in. Any order is safe: the machine ignores inputs that do not fit its state. `R` is
/// the driver's own form of a refusal, which the machine passes through.
#[derive(Debug)]
pub enum Input<S, R> {
    /// The caller sent a message.
    Request(Request),
    /// The caller closed its half of the stream. Requested chunks are still sent.
    RequestsEnded,
    /// The caller is gone. Nothing can be sent any more.
    CallerGone,
    /// Answers [`Output::Open`].
    Opened(OpenedFile<S>),
    /// Answers [`Output::CheckGrant`]: the grant is good.
    GrantAccepted,
    /// The access that the stream began with has ended. Ignored while a newer grant waits to be checked.
    AccessEnded(R),
    /// The stream must end: a refusal of [`Output::Open`] or [`Output::CheckGrant`], or the source stops.
    Stop(R),
    /// Answers [`Output::CheckHeld`].
    Held(bool),
    /// Answers [`Output::Allow`], at once or when the stream's turn comes.
    Allowed {
        /// Bytes that the upload limit lets this stream send; at least one.
        bytes: u32,
    },
    /// Answers [`Output::Reserve`]: whether there was memory.
    Reserved(bool),
    /// Answers [`Output::Read`]: the block is in memory.
    ReadDone,
    /// Answers [`Output::Read`]: the block cannot be read.
    ReadFailed,
    /// The transport took the oldest message.
    Taken,
    /// The source holds more chunks of the file than before.
    Changed {
        /// Whether it holds every chunk now.
        is_complete: bool,
    },
    /// The file is no longer on offer.
    Withdrawn,
    /// Time passed. Extra ticks are harmless.
    Tick {
        /// Streams that the source serves now. With more of them, availability updates come less often.
        streams: u32,
    },
}

/// A part of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The chunk.
    pub chunk: ChunkIndex,
    /// Offset of the block's first byte in the chunk.
    pub offset: u32,
    /// Length in bytes.
    pub len: u32,
    /// Whether the block ends the chunk.
    pub is_last: bool,
}

/// The reason that a chunk is refused. The stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// The source does not hold the chunk.
    NotHeld,
    /// The source cannot read the chunk.
    ReadFailed,
}

/// The reason that a message of the caller ends the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// The first message has no hash of a file.
    FileHash,
    /// The first message names a manifest by something that is no id.
    ManifestId,
    /// The grant is longer than any.
    GrantTooLong {
        /// The bound, in bytes.
        max: usize,
    },
    /// A list of ranges is out of bounds.
    Ranges(WantedError),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileHash => f.write_str("file_hash: expected 32 bytes in the first message"),
            Self::ManifestId => f.write_str("manifest_id: expected 32 bytes or none"),
            Self::GrantTooLong { max } => write!(f, "grant: more than {max} bytes"),
            Self::Ranges(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for RequestError {}

/// The reason that a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End<R> {
    /// The caller closed its half, and everything it asked for was sent.
    Complete,
    /// The caller wanted nothing for too long.
    Idle,
    /// The file is no longer on offer.
    Withdrawn,
    /// A message of the caller was out of bounds.
    Invalid(RequestError),
    /// The driver's own reason, as it came with [`Input::Stop`] or [`Input::AccessEnded`].
    Refused(R),
}

/// An instruction to the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output<R> {
    /// Look for the file and decide whether the caller may have it. Answer [`Input::Opened`] or [`Input::Stop`].
    Open {
        /// The file.
        file: FileKey,
        /// A grant that came in a message, in place of the one that came with the call.
        grant: Option<String>,
    },
    /// Check a newer grant. Answer [`Input::GrantAccepted`] or [`Input::Stop`].
    CheckGrant {
        /// The grant.
        grant: String,
    },
    /// Pass complaints on to the machine that admits them ([`crate::serving::complaints`]).
    Complain {
        /// Chunks to look at. They exist in the file.
        chunks: Vec<ChunkIndex>,
        /// Number of complaints that came, counting those that are not looked at.
        received: u64,
    },
    /// Send an availability update: the chunks that the source holds now, and these.
    Notify {
        /// Chunks that other callers got; `None` while there are no others.
        others: Option<Bitmap>,
    },
    /// Say whether the source holds a chunk. Answer [`Input::Held`].
    CheckHeld {
        /// The chunk.
        chunk: ChunkIndex,
    },
    /// Ask the upload limit for bytes. Answer [`Input::Allowed`], now or later.
    Allow {
        /// Bytes that would be sent now. Fewer will do.
        bytes: u32,
    },
    /// Give bytes back to the upload limit.
    ReturnAllowance {
        /// Bytes that were allowed and will not be sent.
        bytes: u32,
    },
    /// Take memory for the next block, without waiting. Answer [`Input::Reserved`]. The memory of a reservation that no
    /// [`Output::Read`] follows is free again.
    Reserve {
        /// Length of the block.
        bytes: u32,
        /// Whether to take it out of the memory that every stream may always have.
        is_small: bool,
    },
    /// Read a block. Answer [`Input::ReadDone`] or [`Input::ReadFailed`].
    Read(Block),
    /// Close the file: nothing more is to be read for now.
    CloseFile,
    /// Hand the block that was read to the transport.
    Send(Block),
    /// Tell the caller that a chunk will not come.
    Refuse {
        /// The chunk.
        chunk: ChunkIndex,
        /// The reason of the refusal.
        reason: RefusalReason,
    },
    /// End the stream. The last output.
    End(End<R>),
}
