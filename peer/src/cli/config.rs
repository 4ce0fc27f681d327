//! `config.toml`: settings that need not be typed every time.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::node::NodeError;

/// The largest configuration file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The settings. Every key may be absent; an unknown key is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The tracker's URL.
    pub tracker: Option<String>,
    /// The trust for a tracker of `https://`: `swarm` or `public`.
    pub tracker_tls: Option<String>,
    /// Allow unencrypted connections where no other can be had.
    pub allow_plaintext: Option<bool>,
    /// The plaintext listening address, `host:port`. It applies with `allow_plaintext` only.
    pub plaintext_listen: Option<String>,
    /// The listening address of `daemon` and `share`, `host:port`.
    pub listen: Option<String>,
    /// The address others reach this peer at, `host:port`.
    pub address: Option<String>,
    /// A label; downloads prefer sources with their own.
    pub site: Option<String>,
    /// The folder into which `download` puts files.
    pub output: Option<String>,
    /// Bytes a second of all uploads, like `10M`.
    pub max_upload: Option<Amount>,
    /// Bytes a second of all downloads.
    pub max_download: Option<Amount>,
    /// Connections at once.
    pub max_connections: Option<Amount>,
    /// Bytes of files in memory at once, like `64M`.
    pub max_memory: Option<Amount>,
    /// The loopback `ADDR:PORT` at which `daemon` serves metrics.
    pub metrics: Option<String>,
}

/// A number, or one with a suffix in quotes. Its meaning is looked at where it is used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// A plain number.
    Number(u64),
    /// As it would be typed.
    Text(String),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Every key with its meaning, for docs/OPERATING.md.
pub const CONFIG_KEYS: &[(&str, &str)] = &[
    ("tracker", "the tracker's URL, like https://tracker.example:8080; several of one swarm with commas between them"),
    ("tracker_tls", "the authority of https:// trackers: swarm (the swarm's own, the default) or public (the web's)"),
    ("allow_plaintext", "true: allow unencrypted connections, and listen in plaintext as well; by default false"),
    (
        "plaintext_listen",
        "the address of that plaintext listener, host:port; by default any port of the host of listen",
    ),
    (
        "listen",
        "the address where daemon and share listen, host:port; by default 0.0.0.0:0, any port of all interfaces",
    ),
    ("address", "the address at which others reach this peer, host:port, if it differs from listen"),
    ("site", "a label of this machine's site; downloads prefer sources with the same label"),
    ("output", "the folder for downloads; by default ./downloads"),
    ("max_upload", "bytes a second of all uploads together, like \"10M\"; by default no limit"),
    ("max_download", "bytes a second of all downloads together, like \"10M\"; by default no limit"),
    ("max_connections", "sources used and calls served at once, together; by default no limit"),
    ("max_memory", "bytes of files held in memory at once, like \"64M\", which is the default; 16M at least"),
    ("metrics", "the loopback ADDR:PORT where daemon serves metrics in Prometheus' format; by default none"),
];

/// Every environment variable that the program reads, with its meaning, for docs/OPERATING.md.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    ("PEERNET_HOME", "one folder for configuration and state, instead of the two of the XDG rules"),
    ("XDG_CONFIG_HOME", "the parent folder of peernet/config.toml; by default ~/.config"),
    ("XDG_STATE_HOME", "the parent of peernet/: account, shares and control socket; by default ~/.local/state"),
    ("HOME", "the parent of those defaults, and the folder of version 1's configuration"),
    ("PEERNET_TRACKER", "the tracker's URL, or several with commas between them; --tracker takes precedence"),
    (
        "PEERNET_CA_FINGERPRINT",
        "the SHA-256 of the swarm's authority, for register and login; --ca-fingerprint goes first",
    ),
    ("PEERNET_ALLOW_PLAINTEXT", "1 is --allow-plaintext; 0 overrules allow_plaintext of config.toml"),
    ("PEERNET_PASSWORD", "the password, if neither an option nor a file gives it"),
    ("PEERNET_NEW_PASSWORD", "the new password of the command password, likewise"),
    ("PEERNET_INVITE", "the invite code of the command register, likewise"),
];

