//! The URL of one tracker and its transport: plaintext where that was allowed or stays on this machine, TLS with
//! certificates of the swarm's own authority, or TLS with public roots.
//!
//! With the swarm's own authority, the server has to prove with a certificate that it is a tracker, whatever the host
//! of the URL is called. Neither names nor public authorities count, and a move to another host needs no new
//! certificate.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use peernet_protos::identity::TRACKER_NAME;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::url::is_loopback;
use super::{TrackerError, TrackerOptions, TrackerTls};
use crate::identity::Bundle;

/// The longest time for resolving the tracker's name, and for connecting to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for which an idle connection is kept. It is less than the tracker's 30 s, so that no request uses a
/// connection in the moment it is closed.
const IDLE_MAX: Duration = Duration::from_secs(15);
const HTTPS_PORT: u16 = 443;

/// The proof that a tracker has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrackerProof {
    /// None: `http://`.
    Plaintext,
    /// A certificate of the swarm's authority.
    Role,
    /// A certificate for its host name, from a public authority.
    Public,
}

/// One tracker, as it is called.
pub(super) struct Base {
    url: String,
    proof: TrackerProof,
    /// The beginning of the requests' URIs.
    prefix: String,
    /// `None` while the swarm's authority is not known.
    agent: Mutex<Option<Agent>>,
    refused: bool,
}

/// The authorities whose certificates are accepted.
pub(super) enum Roots<'a> {
    /// The swarm's authorities.
    Of(&'a Bundle),
    /// Any authority: for the first contact, in which nothing secret is sent.
    Any,
}

impl Base {
    /// Makes a base of a checked URL without a slash at its end.
    pub(super) fn new(url: &str, options: &TrackerOptions) -> Self {
        let proof = match (url.starts_with("https:"), options.tls) {
            (false, _) => TrackerProof::Plaintext,
            (true, TrackerTls::Swarm) => TrackerProof::Role,
            (true, TrackerTls::Public) => TrackerProof::Public,
        };
        let loopback = is_loopback(url);
        let agent = match proof {
            TrackerProof::Role => None,
            // A proxy named by the environment cannot reach this machine's loopback address.
            TrackerProof::Plaintext | TrackerProof::Public => {
                Some(Agent::new_with_config(config(TlsConfig::default(), !loopback)))
            }
        };
        let refused = proof == TrackerProof::Plaintext && !loopback && !options.allow_plaintext;
        Self { url: url.to_owned(), proof, prefix: prefix(url, proof), agent: Mutex::new(agent), refused }
    }

    /// The URL as the user gave it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn proof(&self) -> TrackerProof {
        self.proof
    }

    pub(super) fn uri(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// Returns the HTTP agent, if the tracker may be called.
    pub(super) fn agent(&self) -> Result<Agent, TrackerError> {
        if self.refused {
            return Err(TrackerError::PlaintextRefused { url: self.url.clone() });
        }
        let agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        agent.ok_or_else(|| TrackerError::NotTrusted { url: self.url.clone() })
    }

    /// Accepts certificates of these authorities only from now on. Has no effect on plaintext and public roots.
    pub(super) fn trust(&self, roots: &Roots<'_>) {
        if self.proof == TrackerProof::Role {
            let agent = role_agent(&self.url, roots);
            *self.agent.lock().unwrap_or_else(PoisonError::into_inner) = Some(agent);
        }
    }
}

fn prefix(url: &str, proof: TrackerProof) -> String {
    let uri: Uri = url.parse().unwrap_or_default();
    match proof {
        TrackerProof::Role => format!("https://{TRACKER_NAME}:{}{}", port(&uri), uri.path().trim_end_matches('/')),
        TrackerProof::Plaintext | TrackerProof::Public => url.to_owned(),
    }
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(HTTPS_PORT)
}

fn role_agent(url: &str, roots: &Roots<'_>) -> Agent {
    let tls = match roots {
        Roots::Any => TlsConfig::builder().disable_verification(true).build(),
        Roots::Of(bundle) => {
            let certificates = bundle.certificates().iter().map(|one| Certificate::from_der(one.as_ref()).to_owned());
            TlsConfig::builder().root_certs(RootCerts::from(certificates)).build()
        }
    };
    let host = url.parse().unwrap_or_default();
    Agent::with_parts(config(tls, false), DefaultConnector::default(), RoleResolver { host })
}

fn config(tls: TlsConfig, by_proxy: bool) -> Config {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("peernet/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .max_idle_age(IDLE_MAX)
        .tls_config(tls);
    if by_proxy { config.build() } else { config.proxy(None).build() }
}

/// Resolves the host that the user named, whatever name the request has.
struct RoleResolver {
    host: Uri,
}

impl fmt::Debug for RoleResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoleResolver({})", self.host)
    }
}

impl Resolver for RoleResolver {
    fn resolve(&self, _: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        DefaultResolver::default().resolve(&self.host, config, timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, options: &TrackerOptions, proof: TrackerProof, uri: &str, may_be_asked: bool) {
        let base = Base::new(url, options);
        assert_eq!((base.proof(), base.uri("/x").as_str()), (proof, uri), "{url}");
        assert_eq!(base.agent().is_ok(), may_be_asked, "{url}");
    }

    #[test]
    fn a_url_says_how_its_tracker_is_spoken_to() {
        let strict = TrackerOptions::default();
        let open = TrackerOptions { allow_plaintext: true, ..TrackerOptions::default() };
        let public = TrackerOptions { tls: TrackerTls::Public, ..TrackerOptions::default() };
        check("https://t:8443", &strict, TrackerProof::Role, "https://tracker.peernet:8443/x", false);
        check("https://t", &strict, TrackerProof::Role, "https://tracker.peernet:443/x", false);
        check("https://[2001:db8::1]/under", &strict, TrackerProof::Role, "https://tracker.peernet:443/under/x", false);
        check("https://t:8443", &public, TrackerProof::Public, "https://t:8443/x", true);
        check("http://127.0.0.1:1", &strict, TrackerProof::Plaintext, "http://127.0.0.1:1/x", true);
        check("http://t:1", &strict, TrackerProof::Plaintext, "http://t:1/x", false);
        check("http://t:1", &public, TrackerProof::Plaintext, "http://t:1/x", false);
        check("http://t:1", &open, TrackerProof::Plaintext, "http://t:1/x", true);
    }
}
