//! Queries, addresses and tokens.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;
use std::time::Duration;

use peernet_door::{Head, Request, RequestId};
use peernet_engine::ids::PeerId;
use peernet_engine::time::UnixMillis;
use peernet_tracker::api::query_args;
use peernet_tracker::api::wire;
use peernet_tracker::base::percent::percent_decode;
use peernet_tracker::domain::accounts::RefreshToken;
use peernet_tracker::domain::address::peer_address;
use peernet_tracker::domain::keys::{Caller, Keys, Lifetimes};
use tiny_http::Method;

use crate::texts;

/// Reads the query of a request: its values, percent-encoded in full, read the same.
pub fn query(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    if let Some(decoded) = percent_decode(&text) {
        assert_eq!(percent_decode(&encode(&decoded)), Some(decoded));
    }
    let Ok(args) = query_args(&request(text)) else { return };
    let pairs: Vec<_> = args.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    assert_eq!(query_args(&request(pairs.join("&"))).expect("well-formed"), args);
}

fn request(query: String) -> Request {
    let head = Head { method: Method::Get, path: "/".to_owned(), query, headers: Vec::new() };
    Request { head, body: Vec::new(), remote: None, id: RequestId::fresh() }
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

pub(super) fn query_examples() -> Vec<Vec<u8>> {
    texts(&["name=a+b%20c&limit=3&after=x%2Fy", "name=%C3%A9&flag&name=last", "=&&%3d=%3D"])
}

/// Reads the address that a peer states. An accepted one is `host:port` in one spelling, and never one that a gRPC
/// client would take for a socket file or a resolver.
pub fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(taken) = peer_address(text) else { return };
    assert_eq!(taken, text.to_ascii_lowercase());
    assert_eq!(peer_address(&taken).expect("what was taken once"), taken);
    assert!(!taken.contains(['/', '@', '%', ' ', ',']) && !taken.starts_with("unix:"), "{taken}");
    let (host, port) = taken.rsplit_once(':').expect("host:port");
    assert!(port.parse::<u16>().is_ok_and(|port| port > 0) && (!host.contains(':') || host.starts_with('[')));
    let seen = wire::announced_address(text, Some(IpAddr::V4(Ipv4Addr::LOCALHOST))).expect("a good address");
    assert!(seen == taken || seen == format!("127.0.0.1:{port}"), "{seen}");
    assert!(!seen.starts_with("0.0.0.0:") && !seen.starts_with("[::]:"), "{seen}");
}

pub(super) fn address_examples() -> Vec<Vec<u8>> {
    texts(&[
        "127.0.0.1:50051",
        "0.0.0.0:1",
        "[::]:9",
        "[2001:db8::1]:65535",
        "My_peer-1.example.org:80",
        "unix:/run/x:1",
    ])
}

/// A token: only what this tracker signed, and only as it signed it; a refresh token only in its one form.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (keys, good) = keys_and_token();
    let verified = keys.verify(NOW, text);
    assert_eq!(verified.is_some(), text == good, "{text}");
    if let Some(refresh_token) = RefreshToken::parse(text) {
        assert_eq!(refresh_token.text(), text);
    }
}

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn keys_and_token() -> &'static (Keys, String) {
    static KEYS: OnceLock<(Keys, String)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let hour = Duration::from_secs(3_600);
        let keys =
            Keys::open(folder.path(), Lifetimes { account: hour, device: hour, grant: hour }).expect("a new key");
        let token = keys.issue(NOW, &Caller::account(PeerId([7; 16]), 1)).text;
        (keys, token)
    })
}

pub(super) fn token_examples() -> Vec<Vec<u8>> {
    let good = &keys_and_token().1;
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIwNzA3MDcwNy0wNzA3LTA3MDctMDcwNy0wNzA3MDcwNzA3MDcifQ.";
    let refresh_token = "pnr_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    texts(&[good, unsigned, &good.replacen('.', "..", 1), refresh_token])
}
