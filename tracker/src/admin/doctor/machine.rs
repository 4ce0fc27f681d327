//! Checks of the machine: data folder, key, disk, open files and ports.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::Check;
use crate::boot::config::Config;
use crate::domain::keys::KEY_FILE;
use peernet_door::LocalAddress;

/// Free space below which writes are about to fail, in bytes.
const DISK_BYTES_MIN: u64 = 64 << 20;
/// Free space below which it is time to make room, in bytes.
const DISK_BYTES_LOW: u64 = 1 << 30;
/// The longest wait for a connection on this machine.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Checks the data folder.
pub(super) fn data_folder(config: &Config) -> Check {
    let name = "data folder";
    let path = config.data_dir.display();
    match fs::metadata(&config.data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Check::warn(name, format!("{path}: does not exist yet; the first start makes it"))
        }
        Err(error) => Check::fail(name, format!("{path}: {error}; run this as the tracker's user")),
        Ok(found) if !found.is_dir() => Check::fail(name, format!("{path}: not a folder; set data_dir")),
        Ok(found) => match found.permissions().mode() & 0o777 {
            mode if mode & 0o077 == 0 => Check::ok(name, format!("{path}: mode {mode:o}")),
            mode => Check::warn(
                name,
                format!("{path}: mode {mode:o} lets others in; run chmod 700, or start the tracker, which does it"),
            ),
        },
    }
}

/// Checks the file of the signing key.
pub(super) fn signing_key(config: &Config) -> Check {
    let name = "signing key";
    let path = config.data_dir.join(KEY_FILE);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Check::warn(
            name,
            format!("{}: does not exist yet; the first start makes it, or copy another replica's", path.display()),
        ),
        Err(error) => Check::fail(name, format!("{}: {error}; run this as the tracker's user", path.display())),
        Ok(found) => match found.permissions().mode() & 0o777 {
            mode if mode & 0o077 == 0 => Check::ok(name, format!("{}: mode {mode:o}", path.display())),
            mode => Check::fail(name, format!("{}: mode {mode:o} lets others read it; run chmod 600", path.display())),
        },
    }
}

/// Checks the free space of the data folder's disk.
pub(super) fn disk_space(config: &Config) -> Check {
    let name = "disk space";
    let existing = config.data_dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let free = match rustix::fs::statvfs(existing) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => return Check::warn(name, format!("{}: {error}", existing.display())),
    };
    let text = format!("{} MiB free at {}", free >> 20, existing.display());
    match free {
        ..DISK_BYTES_MIN => Check::fail(name, format!("{text}: make room now, writes are about to fail")),
        DISK_BYTES_MIN..DISK_BYTES_LOW => Check::warn(name, format!("{text}: make room")),
        _ => Check::ok(name, text),
    }
}

/// Checks whether the limit on open files allows all connections.
pub(super) fn open_files(config: &Config) -> Check {
    let name = "open files";
    let wanted = config.connections_max;
    let allowed = config.door_limits().connections();
    if allowed >= wanted {
        return Check::ok(name, format!("the limit allows all {wanted} connections of connections_max"));
    }
    let needed = wanted + peernet_door::FDS_RESERVED as usize;
    Check::warn(
        name,
        format!("the limit of this shell allows {allowed} of {wanted} connections; ulimit -n {needed} or LimitNOFILE="),
    )
}

/// Checks the public port.
pub(super) fn port(config: &Config, running: bool) -> Check {
    let name = "public port";
    let address = match config.listen_address() {
        Ok(address) => address,
        Err(error) => return Check::fail(name, error.to_string()),
    };
    if running {
        return Check::ok(name, format!("a tracker answers on {address}"));
    }
    match TcpListener::bind(address) {
        Ok(_) => Check::ok(name, format!("{address} is free; no tracker answers on it")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Check::fail(
            name,
            format!("{address} is taken by a program that does not answer as a tracker; stop it or set listen"),
        ),
        Err(error) => Check::fail(name, format!("{address}: {error}; set listen")),
    }
}

/// Checks the operations listener.
pub(super) fn operations(config: &Config, running: bool) -> Check {
    let name = "operations listener";
    let (address, answers) = match config.ops_address() {
        Err(error) => return Check::fail(name, error.to_string()),
        Ok(None) => return Check::ok(name, "off: no metrics"),
        Ok(Some(LocalAddress::Unix(path))) => (path.display().to_string(), UnixStream::connect(&path).is_ok()),
        Ok(Some(LocalAddress::Loopback(address))) => {
            (address.to_string(), TcpStream::connect_timeout(&address, TIMEOUT).is_ok())
        }
    };
    match (answers, running) {
        (true, _) => Check::ok(name, format!("a process listens on {address}")),
        (false, false) => Check::ok(name, format!("no process listens on {address}, as no tracker is running")),
        (false, true) => Check::warn(
            name,
            format!(
                "a tracker is running and no process listens on {address}: is it another tracker, or another configuration?"
            ),
        ),
    }
}
