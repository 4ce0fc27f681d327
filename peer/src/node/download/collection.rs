//! Downloading a directory: first its listing, which is small, then its pack. The bytes of the pack gather in a folder
//! beside the final path. The directory gets its name when every file in it is proven.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::thread::available_parallelism;

use peernet_engine::collection::{Collection, LISTING_BYTES_MAX, LISTING_SUFFIX};
use peernet_engine::glob::Selection;
use peernet_engine::ids::PeerId;
use peernet_engine::link::{Kind, Target};
use peernet_engine::manifest::{Geometry, Manifest};

use super::nearby::Here;
use super::{Call, Extent, Node, name_in, was_there};
use crate::cancel::Cancel;
use crate::discovery::{Plan, SourceDiscovery};
use crate::download::{FetchError, FetchJob, FetchProgress, Fetched, without_bytes};
use crate::files::PackFiles;
use crate::files::SharedFile;
use crate::files::hashing::{HashedTree, hash_file};
use crate::files::part::{Proof, Selected, Tree, exchange};
use crate::node::Downloaded;
use crate::node::NodeError;
use crate::node::paths::{Output, Paths};
use crate::shares::{NewTree, directory_name};

/// The listing of the directory.
struct Listing {
    bytes: Arc<[u8]>,
    manifest: Arc<Manifest>,
    collection: Arc<Collection>,
    /// The download of the listing; `None` when an earlier run had left it.
    fetched: Option<Fetched>,
}

/// The files that are wanted of a directory, and their paths.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    call: &'a Call<'a>,
    paths: &'a Paths,
    listing: &'a Listing,
    selected: &'a Selected,
}

impl Wanted<'_> {
    fn extent(&self) -> Extent {
        Extent { size: self.selected.size(), files: self.selected.file_count() }
    }
}

/// A pack that has been downloaded.
struct Arrived {
    fetched: Fetched,
    /// The listing, on offer since the download of the pack began.
    listing: Option<Arc<SharedFile>>,
}

/// Returns the name of the directory, if the target is one: by its link, or by the name that its sources give the file.
pub(super) fn name(target: &Target, plan: Option<&Plan>) -> Option<String> {
    let called = plan.and_then(|plan| plan.file_name.strip_suffix(LISTING_SUFFIX));
    match target {
        Target::Link(link) if link.kind == Kind::Collection => {
            Some(name_in(target).or_else(|| called.map(str::to_owned)).unwrap_or_default())
        }
        Target::Link(_) => None,
        Target::Hash(_) => called.map(str::to_owned),
    }
}

