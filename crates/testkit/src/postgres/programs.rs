//! The paths of the server programs, and the user that runs them.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Names a folder with `initdb`, `postgres` and `psql`.
const BIN_VARIABLE: &str = "PEERNET_PG_BIN";

/// A user and a group by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The server programs.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    bin: PathBuf,
    /// Set when this process is root, which the server refuses to run as.
    pub(super) run_as: Option<User>,
}

impl Programs {
    /// Looks for them.
    pub(super) fn find() -> Result<Self, String> {
        let bin =
            candidates().into_iter().find(|folder| ["initdb", "postgres"].iter().all(|p| folder.join(p).is_file()));
        let bin = bin.ok_or_else(|| {
            format!("no PostgreSQL server programs (Debian: package postgresql); {BIN_VARIABLE} may name their folder")
        })?;
        // Our own temporary folder belongs to our own user.
        let root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
        Ok(Self { bin, run_as: if root { Some(unprivileged()?) } else { None } })
    }

    /// The path of a program; of one that is not in the folder its name, for `PATH`.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        let path = self.bin.join(name);
        if path.is_file() { path } else { name.into() }
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = env::var_os(BIN_VARIABLE).into_iter().map(PathBuf::from).collect();
    let mut installed: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    installed.sort();
    out.extend(installed.into_iter().rev().map(|(_, bin)| bin));
    out.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
    out
}

/// Returns the server's own user if it was installed, else the user `nobody`.
fn unprivileged() -> Result<User, String> {
    let users = fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    let user = ["postgres", "nobody"].iter().find_map(|name| find_user(&users, name));
    user.ok_or_else(|| "the server refuses to run as root, and there is no user postgres or nobody".into())
}

fn find_user(users: &str, name: &str) -> Option<User> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some(User { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
}

/// Makes `folder` belong to the user the server runs as.
pub(super) fn give(folder: &Path, to: Option<User>) -> Result<(), String> {
    let Some(User { uid, gid }) = to else { return Ok(()) };
    std::os::unix::fs::chown(folder, Some(uid), Some(gid)).map_err(|error| format!("{}: {error}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(find_user(users, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(find_user(users, "post"), None);
    }
}
