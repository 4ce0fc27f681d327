//! What `database_url` says: where the server is, and how the link to it is protected.
//!
//! `sslmode` and its companions mean what they mean to libpq, with two differences, both towards more protection. Without `sslmode` a
//! server on another machine has to prove itself, where libpq would take what it gets; and no file of a home folder is looked for.

mod parameters;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use postgres::Config;
use postgres::config::{ChannelBinding, Host, SslMode};

use self::parameters::Parameters;
use super::trouble::describe;

/// A database's address; see the module.
#[derive(Debug, Clone)]
pub struct Address {
    config: Config,
    protection: Protection,
}

/// How the link to the server is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// Not: the server is on this machine, and nothing else was asked for.
    Local,
    /// Not, because `sslmode=disable` says so.
    Plaintext,
    /// By TLS.
    Tls(Tls),
}

/// How TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Whether a server without TLS is refused; false for `sslmode=prefer` only.
    pub required: bool,
    /// Whether that is our default, rather than asked for.
    pub by_default: bool,
    /// What the server has to prove.
    pub proof: Proof,
    /// What this side shows, if the server asks.
    pub client: Option<ClientFiles>,
}

/// What a server has to prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Nothing: what is said is hidden from who only listens.
    Nothing,
    /// That an authority in this file (PEM) vouches for it, whatever its name.
    Authority(PathBuf),
    /// That an authority vouches for it by the name it was called.
    Name(Roots),
}

/// Whose word counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Of the authorities this machine trusts.
    System,
    /// Of those in a file (PEM).
    File(PathBuf),
}

/// A certificate and its key (PEM), by which the server knows this side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// The chain, its own first.
    pub certificate: PathBuf,
    /// Readable by its owner only.
    pub key: PathBuf,
}

/// Why an address is refused; never quotes a value of it that may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AddressError {}

impl Address {
    /// Takes `postgres://user:password@host:port/database` or libpq's `key=value` form. Touches no file and no network.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let no_address = |why: &dyn fmt::Display| AddressError(format!("not a PostgreSQL address: {why}"));
        let (rest, parameters) = parameters::split(text).map_err(|why| no_address(&why))?;
        // The parser's error names the option at fault, never its value.
        let config: Config = rest.parse().map_err(|error| no_address(&describe(&error)))?;
        let protection = decide(&config, parameters).map_err(AddressError)?;
        let encrypted = matches!(protection, Protection::Tls(_));
        if config.get_channel_binding() == ChannelBinding::Require && !encrypted {
            return Err(AddressError("channel_binding=require needs TLS: say sslmode=require or stricter".to_owned()));
        }
        Ok(Self { config, protection })
    }

    /// Checks that the files it names are there.
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

    /// How the link is protected.
    pub fn protection(&self) -> &Protection {
        &self.protection
    }

    /// For the library, which is told by `ssl_mode` whether it speaks TLS.
    pub(super) fn into_parts(self) -> (Config, Protection) {
        let Self { mut config, protection } = self;
        config.ssl_mode(match &protection {
            Protection::Local | Protection::Plaintext => SslMode::Disable,
            Protection::Tls(Tls { required: false, .. }) => SslMode::Prefer,
            Protection::Tls(Tls { required: true, .. }) => SslMode::Require,
        });
        if config.get_hosts().is_empty() {
            // A server that has only an address must prove that.
            for address in config.get_hostaddrs().to_vec() {
                config.host(&address.to_string());
            }
        }
        (config, protection)
    }
}

impl Protection {
    /// The `sslmode` that says what is done, or `local`.
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
    /// Every file it needs, with the parameter that names it.
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
            "allow" => Err("sslmode=allow is not offered: say disable, prefer or stricter".to_owned()),
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
    let place = Place::of(config);
    if place.only_sockets {
        return Ok(Protection::Local);
    }
    let wanted = match mode {
        Some(mode) => mode,
        None if place.all_here && root.is_none() && client.is_none() => return Ok(Protection::Local),
        None => Mode::VerifyFull,
    };
    if wanted == Mode::Disable {
        return Ok(Protection::Plaintext);
    }
    if place.has_socket {
        return Err("there is no TLS on a Unix socket: name it alone, or say sslmode=disable".to_owned());
    }
    let proof = proof(wanted, root)?;
    Ok(Protection::Tls(Tls { required: wanted != Mode::Prefer, by_default: mode.is_none(), proof, client }))
}

fn proof(mode: Mode, root: Option<Roots>) -> Result<Proof, String> {
    match (mode, root) {
        (Mode::VerifyFull, root) => Ok(Proof::Name(root.unwrap_or(Roots::System))),
        // Whoever can get a certificate for any name of his own would pass.
        (_, Some(Roots::System)) => Err("sslrootcert=system needs sslmode=verify-full".to_owned()),
        (Mode::VerifyCa, None) => {
            Err("sslmode=verify-ca needs sslrootcert=FILE with the authority's certificate".to_owned())
        }
        (_, Some(Roots::File(file))) => Ok(Proof::Authority(file)),
        (_, None) => Ok(Proof::Nothing),
    }
}

/// Where the servers of an address are.
struct Place {
    has_socket: bool,
    /// Also when none is named, which is no address.
    only_sockets: bool,
    /// Sockets and loopback addresses.
    all_here: bool,
}

impl Place {
    fn of(config: &Config) -> Self {
        let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
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
