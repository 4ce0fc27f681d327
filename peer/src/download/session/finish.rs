//! The end of a download: the file is made durable, gets its final name, and only then is offered as finished.

use std::fs;
use std::io;
use std::path::Path;

use crate::cancel::Cancel;
use crate::download::expected::Expected;
use crate::download::run::{Context, Finished};
use crate::download::session::Complete;
use crate::download::session::resume::last_len;
use crate::download::{FetchError, Phase};
use crate::files::FileIdentity;
use crate::files::part::{Part, Proof, Selected, Storage, Tree, rename_new, sync_folder_of};

/// Makes a proven file durable and gives it its name.
pub(crate) fn finish(
    context: &mut Context<'_>,
    expected: &Expected,
    part: &Part,
    complete: Complete,
) -> Result<Finished, FetchError> {
    let count = expected.wanted.len();
    context.show(Phase::Finishing, count, count);
    let manifest = expected.manifest_as(complete.shape)?;
    let failed = || FetchError::local(format!("finishing {}", part.path().display()));
    let syncs = context.job.limits.survive_power_cut;
    if context.job.passing {
        let identity = FileIdentity { size: manifest.geometry().size().0, modified_s: 0, modified_ns: 0 };
        return Ok(Finished { manifest, path: context.job.final_path.clone(), identity });
    }
    match part.storage() {
        Storage::File(file) => {
            file.set_len(manifest.geometry().size().0).map_err(failed())?;
            if syncs {
                file.sync_all().map_err(failed())?;
            }
        }
        Storage::Tree(tree) => settle(tree, syncs).map_err(failed())?,
    }
    let path = context.job.final_path.clone();
    let mut journal = complete.journal;
    if let Err(error) = name(part.path(), &path, syncs) {
        // Every chunk is on the disk. The next run finds that in the journal; without it, it reads the part again.
        let _ = journal.held(expected.wanted.iter(), last_len(expected, complete.shape));
        return Err(error);
    }
    // The file is complete and has its name: a journal that stays behind is untidy and no failure.
    let _ = journal.remove();
    if let Storage::Tree(tree) = part.storage() {
        tree.remove_spare();
    }
    let identity = FileIdentity::of(&fs::metadata(&path).map_err(failed())?);
    if let (Some(shared_file), Storage::File(_)) = (&context.shared_file, part.storage()) {
        shared_file.finish(&path, identity);
    }
    Ok(Finished { manifest, path, identity })
}

/// Makes a directory in which no file with bytes is wanted: nothing needs to be fetched for it.
pub(crate) fn without_bytes(part: &Path, path: &Path, selected: Selected, syncs: bool) -> Result<(), FetchError> {
    let failed = || FetchError::local(format!("making {}", part.display()));
    let tree = Tree::open(part, selected).map_err(failed())?.ok_or_else(|| FetchError::InUse(part.to_owned()))?;
    tree.make_empty_ones().map_err(failed())?;
    if let Proof::Wrong(file) = tree.prove(&Cancel::new()).map_err(failed())? {
        return Err(FetchError::FalseListing(file));
    }
    settle(&tree, syncs).map_err(failed())?;
    name(part, path, syncs)?;
    tree.remove_spare();
    Ok(())
}

/// Removes everything but the wanted files from a tree, and syncs it.
fn settle(tree: &Tree, syncs: bool) -> io::Result<()> {
    tree.sweep()?;
    if syncs { tree.sync() } else { Ok(()) }
}

/// Renames the part to its final name. A file that has the name already is not replaced.
fn name(part: &Path, path: &Path, syncs: bool) -> Result<(), FetchError> {
    rename_new(part, path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => FetchError::Exists(path.to_owned()),
        _ => FetchError::LocalDisk { doing: format!("renaming the part to {}", path.display()), error },
    })?;
    match syncs {
        true => sync_folder_of(path).map_err(FetchError::local(format!("finishing {}", path.display()))),
        false => Ok(()),
    }
}
