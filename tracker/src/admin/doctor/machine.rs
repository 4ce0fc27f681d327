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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::super::Verdict;
    use super::*;

    fn config(folder: &Path) -> Config {
        Config { data_dir: folder.to_owned(), listen: "127.0.0.1:0".to_owned(), ..Config::default() }
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("sets the mode");
    }

    fn check(found: &Check, verdict: Verdict, text: &str) {
        assert_eq!((found.verdict, found.found.as_str()), (verdict, text), "{}", found.name);
    }

    #[test]
    fn a_data_folder_is_a_closed_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display().to_string();
        for (mode, verdict, advice) in [
            (0o700, Verdict::Ok, "mode 700"),
            (0o500, Verdict::Ok, "mode 500"),
            (0o710, Verdict::Warn, "mode 710 lets others in; run chmod 700, or start the tracker, which does it"),
            (0o701, Verdict::Warn, "mode 701 lets others in; run chmod 700, or start the tracker, which does it"),
        ] {
            set_mode(folder.path(), mode);
            check(&data_folder(&config(folder.path())), verdict, &format!("{path}: {advice}"));
        }
        set_mode(folder.path(), 0o700);
        let file = folder.path().join("file");
        fs::write(&file, "").expect("writes");
        let is_file = format!("{}: not a folder; set data_dir", file.display());
        check(&data_folder(&config(&file)), Verdict::Fail, &is_file);
        let below = file.join("x");
        let broken = format!("{}: Not a directory (os error 20); run this as the tracker's user", below.display());
        check(&data_folder(&config(&below)), Verdict::Fail, &broken);
        let absent = folder.path().join("absent");
        let first = format!("{}: does not exist yet; the first start makes it", absent.display());
        check(&data_folder(&config(&absent)), Verdict::Warn, &first);
    }

    #[test]
    fn a_signing_key_is_read_by_its_owner_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path());
        let key = folder.path().join(KEY_FILE);
        let path = key.display();
        let absent = format!("{path}: does not exist yet; the first start makes it, or copy another replica's");
        check(&signing_key(&config), Verdict::Warn, &absent);
        fs::write(&key, "").expect("writes");
        for (mode, verdict, advice) in [
            (0o600, Verdict::Ok, "mode 600"),
            (0o400, Verdict::Ok, "mode 400"),
            (0o640, Verdict::Fail, "mode 640 lets others read it; run chmod 600"),
            (0o604, Verdict::Fail, "mode 604 lets others read it; run chmod 600"),
        ] {
            set_mode(&key, mode);
            check(&signing_key(&config), verdict, &format!("{path}: {advice}"));
        }
    }

    #[test]
    fn disk_space_is_that_of_the_nearest_folder_that_exists() {
        let folder = tempfile::tempdir().expect("a folder");
        let found = disk_space(&config(&folder.path().join("a/b/c")));
        assert!(found.found.contains(&format!(" MiB free at {}", folder.path().display())), "{found:?}");
    }

    #[test]
    fn open_files_are_compared_with_the_connections() {
        let of = |connections_max| open_files(&Config { connections_max, ..Config::default() });
        check(&of(1), Verdict::Ok, "the limit allows all 1 connections of connections_max");
        let allowed = Config { connections_max: usize::MAX >> 1, ..Config::default() }.door_limits().connections();
        let exact = format!("the limit allows all {allowed} connections of connections_max");
        check(&of(allowed), Verdict::Ok, &exact);
        let wanted = allowed + 1;
        let needed = wanted + peernet_door::FDS_RESERVED as usize;
        let over = format!(
            "the limit of this shell allows {allowed} of {wanted} connections; ulimit -n {needed} or LimitNOFILE="
        );
        check(&of(wanted), Verdict::Warn, &over);
    }

    #[test]
    fn a_public_port_is_free_or_answers_as_a_tracker() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("has one").to_string();
        let of = |listen: &str, running| port(&Config { listen: listen.to_owned(), ..Config::default() }, running);
        check(&of(&address, true), Verdict::Ok, &format!("a tracker answers on {address}"));
        let why = "is taken by a program that does not answer as a tracker; stop it or set listen";
        check(&of(&address, false), Verdict::Fail, &format!("{address} {why}"));
        check(&of("127.0.0.1:0", false), Verdict::Ok, "127.0.0.1:0 is free; no tracker answers on it");
        let elsewhere = "192.0.2.1:0: Cannot assign requested address (os error 99); set listen";
        check(&of("192.0.2.1:0", false), Verdict::Fail, elsewhere);
        assert_eq!(of("nonsense", true).verdict, Verdict::Fail);
    }

    #[test]
    fn an_operations_listener_goes_with_a_running_tracker() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("ops.sock");
        let path = socket.display().to_string();
        let of = |listen: &str, running| {
            operations(&Config { ops_listen: listen.to_owned(), ..config(folder.path()) }, running)
        };
        check(&of("off", true), Verdict::Ok, "off: no metrics");
        let stopped = format!("no process listens on {path}, as no tracker is running");
        check(&of("", false), Verdict::Ok, &stopped);
        let other = format!(
            "a tracker is running and no process listens on {path}: is it another tracker, or another configuration?"
        );
        check(&of("", true), Verdict::Warn, &other);
        let _listener = UnixListener::bind(&socket).expect("listens");
        check(&of("", true), Verdict::Ok, &format!("a process listens on {path}"));
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = tcp.local_addr().expect("has one").to_string();
        check(&of(&address, false), Verdict::Ok, &format!("a process listens on {address}"));
        let remote = "ops_listen: only a loopback address or a Unix socket may serve operators";
        check(&of("192.0.2.1:1", false), Verdict::Fail, remote);
    }
}
