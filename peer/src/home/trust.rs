//! `trust.json`: the authorities that this node trusts, one set for each swarm. Once a swarm's authority is known, no
//! other is accepted for it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::HomeError;
use super::identity::read;
use super::same_swarm;
use super::small::write_json;
use crate::clock::unix_now;
use crate::identity::Bundle;

/// The most swarms that are remembered. Beyond that the oldest entry is dropped.
const SWARMS_MAX: usize = 64;

/// The file, mode 0600. Several processes may use it; each write replaces it whole.
#[derive(Debug, Clone)]
pub struct TrustFile {
    path: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    version: u32,
    swarms: Vec<StoredSwarm>,
}

#[derive(Serialize, Deserialize)]
struct StoredSwarm {
    /// The trackers' URLs, with commas between them.
    trackers: String,
    fingerprint: String,
    certificates: String,
    pinned_at: u64,
}

impl TrustFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the authorities of the swarm that one of these trackers serves; `None` if it is not known.
    ///
    /// A damaged file is an error. If it counted as empty, the next authority that is met would be trusted.
    pub fn pinned(&self, trackers: &str) -> Result<Option<Bundle>, HomeError> {
        let stored = self.load()?;
        let swarm = stored.swarms.iter().rev().find(|swarm| same_swarm(&swarm.trackers, trackers));
        swarm
            .map(|swarm| Bundle::parse(&swarm.certificates).map_err(|error| self.damaged(&error.to_string())))
            .transpose()
    }

    /// Replaces the authorities of this swarm.
    pub(crate) fn pin(&self, trackers: &str, authorities: &Bundle) -> Result<(), HomeError> {
        let mut stored = self.load()?;
        stored.swarms.retain(|swarm| !same_swarm(&swarm.trackers, trackers));
        stored.swarms.push(StoredSwarm {
            trackers: trackers.to_owned(),
            fingerprint: authorities.fingerprint().to_string(),
            certificates: authorities.pem(),
            pinned_at: unix_now(),
        });
        let surplus = stored.swarms.len().saturating_sub(SWARMS_MAX);
        stored.swarms.drain(..surplus);
        write_json(&self.path, &Stored { version: 1, ..stored })
    }

    fn load(&self) -> Result<Stored, HomeError> {
        let Some(text) = read(&self.path)? else { return Ok(Stored::default()) };
        serde_json::from_str(&text).map_err(|error| self.damaged(&format!("line {}", error.line())))
    }

    fn damaged(&self, what: &str) -> HomeError {
        let advice = "remove it and log in again with `peernet login --ca-fingerprint`";
        HomeError::Damaged { path: self.path.clone(), what: what.to_owned(), advice }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::identity::testing::Authority;

    #[test]
    fn each_swarm_has_its_authority_and_a_damaged_file_trusts_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = TrustFile::new(folder.path().join("new/trust.json"));
        let [one, two, three] = [(); 3].map(|()| Bundle::parse(&Authority::new().pem()).unwrap());
        assert_eq!(file.pinned("https://a").unwrap(), None);
        file.pin("https://a,https://b", &one).unwrap();
        file.pin("https://c", &two).unwrap();
        assert_eq!(file.pinned("https://b").unwrap(), Some(one));
        assert_eq!(file.pinned("https://c").unwrap(), Some(two));
        file.pin("https://b", &three).unwrap();
        assert_eq!(file.pinned("https://a,https://b").unwrap(), Some(three));
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        for damage in ["{", "{\"version\": 1, \"swarms\": [{\"trackers\": \"https://a\"}]}"] {
            fs::write(file.path(), damage).unwrap();
            assert!(file.pinned("https://a").unwrap_err().to_string().contains("damaged"), "{damage}");
        }
    }

    #[test]
    fn a_file_cut_off_anywhere_trusts_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = TrustFile::new(folder.path().join("trust.json"));
        let authority = Bundle::parse(&Authority::new().pem()).unwrap();
        file.pin("https://a", &authority).unwrap();
        let whole = fs::read(file.path()).unwrap();
        for cut in 0..whole.len() {
            fs::write(file.path(), &whole[..cut]).unwrap();
            match file.pinned("https://a") {
                Ok(found) => assert_eq!((cut, found), (whole.len() - 1, Some(authority.clone()))),
                Err(error) => assert!(error.to_string().contains("peernet login --ca-fingerprint"), "{cut}: {error}"),
            }
            // Nor is a damaged file replaced: it may hold the authorities of other swarms.
            if cut + 1 < whole.len() {
                assert!(file.pin("https://b", &authority).is_err(), "{cut}");
                assert_eq!(fs::read(file.path()).unwrap(), whole[..cut]);
            }
        }
    }

    #[test]
    fn the_oldest_swarm_is_forgotten_beyond_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let file = TrustFile::new(folder.path().join("trust.json"));
        let authority = Bundle::parse(&Authority::new().pem()).unwrap();
        let url = |number: usize| format!("https://t{number}");
        for number in 0..=SWARMS_MAX {
            file.pin(&url(number), &authority).unwrap();
        }
        let known = |number: usize| file.pinned(&url(number)).unwrap().is_some();
        assert_eq!([0, 1, SWARMS_MAX].map(known), [false, true, true]);
        // One that is pinned again is the newest.
        file.pin(&url(1), &authority).unwrap();
        file.pin(&url(0), &authority).unwrap();
        assert_eq!([0, 1, 2, 3].map(known), [true, true, false, true]);
    }
}
