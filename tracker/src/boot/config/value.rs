//! The kinds of values a setting can have: how each is read from text and shown as TOML.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use peernet_engine::economy::Complaints;

use crate::domain::accounts::Registration;
use crate::ops::access_log::AccessMode;
use crate::ops::log::{Format, Level};

/// A value that is read from text, whatever layer it comes from.
pub(super) trait Setting: Sized {
    /// Reads it; the error says what was expected.
    fn read(text: &str) -> Result<Self, String>;
    /// As it stands in a TOML file.
    fn show(&self) -> String;
}

/// Text that is never printed: a password, or a URL that has one in it. Empty means none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for its one use; `None` when there is none.
    pub fn reveal(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(self.0.as_str())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "(hidden)" })
    }
}

impl Setting for Secret {
    fn read(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }

    fn show(&self) -> String {
        (if self.0.is_empty() { "\"\"" } else { "\"(hidden)\"" }).to_owned()
    }
}

impl Setting for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        toml::Value::String(self.clone()).to_string()
    }
}

impl Setting for PathBuf {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }

    fn show(&self) -> String {
        self.display().to_string().show()
    }
}

macro_rules! word {
    ($($type:ty),+) => {
        $(impl Setting for $type {
            fn read(text: &str) -> Result<Self, String> {
                text.parse()
            }

            fn show(&self) -> String {
                self.to_string().show()
            }
        })+
    };
}

word!(Level, Format, AccessMode);

impl Setting for Complaints {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "evidence" => Ok(Self::Evidence),
            "bounded" => Ok(Self::Bounded),
            _ => Err(format!("{text:?} is not evidence or bounded")),
        }
    }

    fn show(&self) -> String {
        self.as_str().to_owned().show()
    }
}

impl Setting for Registration {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "open" => Ok(Self::Open),
            "invite" => Ok(Self::Invite),
            "closed" => Ok(Self::Closed),
            _ => Err(format!("{text:?} is not open, invite or closed")),
        }
    }

    fn show(&self) -> String {
        let text = match self {
            Self::Open => "open",
            Self::Invite => "invite",
            Self::Closed => "closed",
        };
        text.to_owned().show()
    }
}

impl Setting for bool {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "true" | "on" | "yes" | "1" => Ok(true),
            "false" | "off" | "no" | "0" => Ok(false),
            _ => Err(format!("{text:?} is not true or false")),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

macro_rules! number {
    ($($type:ty),+) => {
        $(impl Setting for $type {
            fn read(text: &str) -> Result<Self, String> {
                whole_number(text)
            }

            fn show(&self) -> String {
                self.to_string()
            }
        })+
    };
}

number!(u32, u64, usize);

fn whole_number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not a whole number in range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a text, and compares its form in a TOML file; `None` for a text that is refused.
    #[track_caller]
    fn check<T: Setting>(text: &str, expected: Option<&str>) {
        let shown = T::read(text).ok().map(|value| value.show());
        assert_eq!(shown.as_deref(), expected, "{text:?}");
    }

    /// A value that was shown reads back to the same, without the quotes of TOML.
    #[track_caller]
    fn round_trip<T: Setting>(text: &str) {
        let shown = T::read(text).expect(text).show();
        assert_eq!(T::read(shown.trim_matches('"')).expect(text).show(), shown);
    }

    #[test]
    fn switches_have_several_words() {
        for text in ["true", "on", "yes", "1"] {
            check::<bool>(text, Some("true"));
        }
        for text in ["false", "off", "no", "0"] {
            check::<bool>(text, Some("false"));
        }
        for text in ["", "True", "YES", "2", " true", "maybe"] {
            check::<bool>(text, None);
        }
    }

    #[test]
    fn numbers_are_whole_and_in_range() {
        check::<u32>("0", Some("0"));
        check::<u32>("4294967295", Some("4294967295"));
        check::<u64>("4294967296", Some("4294967296"));
        for text in ["", "-1", "1.0", "1e3", "0x10", "4294967296", "1_000", " 1", "one"] {
            check::<u32>(text, None);
        }
        check::<usize>("18446744073709551616", None);
    }

    #[test]
    fn words_are_read_in_their_one_spelling() {
        for text in ["error", "warn", "info", "debug"] {
            round_trip::<Level>(text);
        }
        for text in ["text", "json"] {
            round_trip::<Format>(text);
        }
        for text in ["off", "errors", "all"] {
            round_trip::<AccessMode>(text);
        }
        for text in ["open", "invite", "closed"] {
            round_trip::<Registration>(text);
        }
        for text in ["evidence", "bounded"] {
            round_trip::<Complaints>(text);
        }
        for text in ["", "Open", "OPEN", "maybe"] {
            check::<Level>(text, None);
            check::<Format>(text, None);
            check::<AccessMode>(text, None);
            check::<Registration>(text, None);
            check::<Complaints>(text, None);
        }
    }

    #[test]
    fn texts_are_quoted_for_toml() {
        check::<String>("plain", Some("\"plain\""));
        check::<PathBuf>("/var/lib/peernet", Some("\"/var/lib/peernet\""));
        for text in ["", "a \"quoted\" word", "back\\slash", "two\nlines", "é"] {
            let document = format!("x = {}", text.to_owned().show());
            let parsed: toml::Table = document.parse().expect("well-formed TOML");
            assert_eq!(parsed["x"].as_str(), Some(text), "{document}");
        }
    }

    #[test]
    fn a_secret_shows_only_whether_it_is_set() {
        let secret = Secret::new("hunter2");
        assert_eq!(secret.reveal(), Some("hunter2"));
        assert_eq!((format!("{secret:?}").as_str(), secret.show().as_str()), ("(hidden)", "\"(hidden)\""));
        let none = Secret::default();
        assert_eq!((none.reveal(), format!("{none:?}").as_str(), none.show().as_str()), (None, "(none)", "\"\""));
    }
}
