//! `health`: asks the tracker on this machine whether it is up, as a container's health check does. It uses TLS if the tracker
//! does not answer plaintext.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use peernet_protos::identity::TRACKER_NAME;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::boot::config::Config;
use crate::domain::authority;

/// The longest wait for the connection, and for each read and write.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The most bytes that are read; the tracker's answer is shorter.
const ANSWER_BYTES_MAX: u64 = 4_096;

/// Requests `/health` on the configured public port. The error is the text to print.
pub fn check(config: &Config) -> Result<(), String> {
    let listen = config.listen_address().map_err(|error| error.to_string())?;
    let tls = if config.answers_plaintext(listen) { None } else { Some(trust(config)?) };
    let address = local(listen);
    let answer = ask(address, tls).map_err(|error| format!("no answer from {address}: {error}"))?;
    let status = answer.lines().next().unwrap_or_default();
    let up = status.starts_with("HTTP/1.1 200 ") && answer.contains(r#""UP""#);
    if up { Ok(()) } else { Err(format!("{address} answered {status:?}")) }
}

/// Returns the address at which a listener on all addresses is reached from this machine.
fn local(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Trusts only the swarm's own authority.
fn trust(config: &Config) -> Result<ClientConfig, String> {
    let setup = config.authority().map_err(|error| error.to_string())?;
    let bundle = authority::bundle(&setup.folder).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle.as_bytes()).flatten());
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn ask(address: SocketAddr, tls: Option<ClientConfig>) -> io::Result<String> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let Some(config) = tls else { return talk(stream) };
    let name = ServerName::try_from(TRACKER_NAME).map_err(io::Error::other)?;
    let session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    talk(StreamOwned::new(session, stream))
}

fn talk(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
