//! The setting `database_url`: the place of the server, and the protection of the connection to it.
//!
//! `sslmode` and its companions have libpq's meaning, with two differences, both towards more protection. Without `sslmode` a server on
//! another machine must prove its identity, where libpq would accept any. And no file in a home folder is read.

mod parameters;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use postgres::Config;
use postgres::config::{ChannelBinding, Host, SslMode};

use self::parameters::Parameters;
use super::connection::describe;

/// A database's address; see the module.
#[derive(Debug, Clone)]
pub struct Address {
    config: Config,
    protection: Protection,
}

/// The protection of the connection to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// None: the server is on this machine, and the address demands nothing else.
    Local,
    /// None, because of `sslmode=disable`.
    Plaintext,
    /// TLS, with these demands.
    Tls(Tls),
}

/// The demands on TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Whether a server without TLS is refused; false for `sslmode=prefer` only.
    pub required: bool,
    /// Whether this is the default, and the address has no `sslmode`.
    pub by_default: bool,
    /// The proof that is demanded of the server.
    pub proof: Proof,
    /// The certificate of this side, if the server demands one.
    pub client: Option<ClientFiles>,
}

/// The proof that a server must give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// None: TLS then protects against listeners only.
    Nothing,
    /// A certificate by an authority in this file (PEM), for any name.
    Authority(PathBuf),
    /// A certificate by an authority, for the name in the address.
    Name(Roots),
}

/// The trusted authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// The authorities that this machine trusts.
    System,
    /// The authorities in a file (PEM).
    File(PathBuf),
}

/// A certificate and its key (PEM), with which this side authenticates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// The file of the certificate chain, this side's certificate first.
    pub certificate: PathBuf,
    /// The file of the key, readable by its owner only.
    pub key: PathBuf,
}

/// The reason why an address is refused. It never quotes a value that may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AddressError {}

impl Address {
    /// Parses `postgres://user:password@host:port/database` or libpq's `key=value` form. Uses no file and no network.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let no_address = |why: &dyn fmt::Display| AddressError(format!("not a PostgreSQL address: {why}"));
        let (rest, parameters) = parameters::split(text).map_err(|why| no_address(&why))?;
        // The parser's error names the wrong option, never its value.
        let config: Config = rest.parse().map_err(|error| no_address(&describe(&error)))?;
        let protection = decide(&config, parameters).map_err(AddressError)?;
        let encrypted = matches!(protection, Protection::Tls(_));
        if config.get_channel_binding() == ChannelBinding::Require && !encrypted {
            return Err(AddressError("channel_binding=require needs TLS: set sslmode=require or stricter".to_owned()));
        }
        Ok(Self { config, protection })
    }

    /// Checks that the files of the address exist.
    pub fn check_files(&self) -> Result<(), AddressError> {
        let Protection::Tls(tls) = &self.protection else { return Ok(()) };
        for (name, path) in tls.files() {
            let why = match std::fs::metadata(path) {
                Ok(metadata) if metadata.is_file() => continue,
                Ok(_) => "not a file".to_owned(),
                Err(error) => error.to_string(),
            };
            return Err(AddressError(format!("{name} {}: {why}", path.display())));
        }
        Ok(())
    }

    /// Returns the protection of the connection.
    pub fn protection(&self) -> &Protection {
        &self.protection
    }

    /// Returns the library's configuration, whose `ssl_mode` decides whether it uses TLS, and the protection.
    pub(super) fn into_parts(self) -> (Config, Protection) {
        let Self { mut config, protection } = self;
        config.ssl_mode(match &protection {
            Protection::Local | Protection::Plaintext => SslMode::Disable,
            Protection::Tls(Tls { required: false, .. }) => SslMode::Prefer,
            Protection::Tls(Tls { required: true, .. }) => SslMode::Require,
        });
        if config.get_hosts().is_empty() {
            // A server without a name must prove its address.
            for address in config.get_hostaddrs().to_vec() {
                config.host(&address.to_string());
            }
        }
        (config, protection)
    }
}

