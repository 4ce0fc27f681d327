//! The journal file beside the part. It is read once at the start, and appended to when chunks have been synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use peernet_engine::assembly::Shape;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::ChunkIndex;
use peernet_engine::journal::{Identity, JOURNAL_LEN_MAX, Writer, resume};

/// The journal, open for appending.
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    writer: Writer,
    /// Whether each record is synced before it counts.
    syncs: bool,
}

/// The state that an earlier run left.
pub(crate) struct Resumed {
    /// The chunks that are on disk.
    pub(crate) held: Bitmap,
    /// The latest known sizes.
    pub(crate) shape: Shape,
    /// Whether there was a journal of exactly this download. Without one the part's content is unknown.
    pub(crate) known: bool,
}

impl Journal {
    /// Returns the path of the journal of a part.
    pub(crate) fn path_for(part: &Path) -> PathBuf {
        let mut name = part.as_os_str().to_owned();
        name.push(".journal");
        name.into()
    }

    /// Opens the journal at `path`, or begins one. A journal that is damaged, or of another download, is replaced. With
    /// `syncs`, every record survives a power cut.
    pub(crate) fn open(path: &Path, identity: &Identity, syncs: bool) -> io::Result<(Self, Resumed)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        (&file).take(JOURNAL_LEN_MAX + 1).read_to_end(&mut bytes)?;
        let usable = bytes.len() as u64 <= JOURNAL_LEN_MAX;
        if let Some((decoded, writer)) = resume(&bytes, identity).ok().filter(|_| usable) {
            file.set_len(decoded.valid_len)?;
            let journal = Self { file, path: path.to_owned(), writer, syncs };
            return Ok((journal, Resumed { held: decoded.held, shape: decoded.shape, known: true }));
        }
        let journal = Self::begin(file, path, identity, syncs)?;
        let held = Bitmap::empty(identity.shape.chunk_count());
        Ok((journal, Resumed { held, shape: identity.shape, known: false }))
    }

    /// Replaces the journal with an empty one.
    pub(crate) fn restart(self, identity: &Identity) -> io::Result<Self> {
        let Self { file, path, syncs, .. } = self;
        Self::begin(file, &path, identity, syncs)
    }

    fn begin(file: File, path: &Path, identity: &Identity, syncs: bool) -> io::Result<Self> {
        let (writer, header) = Writer::create(identity);
        file.set_len(0)?;
        file.write_all_at(&header, 0)?;
        if syncs {
            file.sync_data()?;
        }
        Ok(Self { file, path: path.to_owned(), writer, syncs })
    }

    /// Records that these chunks are on disk. They must have been synced before.
    pub(crate) fn held(
        &mut self,
        chunks: impl IntoIterator<Item = ChunkIndex>,
        last_len: Option<u32>,
    ) -> io::Result<()> {
        let at = self.writer.offset();
        let mut bytes = last_len.map(|len| self.writer.last_chunk_len(len)).unwrap_or_default();
        bytes.extend(self.writer.held(chunks));
        self.file.write_all_at(&bytes, at)?;
        if self.syncs { self.file.sync_data() } else { Ok(()) }
    }

    /// Removes the journal of a finished download.
    pub(crate) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}
