//! The limits as they are typed and configured, and `limit`, which asks the daemon for others.

use std::fmt::Display;
use std::str::FromStr;

use peernet_engine::rate_limit::{Rate, RateSetting};
use serde_json::{Value, json};

use super::args::{Daemon, Download, Limit, Share};
use super::config::{Amount, Config};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::size;
use super::query::no_daemon;
use super::share::problem;
use crate::control::{Last, LimitsMessage, Request};
use crate::error::NodeError;
use crate::throttle::{ConnectionsSetting, SpeedLimits};

/// What one command has of the four options.
pub(super) struct Typed<'a> {
    upload: Option<&'a str>,
    download: Option<&'a str>,
    connections: Option<&'a str>,
    memory: Option<&'a str>,
}

macro_rules! typed_from {
    ($($command:ty),*) => {$(
        impl<'a> From<&'a $command> for Typed<'a> {
            fn from(command: &'a $command) -> Self {
                Self {
                    upload: command.max_upload.as_deref(),
                    download: command.max_download.as_deref(),
                    connections: command.max_connections.as_deref(),
                    memory: command.max_memory.as_deref(),
                }
            }
        }
    )*};
}

typed_from!(Share, Download, Daemon, Limit);

impl Typed<'_> {
    pub(super) fn is_empty(&self) -> bool {
        [self.upload, self.download, self.connections, self.memory].iter().all(Option::is_none)
    }

    /// With what the configuration says where nothing was typed.
    pub(super) fn limits(&self, config: &Config) -> Result<SpeedLimits, Failure> {
        let or = |typed: Option<&str>, configured: &Option<Amount>| {
            typed.map(str::to_owned).or_else(|| configured.as_ref().map(Amount::to_string))
        };
        let message = LimitsRequest {
            upload: or(self.upload, &config.max_upload),
            download: or(self.download, &config.max_download),
            connections: or(self.connections, &config.max_connections),
            memory: or(self.memory, &config.max_memory),
        };
        Ok(message.applied_to(SpeedLimits::default())?)
    }
}

/// Limits in a user's words; what is absent stays as it is.
pub(super) struct LimitsRequest {
    pub(super) upload: Option<String>,
    pub(super) download: Option<String>,
    pub(super) connections: Option<String>,
    pub(super) memory: Option<String>,
}

impl LimitsRequest {
    /// These, and where one is absent that of `limits`.
    pub(super) fn applied_to(&self, mut limits: SpeedLimits) -> Result<SpeedLimits, NodeError> {
        if let Some(RateSetting(rate)) = read("max-upload", self.upload.as_deref())? {
            limits.max_upload = rate;
        }
        if let Some(RateSetting(rate)) = read("max-download", self.download.as_deref())? {
            limits.max_download = rate;
        }
        if let Some(ConnectionsSetting(number)) = read("max-connections", self.connections.as_deref())? {
            limits.max_connections = number;
        }
        limits.max_memory = read("max-memory", self.memory.as_deref())?.unwrap_or(limits.max_memory);
        Ok(limits)
    }
}

fn read<T: FromStr>(name: &str, text: Option<&str>) -> Result<Option<T>, NodeError>
where
    T::Err: Display,
{
    text.map(str::parse).transpose().map_err(|error| NodeError::Invalid(format!("{name}: {error}")))
}

pub(super) fn limit(context: &Context, typed: &Limit) -> Result<Exit, Failure> {
    // Nonsense is refused whether or not a daemon runs.
    Typed::from(typed).limits(&Config::default())?;
    let request = Request::Limit {
        max_upload: typed.max_upload.clone(),
        max_download: typed.max_download.clone(),
        max_connections: typed.max_connections.clone(),
        max_memory: typed.max_memory.clone(),
    };
    let daemon = context.daemon().ok_or_else(|| no_daemon(context))?;
    match daemon.ask(request, &mut |_| {}).map_err(problem)? {
        Last::Limits(limits) => {
            context.output.result(&people(&limits), &programs(&limits));
            Ok(Exit::Ok)
        }
        _ => Err(Failure { exit: Exit::Failure, message: "the daemon answered something else".to_owned() }),
    }
}

fn people(limits: &LimitsMessage) -> String {
    let rate = |rate: Option<u64>| match rate.and_then(Rate::new) {
        Some(rate) => format!("{}/s ({rate})", size(rate.bytes_per_second())),
        None => "no limit".to_owned(),
    };
    let connections = limits.max_connections.map_or_else(|| "no limit".to_owned(), |number| number.to_string());
    format!(
        "upload       {}\ndownload     {}\nconnections  {connections}\nmemory       {}",
        rate(limits.max_upload),
        rate(limits.max_download),
        limits.max_memory.map_or_else(|| "unknown".to_owned(), size)
    )
}

pub(super) fn programs(limits: &LimitsMessage) -> Value {
    json!({
        "max_upload": limits.max_upload,
        "max_download": limits.max_download,
        "max_connections": limits.max_connections,
        "max_memory": limits.max_memory,
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::memory::MemoryMax;

    #[test]
    fn what_is_typed_wins_over_what_is_configured() {
        let config = Config {
            max_upload: Some(Amount::Text("1M".to_owned())),
            max_download: Some(Amount::Number(500)),
            max_connections: Some(Amount::Number(7)),
            max_memory: Some(Amount::Text("32M".to_owned())),
            ..Config::default()
        };
        let typed = Typed { upload: Some("2K"), download: None, connections: Some("none"), memory: None };
        let expected = SpeedLimits {
            max_upload: Rate::new(2_048),
            max_download: Rate::new(500),
            max_connections: None,
            max_memory: MemoryMax::new(32 << 20).unwrap(),
        };
        assert_eq!(typed.limits(&config), Ok(expected));
        let bad = Config { max_upload: Some(Amount::Text("fast".to_owned())), ..Config::default() };
        let failure = Typed { upload: None, download: None, connections: None, memory: None }.limits(&bad).unwrap_err();
        assert!(failure.exit == Exit::Usage && failure.message.starts_with("max-upload: \"fast\""), "{failure}");
    }

    #[test]
    fn what_is_not_said_stays_as_it_is() {
        let (max_upload, max_connections) = (Rate::new(5), NonZeroU32::new(3));
        let present = SpeedLimits { max_upload, max_connections, ..SpeedLimits::default() };
        let changed = |upload: Option<&str>, connections: Option<&str>, memory: Option<&str>| {
            let [upload, connections, memory] = [upload, connections, memory].map(|text| text.map(str::to_owned));
            LimitsRequest { upload, download: None, connections, memory }.applied_to(present)
        };
        assert_eq!(changed(Some("0"), None, None).unwrap(), SpeedLimits { max_upload: None, ..present });
        assert_eq!(changed(None, None, Some("16M")).unwrap(), SpeedLimits { max_memory: MemoryMax::MIN, ..present });
        assert!(changed(None, Some("many"), None).is_err() && changed(None, None, Some("1M")).is_err());
    }
}
