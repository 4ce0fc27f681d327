//! `health`: asks this machine's tracker whether it is up, as a container's health check does.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::config::Config;

/// For connecting, and for each read and write.
const TIMEOUT: Duration = Duration::from_secs(3);
/// An answer of ours is shorter.
const ANSWER_BYTES_MAX: u64 = 4_096;

/// Asks `/health` on the configured public port. The error says what is wrong.
pub fn check(config: &Config) -> Result<(), String> {
    let address = local(config.listen_address().map_err(|error| error.to_string())?);
    let answer = ask(address).map_err(|error| format!("no answer from {address}: {error}"))?;
    let status = answer.lines().next().unwrap_or_default();
    let up = status.starts_with("HTTP/1.1 200 ") && answer.contains(r#""UP""#);
    if up { Ok(()) } else { Err(format!("{address} answered {status:?}")) }
}

/// Where a listener on all addresses is reached from here.
fn local(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