impl Node {
    pub(super) fn download_collection(
        &self,
        call: &Call<'_>,
        name: &str,
        plan: Result<Plan, FetchError>,
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<Downloaded, NodeError> {
        let options = call.options;
        let selection = Selection::parse(&options.include, &options.exclude);
        let selection = selection.map_err(|error| NodeError::Invalid(error.to_string()))?;
        if options.share && !selection.is_everything() {
            return Err(NodeError::Invalid(
                "only a whole directory can be shared on, not some of its files".to_owned(),
            ));
        }
        let paths = Paths::of(Output::of(options), options, call.target.file_hash(), name);
        let kept = plan.as_ref().ok().cloned();
        let listing = match self.listing(call, &paths, plan, progress) {
            // A file may have a name like that of a listing, and be none.
            Err(NodeError::Verification(_)) if matches!(call.target, Target::Hash(_)) && kept.is_some() => {
                return self.download_file(call, kept.ok_or(FetchError::NoManifest), progress);
            }
            result => result?,
        };
        let selected = Selected::of(Arc::clone(&listing.collection), |path| selection.selects(path));
        let done = match selected.entries().next() {
            None if !selection.is_everything() => {
                let count = listing.collection.entries().len();
                Err(NodeError::Invalid(format!("the patterns choose none of the {count} files and folders")))
            }
            _ => {
                let wanted = Wanted { call, paths: &paths, listing: &listing, selected: &selected };
                self.download_tree(wanted, progress)
            }
        };
        if done.is_ok() {
            // A listing that stays behind is untidy and no failure.
            let _untidy = fs::remove_file(&paths.listing);
        }
        done
    }

    /// Takes the listing that an earlier run left, or downloads it.
    fn listing(
        &self,
        call: &Call<'_>,
        paths: &Paths,
        plan: Result<Plan, FetchError>,
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<Listing, NodeError> {
        if let Some(listing) = self.kept_listing(call, paths)? {
            return Ok(listing);
        }
        let file_hash = call.target.file_hash();
        let plan = plan.map_err(|error| self.explained(error, file_hash))?;
        fs::create_dir_all(&paths.folder).map_err(NodeError::local("making the folder", &paths.folder))?;
        let job = FetchJob {
            manifest_id: call.published.manifest,
            plan: Some(plan),
            size_max: Some(LISTING_BYTES_MAX as u64),
            ..self.job(file_hash, &paths.listing_part, &paths.listing, call)?
        };
        let fetched = self.fetch(job, call, progress)?;
        // From now on the listing is served from memory.
        fetched.shared_file.iter().for_each(|shared_file| self.shares.end(shared_file));
        let manifest = Arc::clone(&fetched.manifest);
        let listing = read_listing(&paths.listing).and_then(|bytes| Ok((decoded(&bytes)?, bytes)));
        match listing {
            Ok((collection, bytes)) => Ok(Listing { bytes, manifest, collection, fetched: Some(fetched) }),
            Err(error) => {
                let _useless = fs::remove_file(&paths.listing);
                Err(error)
            }
        }
    }

    /// Returns the listing that an interrupted download left, if it is the one asked for. Another one is removed.
    fn kept_listing(&self, call: &Call<'_>, paths: &Paths) -> Result<Option<Listing>, NodeError> {
        let Ok(metadata) = fs::symlink_metadata(&paths.listing) else { return Ok(None) };
        if metadata.is_file() && metadata.len() <= LISTING_BYTES_MAX as u64 {
            let workers = available_parallelism().map_or(1, |n| n.get());
            let manifest = hash_file(&paths.listing, workers, &mut |_| {}, call.cancel)?;
            let bytes = read_listing(&paths.listing)?;
            if manifest.file_hash() == call.target.file_hash()
                && let Ok(collection) = decoded(&bytes)
            {
                return Ok(Some(Listing { bytes, manifest: Arc::new(manifest), collection, fetched: None }));
            }
        }
        fs::remove_file(&paths.listing).map_err(NodeError::local("removing", &paths.listing))?;
        Ok(None)
    }

    fn download_tree(
        &self,
        wanted: Wanted<'_>,
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<Downloaded, NodeError> {
        let Wanted { call, paths, listing, selected } = wanted;
        if is_there(paths, selected, call)? {
            return Ok(was_there(paths, &listing.manifest, wanted.extent(), call.begun));
        }
        let last = if call.options.force { &paths.beside } else { &paths.last };
        let fetched = match selected.chunks().is_empty() {
            true => {
                without_bytes(&paths.part, last, selected.clone(), !call.options.no_sync)?;
                None
            }
            false => Some(self.fetch_pack(wanted, progress)?),
        };
        self.finish_tree(wanted, fetched)
    }

    /// Offers the listing where this node serves: peers that want the pack need it first.
    fn offer_listing(&self, paths: &Paths, listing: &Listing) -> Option<Arc<SharedFile>> {
        self.listen_address()?;
        let manifest = Arc::clone(&listing.manifest);
        let bytes = Arc::clone(&listing.bytes);
        let shared_file = SharedFile::listing(manifest, paths.last.clone(), bytes, String::new());
        self.shares.begin(Arc::clone(&shared_file));
        Some(shared_file)
    }

    fn fetch_pack(&self, wanted: Wanted<'_>, progress: &mut dyn FnMut(&FetchProgress)) -> Result<Arrived, NodeError> {
        let Wanted { call, paths, listing, selected } = wanted;
        let pack = &listing.collection.pack;
        let plan = call.discovery.plan(pack.file_hash).map_err(FetchError::Discovery)?;
        let (old, last) = match call.options.force {
            true => (Some(paths.last.as_path()), &paths.beside),
            false => (None, &paths.last),
        };
        let base = self.job(pack.file_hash, &paths.part, last, call)?;
        if call.options.offer {
            self.begin_to_offer(&plan);
        }
        let job = FetchJob {
            manifest_id: Some(pack.manifest_id),
            plan: Some(plan),
            nearby: Some(Box::new(Here::of_pack(Arc::clone(&self.shares), selected.clone(), old))),
            selected: Some(selected.clone()),
            ..base
        };
        let listing = self.offer_listing(paths, listing);
        match self.fetch(job, call, progress) {
            Ok(fetched) => Ok(Arrived { fetched, listing }),
            Err(error) => {
                listing.iter().for_each(|shared_file| self.shares.end(shared_file));
                Err(error)
            }
        }
    }

    fn finish_tree(&self, wanted: Wanted<'_>, arrived: Option<Arrived>) -> Result<Downloaded, NodeError> {
        let Wanted { call, paths, listing, .. } = wanted;
        if call.options.force {
            replace(paths).map_err(NodeError::local("replacing", &paths.last))?;
        }
        let (fetched, offered) = arrived.map_or((None, None), |Arrived { fetched, listing }| (Some(fetched), listing));
        let pack = fetched.as_ref().and_then(|fetched| fetched.shared_file.clone());
        let shared_files: Vec<Arc<SharedFile>> = offered.into_iter().chain(pack.clone()).collect();
        let kept = match call.options.share {
            true => self.share_tree(paths, listing, fetched.as_ref(), pack),
            false => self.after_offer(wanted, &shared_files),
        };
        if kept.is_err() {
            shared_files.iter().for_each(|shared_file| self.shares.end(shared_file));
        }
        kept?;
        if call.options.share {
            self.running.settle()?;
        }
        let both = [listing.fetched.as_ref(), fetched.as_ref()];
        let sum = |of: fn(&Fetched) -> u64| both.iter().flatten().map(|fetched| of(fetched)).sum::<u64>();
        Ok(Downloaded {
            bytes_fetched: sum(|fetched| fetched.bytes_fetched),
            bytes_resumed: sum(|fetched| fetched.bytes_resumed),
            bytes_copied: sum(|fetched| fetched.bytes_copied),
            sources: sources(&both),
            was_there: false,
            ..was_there(paths, &listing.manifest, wanted.extent(), call.begun)
        })
    }

    /// Keeps a whole directory on offer for callers that are in the middle of it. A part of a directory is withdrawn.
    fn after_offer(&self, wanted: Wanted<'_>, shared_files: &[Arc<SharedFile>]) -> Result<(), NodeError> {
        let Wanted { call, paths, listing, selected } = wanted;
        if !call.options.offer || !selected.is_everything() {
            shared_files.iter().for_each(|shared_file| self.shares.end(shared_file));
            return Ok(());
        }
        let files = PackFiles::of(&paths.last, &listing.collection);
        let files = Arc::new(files.map_err(NodeError::local("looking at", &paths.last))?);
        let of_pack =
            |shared_file: &&Arc<SharedFile>| shared_file.manifest().file_hash() == listing.collection.pack.file_hash;
        shared_files.iter().filter(of_pack).for_each(|shared_file| shared_file.finish_pack(Arc::clone(&files)));
        self.lingering.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(shared_files);
        Ok(())
    }

    fn share_tree(
        &self,
        paths: &Paths,
        listing: &Listing,
        fetched: Option<&Fetched>,
        pack: Option<Arc<SharedFile>>,
    ) -> Result<(), NodeError> {
        let looking = || NodeError::local("looking at", &paths.last);
        let real = fs::canonicalize(&paths.last).map_err(looking())?;
        let pack_manifest = match fetched {
            Some(fetched) => Arc::clone(&fetched.manifest),
            None => Arc::new(empty_pack(&listing.collection)?),
        };
        let hashed = HashedTree {
            listing: Arc::clone(&listing.bytes),
            listing_manifest: Arc::clone(&listing.manifest),
            pack_manifest,
            files: Arc::new(PackFiles::of(&real, &listing.collection).map_err(looking())?),
        };
        let name = directory_name(&real, &listing.manifest.file_hash().to_string());
        self.add_tree(NewTree { hashed, name, pack }).map(drop)
    }
}

/// Sums the bytes of each source over listing and pack.
fn sources(both: &[Option<&Fetched>]) -> Vec<(PeerId, u64)> {
    let mut sources: Vec<(PeerId, u64)> = Vec::new();
    for (peer, bytes) in both.iter().flatten().flat_map(|fetched| &fetched.bytes_by_source) {
        match sources.iter_mut().find(|(known, _)| known == peer) {
            Some((_, sum)) => *sum += bytes,
            None => sources.push((*peer, *bytes)),
        }
    }
    sources
}

fn read_listing(path: &Path) -> Result<Arc<[u8]>, NodeError> {
    Ok(fs::read(path).map_err(NodeError::local("reading", path))?.into())
}

fn decoded(bytes: &[u8]) -> Result<Arc<Collection>, NodeError> {
    let collection = Collection::decode(bytes);
    collection.map(Arc::new).map_err(|error| NodeError::Verification(format!("the listing is not valid: {error}")))
}

/// Returns the manifest of a pack without bytes.
fn empty_pack(collection: &Collection) -> Result<Manifest, NodeError> {
    let pack = &collection.pack;
    let manifest =
        Geometry::for_size(pack.size).and_then(|geometry| Manifest::new(pack.file_hash, geometry, Vec::new()));
    let right = manifest.ok().filter(|manifest| manifest.id() == pack.manifest_id);
    right.ok_or_else(|| NodeError::Verification("the listing is false: its pack has another manifest".to_owned()))
}

/// Returns true if every wanted file is in the directory at the final path already. Other files in it are the user's.
/// Anything but a directory at that path is refused here, before a byte of the pack is fetched.
fn is_there(paths: &Paths, selected: &Selected, call: &Call<'_>) -> Result<bool, NodeError> {
    if call.options.force {
        // A crash between two renames leaves this folder. It is fetched again.
        let _none_usually = remove(&paths.beside);
    }
    let Ok(metadata) = fs::symlink_metadata(&paths.last) else { return Ok(false) };
    if metadata.is_dir() && holds_all(&paths.last, selected, call.cancel)? {
        return Ok(true);
    }
    if call.options.force { Ok(false) } else { Err(NodeError::Exists(paths.last.clone())) }
}

fn holds_all(path: &Path, selected: &Selected, cancel: &Cancel) -> Result<bool, NodeError> {
    let Ok(tree) = Tree::at(path, selected.clone()) else { return Ok(false) };
    match tree.prove(cancel) {
        Ok(Proof::Right) => Ok(tree.has_its_folders()),
        Ok(Proof::Cancelled) => Err(NodeError::Cancelled),
        // A path that cannot be read, like a link in place of a folder, is not the directory asked for.
        Ok(Proof::Wrong(_)) | Err(_) => Ok(false),
    }
}

/// Replaces the file or directory at the final path by the new directory, which is complete.
fn replace(paths: &Paths) -> io::Result<()> {
    if fs::symlink_metadata(&paths.last).is_err() {
        fs::rename(&paths.beside, &paths.last)?;
    } else if exchange(&paths.beside, &paths.last)? {
        remove(&paths.beside)?;
    } else {
        remove(&paths.last)?;
        fs::rename(&paths.beside, &paths.last)?;
    }
    fs::File::open(&paths.folder)?.sync_all()
}

/// Removes a file, a link, or a folder with its content.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
}
