//! The list of settings. It is the only description of each setting.

use std::path::PathBuf;

use argh::FromArgs;
use peernet_engine::economy::Complaints;

use super::value::{Secret, Setting};
use super::{ConfigError, default_data_dir};
use crate::domain::accounts::Registration;
use crate::ops::access_log::AccessMode;
use crate::ops::log::{Format, Level};

/// A setting as the list describes it.
pub struct Field {
    /// The key of the setting in the file.
    pub name: &'static str,
    /// The meaning, line by line, each with its leading space.
    pub doc: &'static [&'static str],
    /// Returns the value as TOML, secrets hidden.
    pub show: fn(&Config) -> String,
    /// Reads and sets it.
    pub(super) set: fn(&mut Config, &str) -> Result<(), String>,
}

impl Field {
    /// The flag without its dashes.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// Returns whether the flag takes no value and switches the setting on. This holds for settings that are off by default.
    pub fn is_switch(&self) -> bool {
        (self.show)(&Config::default()) == false.to_string()
    }

    /// The environment variable.
    pub fn environment(&self) -> String {
        format!("PEERNET_TRACKER_{}", self.name.to_uppercase())
    }

    /// The setting of this name.
    pub fn find(name: &str) -> Option<&'static Field> {
        FIELDS.iter().find(|field| field.name == name)
    }

    /// Sets it from text that came from `origin`.
    pub(super) fn apply(&self, config: &mut Config, origin: &str, text: &str) -> Result<(), ConfigError> {
        (self.set)(config, text).map_err(|why| ConfigError(format!("{origin}: {why}")))
    }
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr;)+) => {
        /// A tracker's settings, defaults filled in.
        #[derive(Debug, Clone)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        /// Every setting, in the order of the documented file.
        pub const FIELDS: &[Field] = &[
            $(Field {
                name: stringify!($name),
                doc: &[$($doc),+],
                show: |config| config.$name.show(),
                set: |config, text| {
                    config.$name = Setting::read(text)?;
                    Ok(())
                },
            },)+
        ];

        /// The settings among the command line's flags, as they were typed.
        #[derive(Debug, Clone, Default, FromArgs)]
        /// settings
        pub struct Flags {
            $($(#[doc = $doc])+ #[argh(option)] pub $name: Option<String>,)+
        }

        impl Flags {
            /// Returns the typed values, by setting.
            pub fn typed(&self) -> Vec<(&'static str, &str)> {
                let all = [$((stringify!($name), self.$name.as_deref())),+];
                all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
            }
        }
    };
}

settings! {
    /// where the public port listens, ADDR:PORT; port 0 picks a free one
    listen: String = "127.0.0.1:8080".to_owned();
    /// folder of the tracker's key, its SQLite database and the operations socket; made with mode 0700
    data_dir: PathBuf = default_data_dir();
    /// whether HTTP without TLS is answered on an address that others reach: for version 1 clients. On loopback it always is
    allow_plaintext: bool = false;
    /// file of a certificate chain (PEM) for browsers and other programs; empty means that the swarm's own authority vouches for
    /// the tracker. Read again when it changes. Peers know the tracker by that authority in any case
    tls_certificate: PathBuf = PathBuf::new();
    /// file of that certificate's key (PEM), readable by its owner only
    tls_key: PathBuf = PathBuf::new();
    /// more host names and addresses in the certificate that the swarm's authority makes for the tracker, with commas between them
    tls_names: String = String::new();
    /// folder of the swarm's certificate authority, the same for all trackers of one database; empty means the data folder
    authority_dir: PathBuf = PathBuf::new();
    /// how long a peer's certificate works, in hours, 1 to 720; it is renewed when half of that is over
    certificate_hours: u32 = 24;
    /// a PostgreSQL database, postgres://USER:PASSWORD@HOST/DATABASE; empty means the SQLite database in the data folder.
    /// DATABASE_URL is read too. On another machine it must prove itself by TLS: sslrootcert=FILE names its authority, sslmode=disable
    /// requests plaintext, as parameters of the URL. As a flag only without a password, because others can read a command line
    database_url: Secret = Secret::default();
    /// file whose first line is the database_url; for container secrets
    database_url_file: PathBuf = PathBuf::new();
    /// database connections, and requests that work on the database at once; 0 means two per core
    database_connections: usize = 0;
    /// where operators reach metrics and health: unix:PATH, a loopback ADDR:PORT, or off; empty means ops.sock in the data folder
    ops_listen: String = String::new();
    /// bcrypt's cost for new passwords, 4 to 16; each step doubles the time of a login
    bcrypt_cost: u32 = 10;
    /// life of an access token without a device, in hours, 1 to 8760
    token_hours: u32 = 24;
    /// life of a device's access token, in minutes, 1 to 1440; the device renews it with its refresh token
    access_minutes: u32 = 15;
    /// life of a refresh token, in days, 1 to 3650; each use renews it
    refresh_days: u32 = 90;
    /// life of a grant, the permission to fetch a file, in hours, 1 to 168; downloads renew it after a quarter of it.
    /// An account that loses access can fetch the file until its grant ends
    grant_hours: u32 = 12;
    /// whether addresses that version 1 peers announce are dialled, and left out of lookups when nothing answers
    dialback: bool = true;
    /// the effect of complaints without proof: evidence (none on others, for open registration) or bounded (a limited one
    /// within a tier, for registration by invitation)
    complaints: Complaints = Complaints::Evidence;
    /// open connections at most; also bounded by the limit on open files
    connections_max: usize = 4_096;
    /// open connections of one client address at most; raise it where many clients share one address
    connections_per_address_max: usize = 64;
    /// proxies in front of the tracker whose X-Forwarded-For is believed: addresses, networks like 10.0.0.0/8 and host names,
    /// with commas between them. Raise connections_per_address_max beside it: all clients come from the proxy's address
    trusted_proxies: String = String::new();
    /// registration of new accounts: open, invite (needs a code of `admin invite create`) or closed
    registration: Registration = Registration::Open;
    /// leases, listings and unfinished announces in memory, all files together; beyond it announces are answered 503 swarm_full
    leases_max: usize = 1_000_000;
    /// mebibytes of memory that they may take, 1 to 1048576; beyond it announces are answered 503 swarm_full
    swarm_mebibytes_max: usize = 512;
    /// files that one account may announce, 1 to 1000000
    files_per_account: usize = 50_000;
    /// bytes of manifests and signatures that one account may store; 0 is no limit
    metadata_bytes_per_account: u64 = 1 << 30;
    /// days that the audit log is kept, at most 36500; 0 is for ever
    audit_days: u32 = 365;
    /// requests a second of one client address, four times as many at once; beyond it 429. 0 is no limit: use it behind a
    /// proxy that is not in trusted_proxies, whose address all clients share
    rate_per_address: u32 = 20_000;
    /// requests a second of one account, four times as many at once; beyond it 429. 0 is no limit
    rate_per_account: u32 = 10_000;
    /// registrations a minute of one client address, as many at once; beyond it 429. 0 is no limit
    registrations_per_address: u32 = 240;
    /// logins, renewals and changes of password a minute of one client address, as many at once; beyond it 429. 0 is no limit, and wrong
    /// passwords are then counted by account and not by address: use it behind a proxy that is not trusted
    logins_per_address: u32 = 600;
    /// seconds a request's head may take
    head_seconds: u64 = 10;
    /// seconds a request's body may take
    body_seconds: u64 = 20;
    /// seconds a connection may be idle between requests
    idle_seconds: u64 = 30;
    /// seconds an answer may take to be written
    write_seconds: u64 = 20;
    /// seconds that requests in flight have to finish when the tracker stops
    drain_seconds: u64 = 10;
    /// seconds between a signal to stop and the end of new connections, in which /ready says draining and everything else is
    /// answered: for a load balancer to move on
    drain_delay_seconds: u64 = 0;
    /// how much is logged on standard error: error, warn, info or debug
    log_level: Level = Level::Info;
    /// how a line of the log looks: text for people, json for programs
    log_format: Format = Format::Text;
    /// which answers are logged: off, errors (from 400 on, at most 100 of each kind a second) or all
    access_log: AccessMode = AccessMode::Errors;
}
