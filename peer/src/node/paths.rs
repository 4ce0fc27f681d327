//! The paths of a download, from the user's options and the name that the source gives.

use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use peernet_engine::ids::FileHash;
use peernet_engine::names::{NAME_LEN_MAX, sanitise_within};

use super::DownloadOptions;

/// The suffix of an unfinished download.
const PART_SUFFIX: &str = ".peernet-part";
/// The suffix of a directory's listing, which lies beside the unfinished pack.
const LISTING_SUFFIX: &str = ".peernet-listing";
/// The suffix of a listing that is unfinished itself.
const LISTING_PART_SUFFIX: &str = ".peernet-listing-part";
/// Room in a name for the longest of these suffixes and for that of its journal.
const SUFFIXES_LEN: usize = LISTING_PART_SUFFIX.len() + 8;

/// The paths of one download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paths {
    /// The folder, which is made if it does not exist.
    pub(super) folder: PathBuf,
    /// The final path of the complete file.
    pub(super) last: PathBuf,
    /// The part file.
    pub(super) part: PathBuf,
    /// The path of the complete file before it replaces an existing one.
    pub(super) beside: PathBuf,
    /// The path of a directory's listing during the download.
    pub(super) listing: PathBuf,
    /// The part file of the listing.
    pub(super) listing_part: PathBuf,
}

/// The output that the user chose: a folder to put the file into, or the file itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    Folder(PathBuf),
    File(PathBuf),
}

impl Output {
    /// Reads the option. A path that does not exist is a folder if it ends with a separator or its name has no
    /// extension, as in version 1's `--output DIR`.
    pub(super) fn of(options: &DownloadOptions) -> Self {
        let Some(path) = options.output.clone() else { return Self::Folder(PathBuf::from(".")) };
        let ends_with_separator = path.as_os_str().to_string_lossy().ends_with(MAIN_SEPARATOR);
        let is_folder = match path.metadata() {
            Ok(metadata) => metadata.is_dir(),
            Err(_) => ends_with_separator || path.extension().is_none(),
        };
        if is_folder || ends_with_separator { Self::Folder(path) } else { Self::File(path) }
    }
}

impl Paths {
    /// Chooses the paths. `suggested` comes from the network, so only a sanitised name within the folder is used of it.
    pub(super) fn of(output: Output, options: &DownloadOptions, file_hash: FileHash, suggested: &str) -> Self {
        match output {
            Output::Folder(folder) => {
                let name = match options.version1_name {
                    true => format!("{file_hash}.download"),
                    false => sanitise_within(suggested, &file_hash.to_string(), NAME_LEN_MAX - SUFFIXES_LEN),
                };
                Self::named(&folder, &folder.join(name))
            }
            Output::File(file) => {
                let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
                Self::named(folder, &file)
            }
        }
    }

    fn named(folder: &Path, last: &Path) -> Self {
        let with = |suffix: &str| {
            let mut name = last.file_name().unwrap_or_default().to_owned();
            name.push(suffix);
            last.with_file_name(name)
        };
        Self {
            folder: folder.to_owned(),
            last: last.to_owned(),
            part: with(PART_SUFFIX),
            beside: with(".peernet-new"),
            listing: with(LISTING_SUFFIX),
            listing_part: with(LISTING_PART_SUFFIX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: Option<&str>, version1_name: bool, suggested: &str, expected: &str) {
        let options =
            DownloadOptions { output: output.map(PathBuf::from), version1_name, ..DownloadOptions::default() };
        let paths = Paths::of(Output::of(&options), &options, FileHash([0xab; 32]), suggested);
        assert_eq!(paths.last, PathBuf::from(expected), "{output:?} {suggested}");
        assert_eq!(paths.part, PathBuf::from(format!("{expected}.peernet-part")));
    }

    #[test]
    fn the_output_is_a_folder_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().to_str().unwrap().to_owned();
        std::fs::create_dir(folder.path().join("with.dot")).unwrap();
        std::fs::write(folder.path().join("plain"), "").unwrap();
        check(None, false, "f.bin", "./f.bin");
        check(Some(&base), false, "f.bin", &format!("{base}/f.bin"));
        check(Some(&format!("{base}/new")), false, "f.bin", &format!("{base}/new/f.bin"));
        check(Some(&format!("{base}/new.d/")), false, "f.bin", &format!("{base}/new.d/f.bin"));
        check(Some(&format!("{base}/copy.bin")), false, "f.bin", &format!("{base}/copy.bin"));
        check(Some(&format!("{base}/with.dot")), false, "f.bin", &format!("{base}/with.dot/f.bin"));
        check(Some(&format!("{base}/plain")), false, "f.bin", &format!("{base}/plain"));
        check(Some("copy.bin"), false, "f.bin", "copy.bin");
    }

    #[test]
    fn hostile_names_stay_in_the_folder_and_empty_ones_are_hashes() {
        let hash = "ab".repeat(32);
        check(None, false, "../../etc/passwd", "./passwd");
        check(None, false, "", &format!("./{hash}"));
        check(None, false, "..", &format!("./{hash}"));
        check(None, true, "f.bin", &format!("./{hash}.download"));
    }
}
