//! The limits of a node as they are typed and configured.

use std::fmt::Display;
use std::str::FromStr;

use peernet_engine::rate_limit::RateSetting;

use super::config::{Amount, Config};
use crate::node::NodeError;
use crate::throttle::{ConnectionsSetting, SpeedLimits};

/// The four limits in a user's words; an absent one changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LimitOptions {
    pub(super) upload: Option<String>,
    pub(super) download: Option<String>,
    pub(super) connections: Option<String>,
    pub(super) memory: Option<String>,
}

impl LimitOptions {
    /// Reports whether no limit was typed.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the limits to start a node with. Options win over `config.toml`, and that over the defaults.
    pub(super) fn with_configured(self, config: &Config) -> Result<SpeedLimits, NodeError> {
        let or = |typed: Option<String>, configured: &Option<Amount>| {
            typed.or_else(|| configured.as_ref().map(Amount::to_string))
        };
        let merged = Self {
            upload: or(self.upload, &config.max_upload),
            download: or(self.download, &config.max_download),
            connections: or(self.connections, &config.max_connections),
            memory: or(self.memory, &config.max_memory),
        };
        merged.applied_to(SpeedLimits::default())
    }

    /// Returns `limits` with those that were typed in their place.
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use peernet_engine::rate_limit::Rate;

    use super::*;
    use crate::memory::MemoryMax;

    fn typed(upload: Option<&str>, connections: Option<&str>, memory: Option<&str>) -> LimitOptions {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        LimitOptions { upload: owned(upload), download: None, connections: owned(connections), memory: owned(memory) }
    }

    #[test]
    fn options_win_over_the_configuration() {
        let config = Config {
            max_upload: Some(Amount::Text("1M".to_owned())),
            max_download: Some(Amount::Number(500)),
            max_connections: Some(Amount::Number(7)),
            max_memory: Some(Amount::Text("32M".to_owned())),
            ..Config::default()
        };
        let expected = SpeedLimits {
            max_upload: Rate::new(2_048),
            max_download: Rate::new(500),
            max_connections: None,
            max_memory: MemoryMax::new(32 << 20).unwrap(),
        };
        assert_eq!(typed(Some("2K"), Some("none"), None).with_configured(&config).unwrap(), expected);
    }

    #[test]
    fn a_bad_limit_of_the_configuration_is_named() {
        let bad = Config { max_upload: Some(Amount::Text("fast".to_owned())), ..Config::default() };
        let error = LimitOptions::default().with_configured(&bad).unwrap_err();
        assert!(matches!(error, NodeError::Invalid(_)), "{error:?}");
        assert!(error.to_string().starts_with("max-upload: \"fast\""), "{error}");
    }

    #[test]
    fn absent_limits_stay_as_they_are() {
        let present =
            SpeedLimits { max_upload: Rate::new(5), max_connections: NonZeroU32::new(3), ..SpeedLimits::default() };
        let changed = |options: LimitOptions| options.applied_to(present);
        assert_eq!(changed(LimitOptions::default()).unwrap(), present);
        assert_eq!(changed(typed(Some("0"), None, None)).unwrap(), SpeedLimits { max_upload: None, ..present });
        let smallest = SpeedLimits { max_memory: MemoryMax::MIN, ..present };
        assert_eq!(changed(typed(None, None, Some("16M"))).unwrap(), smallest);
        assert!(changed(typed(None, Some("many"), None)).is_err() && changed(typed(None, None, Some("1M"))).is_err());
        assert!(LimitOptions::default().is_empty() && !typed(None, None, Some("")).is_empty());
    }
}
