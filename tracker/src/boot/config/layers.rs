//! The layers a configuration comes from, and which of them wins.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::settings::{Config, FIELDS, Field, Flags};
use super::value::Secret;
use super::{ConfigError, default_config_file};

/// A remark for the operator about a configuration that works.
pub type Notice = String;

/// Prefix of our environment variables.
const PREFIX: &str = "PEERNET_TRACKER_";
/// Names the configuration file.
const CONFIG_VARIABLE: &str = "PEERNET_TRACKER_CONFIG";
/// The largest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Loads the configuration of this process. `file` is the flag `--config`, if given.
pub fn load(file: Option<&Path>, flags: &Flags) -> Result<(Config, Vec<Notice>), ConfigError> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    load_from(file, &environment, flags)
}

/// The same with the environment given.
pub fn load_from(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
    flags: &Flags,
) -> Result<(Config, Vec<Notice>), ConfigError> {
    let mut config = Config::default();
    apply_file(&mut config, &read_file(file, environment)?)?;
    let notices = apply_environment(&mut config, environment)?;
    apply_flags(&mut config, flags)?;
    read_database_url(&mut config)?;
    config.check()?;
    Ok((config, notices))
}

fn apply_flags(config: &mut Config, flags: &Flags) -> Result<(), ConfigError> {
    for (name, value) in flags.typed() {
        if name == "database_url" && has_password(value) {
            let message = "--database-url: others can read a command line; give a URL with a password by DATABASE_URL, \
                 --database-url-file or the configuration file";
            return Err(ConfigError(message.to_owned()));
        }
        let field = Field::find(name).expect("flags and fields come from one list");
        field.apply(config, &format!("--{}", field.flag()), value)?;
    }
    Ok(())
}

fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let user = authority.split_once('@').map(|(user, _)| user);
    user.is_some_and(|user| user.contains(':')) || url.contains("password=")
}

fn apply_environment(config: &mut Config, environment: &BTreeMap<String, String>) -> Result<Vec<Notice>, ConfigError> {
    let notices = apply_version_1_environment(config, environment)?;
    for (name, value) in environment.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        if name == CONFIG_VARIABLE {
            continue;
        }
        let unknown = || ConfigError(format!("environment {name}: there is no such setting"));
        let field = FIELDS.iter().find(|field| field.environment() == *name).ok_or_else(unknown)?;
        field.apply(config, &format!("environment {name}"), value)?;
    }
    Ok(notices)
}

/// The names that deployments of version 1 set; our own names come after them and win.
fn apply_version_1_environment(
    config: &mut Config,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<Notice>, ConfigError> {
    if let Some(port) = environment.get("TRACKER_PORT") {
        let port: u16 =
            port.parse().map_err(|_| ConfigError(format!("environment TRACKER_PORT: {port:?} is not a port")))?;
        config.listen = format!("0.0.0.0:{port}");
    }
    if let Some(url) = environment.get("DATABASE_URL") {
        config.database_url = Secret::new(url);
    }
    let secret = environment.contains_key("JWT_SECRET");
    let notice = "JWT_SECRET is ignored: the tracker signs tokens with its own key, kept in its data folder";
    Ok(secret.then(|| notice.to_owned()).into_iter().collect())
}

/// A file that was named must be there; the default one may be missing.
fn read_file(
    named: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<Option<(String, String)>, ConfigError> {
    let by_environment = environment.get(CONFIG_VARIABLE).map(Path::new);
    let default = default_config_file();
    let path = named.or(by_environment).unwrap_or(&default);
    let origin = path.display().to_string();
    let too_large = fs::metadata(path).is_ok_and(|metadata| metadata.len() > FILE_BYTES_MAX);
    if too_large {
        return Err(ConfigError(format!("{origin}: too large for a configuration file")));
    }
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some((origin, text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path == default => Ok(None),
        Err(error) => Err(ConfigError(format!("{origin}: {error}"))),
    }
}

fn apply_file(config: &mut Config, file: &Option<(String, String)>) -> Result<(), ConfigError> {
    let Some((origin, text)) = file else { return Ok(()) };
    let table: toml::Table = text.parse().map_err(|error| unreadable(origin, text, &error))?;
    for (key, value) in &table {
        let unknown = || ConfigError(format!("{origin}: unknown key {key:?}"));
        let field = Field::find(key).ok_or_else(unknown)?;
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            _ => return Err(ConfigError(format!("{origin}: {key} must be a text, a whole number, or true or false"))),
        };
        field.apply(config, &format!("{origin}: {key}"), &text)?;
    }
    Ok(())
}

/// Returns the place and the reason, without the line itself, which toml would quote: a password may be in it.
fn unreadable(origin: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    ConfigError(format!("{origin}: line {}: {}", before.matches('\n').count() + 1, error.message()))
}

fn read_database_url(config: &mut Config) -> Result<(), ConfigError> {
    let path = &config.database_url_file;
    if path.as_os_str().is_empty() || config.database_url.reveal().is_some() {
        return Ok(());
    }
    let text = fs::read_to_string(path).map_err(|error| ConfigError(format!("{}: {error}", path.display())))?;
    config.database_url = Secret::new(text.lines().next().unwrap_or_default().trim());
    Ok(())
}