impl Config {
    /// Reads the file; absent is empty.
    pub fn load(path: &Path) -> Result<Self, NodeError> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
                return Err(NodeError::Invalid(format!("{} is too long", path.display())));
            }
            _ => {}
        }
        let text = fs::read_to_string(path).map_err(NodeError::local("reading", path))?;
        Self::parse(&text).map_err(|why| NodeError::Invalid(format!("{}: {why}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_key_is_read_and_others_are_refused() {
        for (key, _) in CONFIG_KEYS {
            let value = if *key == "allow_plaintext" { "true" } else { "\"x\"" };
            let config = Config::parse(&format!("{key} = {value}")).unwrap();
            assert_ne!(config, Config::default(), "{key}");
        }
        for bad in ["trackr = \"x\"", "tracker = 1", "tracker"] {
            let message = Config::parse(bad).unwrap_err();
            assert!(message.contains("line 1"), "{message}");
        }
        assert_eq!(Config::parse(""), Ok(Config::default()));
    }

    #[test]
    fn every_setting_reaches_its_field_in_both_forms() {
        let text = "tracker = \"https://t:1\"\ntracker_tls = \"public\"\nallow_plaintext = true\nplaintext_listen = \"h:1\"\n\
                    listen = \"h:2\"\naddress = \"h:3\"\nsite = \"lab\"\noutput = \"/d\"\nmax_upload = \"10M\"\n\
                    max_download = 500\nmax_connections = \"none\"\nmax_memory = 33554432\nmetrics = \"127.0.0.1:1\"\n";
        let owned = |text: &str| Some(text.to_owned());
        let expected = Config {
            tracker: owned("https://t:1"),
            tracker_tls: owned("public"),
            allow_plaintext: Some(true),
            plaintext_listen: owned("h:1"),
            listen: owned("h:2"),
            address: owned("h:3"),
            site: owned("lab"),
            output: owned("/d"),
            max_upload: Some(Amount::Text("10M".to_owned())),
            max_download: Some(Amount::Number(500)),
            max_connections: Some(Amount::Text("none".to_owned())),
            max_memory: Some(Amount::Number(32 << 20)),
            metrics: owned("127.0.0.1:1"),
        };
        assert_eq!(Config::parse(text), Ok(expected.clone()));
        let amounts = [&expected.max_upload, &expected.max_download].map(|amount| amount.as_ref().unwrap().to_string());
        assert_eq!(amounts, ["10M", "500"]);
        for bad in
            ["max_upload = -1", "max_upload = 1.5", "max_upload = true", "allow_plaintext = \"true\"", "site = []"]
        {
            assert!(Config::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_absent_file_is_empty_and_a_bad_one_names_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let message = |path: &Path| match Config::load(path) {
            Err(NodeError::Invalid(why)) => why.replace(folder.path().to_str().unwrap(), "HOME"),
            other => panic!("{other:?}"),
        };
        assert_eq!(Config::load(&path).unwrap(), Config::default());
        fs::write(&path, "site = \"lab\"\nsite = \"lab\"\n").unwrap();
        assert!(message(&path).starts_with("HOME/config.toml: TOML parse error at line 2"), "{}", message(&path));
        fs::write(&path, " ".repeat(FILE_BYTES_MAX as usize + 1)).unwrap();
        assert_eq!(message(&path), "HOME/config.toml is too long");
        fs::write(&path, " ".repeat(FILE_BYTES_MAX as usize)).unwrap();
        assert_eq!(Config::load(&path).unwrap(), Config::default());
        fs::write(&path, b"site = \"\xff\"").unwrap();
        assert!(matches!(Config::load(&path), Err(NodeError::Local { .. })));
    }
}