impl Protection {
    /// Returns the `sslmode` that describes the protection, or `local`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Plaintext => "disable",
            Self::Tls(Tls { required: false, .. }) => "prefer",
            Self::Tls(Tls { proof: Proof::Nothing, .. }) => "require",
            Self::Tls(Tls { proof: Proof::Authority(_), .. }) => "verify-ca",
            Self::Tls(Tls { proof: Proof::Name(_), .. }) => "verify-full",
        }
    }
}

impl Tls {
    /// Returns the needed files, each with the parameter that names it.
    fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let root = match &self.proof {
            Proof::Authority(file) | Proof::Name(Roots::File(file)) => Some(file),
            Proof::Nothing | Proof::Name(Roots::System) => None,
        };
        let root = root.map(|file| ("sslrootcert", file.as_path()));
        let client = self.client.iter();
        root.into_iter()
            .chain(client.flat_map(|files| [("sslcert", files.certificate.as_path()), ("sslkey", files.key.as_path())]))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Mode {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            // The library cannot try plaintext first.
            "allow" => Err("sslmode=allow is not offered: use disable, prefer or stricter".to_owned()),
            _ => Err("sslmode must be disable, prefer, require, verify-ca or verify-full".to_owned()),
        }
    }
}

fn decide(config: &Config, parameters: Parameters) -> Result<Protection, String> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let mode = parameters.mode.as_deref().map(Mode::parse).transpose()?;
    let root = given(parameters.root)
        .map(|text| if text == "system" { Roots::System } else { Roots::File(PathBuf::from(text)) });
    let client = match (given(parameters.certificate), given(parameters.key)) {
        (Some(certificate), Some(key)) => Some(ClientFiles { certificate: certificate.into(), key: key.into() }),
        (None, None) => None,
        _ => return Err("sslcert must come with sslkey, and sslkey with it".to_owned()),
    };
    let servers = Servers::of(config);
    if servers.only_sockets {
        return Ok(Protection::Local);
    }
    let mode_used = match mode {
        Some(mode) => mode,
        None if servers.all_here && root.is_none() && client.is_none() => return Ok(Protection::Local),
        None => Mode::VerifyFull,
    };
    if mode_used == Mode::Disable {
        return Ok(Protection::Plaintext);
    }
    if servers.has_socket {
        return Err("there is no TLS on a Unix socket: use the socket alone, or set sslmode=disable".to_owned());
    }
    let proof = proof(mode_used, root)?;
    Ok(Protection::Tls(Tls { required: mode_used != Mode::Prefer, by_default: mode.is_none(), proof, client }))
}

fn proof(mode: Mode, root: Option<Roots>) -> Result<Proof, String> {
    match (mode, root) {
        (Mode::VerifyFull, root) => Ok(Proof::Name(root.unwrap_or(Roots::System))),
        // An attacker with a certificate for any name of their own would pass.
        (_, Some(Roots::System)) => Err("sslrootcert=system needs sslmode=verify-full".to_owned()),
        (Mode::VerifyCa, None) => {
            Err("sslmode=verify-ca needs sslrootcert=FILE with the authority's certificate".to_owned())
        }
        (_, Some(Roots::File(file))) => Ok(Proof::Authority(file)),
        (_, None) => Ok(Proof::Nothing),
    }
}

/// The servers of an address.
struct Servers {
    has_socket: bool,
    /// Also true when the address names no server, which is an error elsewhere.
    only_sockets: bool,
    /// Whether all servers are sockets or loopback addresses.
    all_here: bool,
}

impl Servers {
    fn of(config: &Config) -> Self {
        let hosts = config.get_hosts();
        let addresses = config.get_hostaddrs();
        let servers = || (0..hosts.len().max(addresses.len())).map(|at| (hosts.get(at), addresses.get(at)));
        let is_socket = |server: &(Option<&Host>, Option<&IpAddr>)| matches!(server, (Some(Host::Unix(_)), None));
        let is_here = |server: (Option<&Host>, Option<&IpAddr>)| match server {
            (_, Some(address)) => address.to_canonical().is_loopback(),
            (Some(Host::Unix(_)), None) => true,
            (Some(Host::Tcp(name)), None) => is_loopback(name),
            (None, None) => false,
        };
        Self {
            has_socket: servers().any(|server| is_socket(&server)),
            only_sockets: servers().all(|server| is_socket(&server)),
            all_here: servers().all(is_here),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests;
