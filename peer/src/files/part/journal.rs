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

#[cfg(test)]
mod tests {
    use peernet_engine::ids::{ByteCount, FileHash};
    use peernet_engine::manifest::Geometry;

    use super::*;

    /// A download of ten chunks.
    fn identity(file: u8) -> Identity {
        let geometry = Geometry::new(ByteCount(10 << 20), 1 << 20).unwrap();
        Identity { file_hash: FileHash([file; 32]), manifest: [file; 32], shape: Shape::Sized(geometry) }
    }

    /// Opens the journal and returns it with the chunks that it knows; `None` if it was begun.
    fn open(path: &Path, file: u8) -> (Journal, Option<Vec<u32>>) {
        let (journal, resumed) = Journal::open(path, &identity(file), false).unwrap();
        assert!(resumed.known || resumed.held.is_empty());
        (journal, resumed.known.then(|| resumed.held.iter().map(|chunk| chunk.0).collect()))
    }

    fn held(journal: &mut Journal, chunks: &[u32]) {
        journal.held(chunks.iter().copied().map(ChunkIndex), None).unwrap();
    }

    fn path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Journal::path_for(&folder.path().join("file.peernet-part"));
        assert!(path.ends_with("file.peernet-part.journal"));
        (folder, path)
    }

    #[test]
    fn a_journal_resumes_with_all_chunks_of_earlier_runs() {
        let (_folder, path) = path();
        for (chunks, known) in [(&[3, 4][..], None), (&[9], Some(vec![3, 4])), (&[], Some(vec![3, 4, 9]))] {
            let (mut journal, resumed) = open(&path, 1);
            assert_eq!(resumed, known);
            held(&mut journal, chunks);
        }
    }

    #[test]
    fn records_behind_a_torn_one_are_not_lost() {
        let (_folder, path) = path();
        let (mut journal, _) = open(&path, 1);
        held(&mut journal, &[1]);
        held(&mut journal, &[2]);
        let len = fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(len - 1).unwrap();
        let (mut journal, known) = open(&path, 1);
        assert_eq!(known, Some(vec![1]));
        held(&mut journal, &[5]);
        assert_eq!(open(&path, 1).1, Some(vec![1, 5]));
    }

    #[test]
    fn another_damaged_or_too_long_journal_is_replaced() {
        let (_folder, path) = path();
        let spoil: [&dyn Fn(); 3] = [&|| drop(open(&path, 2)), &|| fs::write(&path, "no journal").unwrap(), &|| {
            File::options().write(true).open(&path).unwrap().set_len(JOURNAL_LEN_MAX + 1).unwrap()
        }];
        for spoil in spoil {
            let (mut journal, _) = open(&path, 1);
            held(&mut journal, &[1]);
            spoil();
            assert_eq!(open(&path, 1).1, None);
            assert_eq!(open(&path, 1).1, Some(Vec::new()));
        }
    }

    #[test]
    fn a_restarted_journal_knows_no_chunks() {
        let (_folder, path) = path();
        let (mut journal, _) = open(&path, 1);
        held(&mut journal, &[1, 2]);
        let mut journal = journal.restart(&identity(1)).unwrap();
        assert_eq!(open(&path, 1).1, Some(Vec::new()));
        held(&mut journal, &[7]);
        assert_eq!(open(&path, 1).1, Some(vec![7]));
        journal.remove().unwrap();
        assert!(!path.exists());
    }

    /// The bytes of a journal that two runs have written, and the chunks that they recorded.
    fn written(path: &Path) -> (Vec<u8>, [u32; 5]) {
        let (mut journal, _) = open(path, 1);
        held(&mut journal, &[3, 4]);
        held(&mut journal, &[9]);
        let (mut journal, _) = open(path, 1);
        held(&mut journal, &[0, 7]);
        (fs::read(path).unwrap(), [0, 3, 4, 7, 9])
    }

    #[test]
    fn a_journal_cut_off_anywhere_names_only_recorded_chunks() {
        let (_folder, path) = path();
        let (whole, recorded) = written(&path);
        let mut most = 0;
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let known = open(&path, 1).1.unwrap_or_default();
            assert!(known.iter().all(|chunk| recorded.contains(chunk)), "{cut}: {known:?}");
            assert!(known.len() >= most && known.len() < recorded.len(), "{cut}: a longer journal knows no less");
            most = known.len();
            // What comes next is appended to a whole record, so the next run reads it.
            let (mut journal, _) = open(&path, 1);
            held(&mut journal, &[5]);
            let again = open(&path, 1).1.unwrap();
            assert!(again.len() == known.len() + 1 && again.contains(&5), "{cut}: {again:?}");
        }
    }

    #[test]
    fn a_flipped_byte_never_adds_a_chunk() {
        let (_folder, path) = path();
        let (whole, recorded) = written(&path);
        for place in 0..whole.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bent = whole.clone();
                bent[place] ^= flip;
                fs::write(&path, &bent).unwrap();
                let known = open(&path, 1).1.unwrap_or_default();
                assert!(known.iter().all(|chunk| recorded.contains(chunk)), "{place} {flip}: {known:?}");
                assert!(known.len() < recorded.len(), "{place} {flip}: the change is noticed");
            }
        }
    }
}
