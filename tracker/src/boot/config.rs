//! Configuration: flags, then environment, then a TOML file, then defaults; the first that sets a value wins.
//!
//! One list, in `config/settings.rs`, names every setting with its meaning and default. The struct, the flags, the
//! environment names, the keys of the file and the documented default file are all made from it. Unknown names are
//! refused.

mod layers;
mod settings;
mod value;

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::accounts::AccountSettings;
pub use crate::domain::accounts::Registration;
use crate::domain::keys::Lifetimes;
use crate::domain::limits::RateSettings;
use crate::domain::{authority, swarm};
use crate::store::postgres::address::{Address, AddressError};
pub use layers::{Notice, load, load_from};
use peernet_door::{DoorLimits, LocalAddress, Proxies};
pub use settings::{Config, FIELDS, Field, Flags};
pub use value::Secret;

/// The reason why a configuration was refused: the place and the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// The bounds of bcrypt's cost: below 4 it does not exist, above 16 one login takes seconds.
const BCRYPT_COST: RangeInclusive<usize> = 4..=16;

/// The unit of settings in days.
const DAY: Duration = Duration::from_secs(86_400);
/// The longest deadline: a day.
const SECONDS_MAX: u64 = 86_400;
/// The largest count that can be meant.
const COUNT_MAX: usize = 1_000_000;
/// The longest life of the audit log: a century.
const AUDIT_DAYS_MAX: u32 = 36_500;
/// The largest number of leases: more than one machine's memory holds.
const LEASES_MAX: usize = 1_000_000_000;
/// The most memory of the swarm index: a tebibyte.
const SWARM_MEBIBYTES_MAX: usize = 1 << 20;
/// The longest token life: a year.
const TOKEN_HOURS_MAX: usize = 8_760;
/// The longest life of a device's access token: a day.
const ACCESS_MINUTES_MAX: usize = 1_440;
/// The longest life of a refresh token that is not used: a decade.
const REFRESH_DAYS_MAX: usize = 3_650;
/// The longest life of a grant: a week.
const GRANT_HOURS_MAX: usize = 168;
/// The longest life of a peer's certificate: a month.
const CERTIFICATE_HOURS_MAX: usize = 720;

