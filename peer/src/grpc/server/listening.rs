//! One option of the listening socket, which gRPC does not offer and which every accepted connection inherits.
//!
//! By default the kernel takes a megabyte and more of unsent bytes for a connection. On a line that several callers
//! share that is a second's worth, and news of chunks wait behind it.
#![allow(unsafe_code)]

use std::fs;
use std::mem;
use std::os::fd::RawFd;

/// Bytes that the kernel takes for a connection beyond those on their way.
const UNSENT_BYTES_MAX: libc::c_int = 256 << 10;

/// Finds this process's socket that listens on `port` and sets the option. Where that cannot be done all works, with
/// longer queues.
pub(super) fn keep_queues_short(port: u16) {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return };
    let descriptors = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    for descriptor in descriptors.filter(|descriptor| listens_on(*descriptor, port)) {
        set(descriptor, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX);
    }
}

fn listens_on(descriptor: RawFd, port: u16) -> bool {
    get(descriptor, libc::SOL_SOCKET, libc::SO_ACCEPTCONN) == Some(1) && port_of(descriptor) == Some(port)
}

fn get(descriptor: RawFd, level: libc::c_int, option: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut len = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: the pointers are to a live integer and its size; a descriptor that is no socket, or closed meanwhile,
    // gives an error.
    let result = unsafe { libc::getsockopt(descriptor, level, option, (&raw mut value).cast(), &mut len) };
    (result == 0).then_some(value)
}

fn set(descriptor: RawFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) {
    let len = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: as above, and the call only reads the integer.
    unsafe { libc::setsockopt(descriptor, level, option, (&raw const value).cast(), len) };
}

fn port_of(descriptor: RawFd) -> Option<u16> {
    // SAFETY: all zeroes are a valid value of this plain struct.
    let mut address: libc::sockaddr_in6 = unsafe { mem::zeroed() };
    let mut len = mem::size_of_val(&address) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes into the live struct.
    let result = unsafe { libc::getsockname(descriptor, (&raw mut address).cast(), &mut len) };
    // The port is at the same place in the addresses of both families.
    let is_internet =
        i32::from(address.sin6_family) == libc::AF_INET || i32::from(address.sin6_family) == libc::AF_INET6;
    (result == 0 && is_internet).then(|| u16::from_be(address.sin6_port))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn accepted_connections_inherit_the_option() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let bound = listener.local_addr().unwrap();
            keep_queues_short(bound.port());
            let _client = TcpStream::connect(bound).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            let found = get(accepted.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT);
            assert_eq!(found, Some(UNSENT_BYTES_MAX), "{address}");
        }
    }
}
