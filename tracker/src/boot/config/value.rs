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