impl Config {
    /// Checks ranges, addresses, and settings that depend on each other.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |name: &str, why: &str| Err(ConfigError(format!("{name}: {why}")));
        for (name, value, range) in self.ranges() {
            if !range.contains(&value) {
                return refuse(name, &format!("must be {} to {}", range.start(), range.end()));
            }
        }
        if self.tls_certificate.as_os_str().is_empty() != self.tls_key.as_os_str().is_empty() {
            return refuse("tls_certificate", "must come with tls_key, and tls_key with it");
        }
        if self.audit_days > AUDIT_DAYS_MAX {
            return refuse("audit_days", "must be at most 36500");
        }
        for (name, value) in self.at_least_one() {
            if value == 0 {
                return refuse(name, "must be at least 1");
            }
        }
        for (name, value) in self.at_most_a_day() {
            if value > SECONDS_MAX {
                return refuse(name, "must be at most 86400, a day");
            }
        }
        for (name, value) in self.at_most_a_million() {
            if value > COUNT_MAX {
                return refuse(name, "must be at most 1000000");
            }
        }
        if let Some(address) = self.database_address()? {
            address.check_files().map_err(no_database)?;
        }
        self.listen_address()?;
        self.tls_names()?;
        self.proxies()?;
        self.ops_address().map(|_| ())
    }

    /// The settings with bounds of their own.
    fn ranges(&self) -> [(&'static str, usize, RangeInclusive<usize>); 8] {
        [
            ("bcrypt_cost", self.bcrypt_cost as usize, BCRYPT_COST),
            ("token_hours", self.token_hours as usize, 1..=TOKEN_HOURS_MAX),
            ("access_minutes", self.access_minutes as usize, 1..=ACCESS_MINUTES_MAX),
            ("refresh_days", self.refresh_days as usize, 1..=REFRESH_DAYS_MAX),
            ("grant_hours", self.grant_hours as usize, 1..=GRANT_HOURS_MAX),
            ("certificate_hours", self.certificate_hours as usize, 1..=CERTIFICATE_HOURS_MAX),
            ("swarm_mebibytes_max", self.swarm_mebibytes_max, 1..=SWARM_MEBIBYTES_MAX),
            ("leases_max", self.leases_max, 1..=LEASES_MAX),
        ]
    }

    /// The settings in seconds. They are added to points in time, so they need a bound.
    fn at_most_a_day(&self) -> [(&'static str, u64); 6] {
        [
            ("head_seconds", self.head_seconds),
            ("body_seconds", self.body_seconds),
            ("idle_seconds", self.idle_seconds),
            ("write_seconds", self.write_seconds),
            ("drain_seconds", self.drain_seconds),
            ("drain_delay_seconds", self.drain_delay_seconds),
        ]
    }

    fn at_most_a_million(&self) -> [(&'static str, usize); 8] {
        [
            ("files_per_account", self.files_per_account),
            ("rate_per_address", self.rate_per_address as usize),
            ("rate_per_account", self.rate_per_account as usize),
            ("registrations_per_address", self.registrations_per_address as usize),
            ("logins_per_address", self.logins_per_address as usize),
            ("connections_max", self.connections_max),
            ("connections_per_address_max", self.connections_per_address_max),
            ("database_connections", self.database_connections),
        ]
    }

    fn at_least_one(&self) -> [(&'static str, u64); 7] {
        [
            ("files_per_account", self.files_per_account as u64),
            ("connections_max", self.connections_max as u64),
            ("connections_per_address_max", self.connections_per_address_max as u64),
            ("head_seconds", self.head_seconds),
            ("body_seconds", self.body_seconds),
            ("idle_seconds", self.idle_seconds),
            ("write_seconds", self.write_seconds),
        ]
    }

    /// The address of the PostgreSQL database, if there is one, and the protection of the link to it.
    pub fn database_address(&self) -> Result<Option<Address>, ConfigError> {
        let Some(text) = self.database_url.reveal() else { return Ok(None) };
        Address::parse(text).map(Some).map_err(no_database)
    }

    /// The address of the public port. A name is resolved; its first address counts.
    pub fn listen_address(&self) -> Result<SocketAddr, ConfigError> {
        let refuse = |why: &str| ConfigError(format!("listen: {:?} is not ADDR:PORT: {why}", self.listen));
        let mut addresses = self.listen.to_socket_addrs().map_err(|error| refuse(&error.to_string()))?;
        addresses.next().ok_or_else(|| refuse("it has no address"))
    }

    /// Returns whether HTTP without TLS is answered on the public port, which listens at `address`.
    pub fn answers_plaintext(&self, address: SocketAddr) -> bool {
        self.allow_plaintext || address.ip().is_loopback()
    }

    /// The location of the swarm's authority, and the names in the tracker's own certificate.
    pub fn authority(&self) -> Result<authority::Setup, ConfigError> {
        let is_set = |path: &PathBuf| !path.as_os_str().is_empty();
        let folder = Some(&self.authority_dir).filter(|path| is_set(path)).unwrap_or(&self.data_dir);
        let given = is_set(&self.tls_certificate).then(|| (self.tls_certificate.clone(), self.tls_key.clone()));
        Ok(authority::Setup {
            folder: folder.clone(),
            lifetime: Duration::from_secs(u64::from(self.certificate_hours) * 3_600),
            names: self.tls_names()?,
            given,
        })
    }

    /// The known names and addresses of this machine, and the configured ones.
    fn tls_names(&self) -> Result<Vec<String>, ConfigError> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let listen = self.listen_address()?.ip();
        let known = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into_iter();
        let known = known.chain(Some(host).filter(|host| authority::is_name(host)));
        let known = known.chain(Some(listen).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()));
        let mut names: Vec<String> = Vec::new();
        let given = self.tls_names.split(',').map(str::trim).filter(|name| !name.is_empty());
        for name in known.chain(given.map(str::to_owned)) {
            if !authority::is_name(&name) {
                return Err(ConfigError(format!("tls_names: {name:?} is no host name or address")));
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The proxies whose `X-Forwarded-For` is trusted.
    pub fn proxies(&self) -> Result<Proxies, ConfigError> {
        self.trusted_proxies.parse().map_err(|why| ConfigError(format!("trusted_proxies: {why}")))
    }

    /// The address of the operations listener; `None` for `off`.
    pub fn ops_address(&self) -> Result<Option<LocalAddress>, ConfigError> {
        let refuse = |why: &str| ConfigError(format!("ops_listen: {why}"));
        if self.ops_listen == "off" {
            return Ok(None);
        }
        if self.ops_listen.is_empty() {
            return Ok(Some(LocalAddress::Unix(self.data_dir.join("ops.sock"))));
        }
        if let Some(path) = self.ops_listen.strip_prefix("unix:") {
            return Ok(Some(LocalAddress::Unix(PathBuf::from(path))));
        }
        let address: SocketAddr =
            self.ops_listen.parse().map_err(|_| refuse("must be unix:PATH, a loopback ADDR:PORT or off"))?;
        if !address.ip().is_loopback() {
            return Err(refuse("only a loopback address or a Unix socket may serve operators"));
        }
        Ok(Some(LocalAddress::Loopback(address)))
    }

    /// The number of database connections, which is also the number of requests that use the database at once.
    pub fn database_connections(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        if self.database_connections == 0 { 2 * cores } else { self.database_connections }
    }

    /// The door's limits.
    pub fn door_limits(&self) -> DoorLimits {
        DoorLimits {
            connections_max: self.connections_max,
            connections_per_address_max: self.connections_per_address_max,
            head_deadline: Duration::from_secs(self.head_seconds),
            body_deadline: Duration::from_secs(self.body_seconds),
            idle_deadline: Duration::from_secs(self.idle_seconds),
            write_deadline: Duration::from_secs(self.write_seconds),
            ..DoorLimits::default()
        }
    }

    /// The request rates of clients.
    pub fn rates(&self) -> RateSettings {
        RateSettings {
            per_address: self.rate_per_address,
            per_account: self.rate_per_account,
            registrations: self.registrations_per_address,
            logins: self.logins_per_address,
        }
    }

    /// The lifetimes of tokens and grants.
    pub fn lifetimes(&self) -> Lifetimes {
        Lifetimes {
            account: Duration::from_secs(u64::from(self.token_hours) * 3_600),
            device: Duration::from_secs(u64::from(self.access_minutes) * 60),
            grant: Duration::from_secs(u64::from(self.grant_hours) * 3_600),
        }
    }

    /// The rules of accounts.
    pub fn account_settings(&self) -> AccountSettings {
        AccountSettings {
            registration: self.registration,
            refresh_lifetime: DAY * self.refresh_days,
            certificate_lifetime: Duration::from_secs(u64::from(self.certificate_hours) * 3_600),
            audit_log_age_max: (self.audit_days > 0).then(|| DAY * self.audit_days),
        }
    }

    /// The index's bounds.
    pub fn swarm_limits(&self) -> swarm::Limits {
        swarm::Limits {
            leases_max: self.leases_max,
            bytes_max: self.swarm_mebibytes_max << 20,
            files_per_peer_max: self.files_per_account,
            ..Default::default()
        }
    }

    /// The settings as a TOML file with a comment on each; secrets are shown as `"(hidden)"`.
    pub fn to_toml(&self) -> String {
        let mut text = String::from("# peernet-tracker configuration\n");
        for field in FIELDS {
            let comment: String = field.doc.iter().map(|line| format!("#{line}\n")).collect();
            text.push_str(&format!("\n{comment}# Flag --{}, environment {}\n", field.flag(), field.environment()));
            text.push_str(&format!("{} = {}\n", field.name, (field.show)(self)));
        }
        text
    }
}

fn no_database(error: AddressError) -> ConfigError {
    ConfigError(format!("database_url: {error}"))
}

/// `$XDG_DATA_HOME/peernet-tracker`, or what the XDG rules put in its place.
pub fn default_data_dir() -> PathBuf {
    xdg_folder("XDG_DATA_HOME", ".local/share")
}

/// `$XDG_CONFIG_HOME/peernet-tracker/config.toml`, or what the XDG rules put in its place.
pub fn default_config_file() -> PathBuf {
    xdg_folder("XDG_CONFIG_HOME", ".config").join("config.toml")
}

fn xdg_folder(variable: &str, below_home: &str) -> PathBuf {
    let given = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map_or_else(|| Path::new(".").to_owned(), PathBuf::from);
    given.unwrap_or_else(|| home().join(below_home)).join("peernet-tracker")
}

#[cfg(test)]
mod tests;
