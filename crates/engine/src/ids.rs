//! Identifiers and counts, each a type of its own. A text is parsed once, where it enters the program.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use data_encoding::HEXLOWER;

/// The reason that a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdError {
    /// Not 64 lower-case hexadecimal digits.
    Hash,
    /// Not a UUID in its hyphenated form.
    PeerId,
    /// Not a UUID in its hyphenated form, where a device id was expected.
    DeviceId,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hash => "not a SHA-256: expected 64 lower-case hexadecimal digits",
            Self::PeerId => "not a peer id: expected a UUID such as 123e4567-e89b-42d3-a456-426614174000",
            Self::DeviceId => "not a device id: expected a UUID such as 123e4567-e89b-42d3-a456-426614174000",
        })
    }
}

impl std::error::Error for IdError {}

/// Implements `Hash` over the bytes alone. A derived one would also hash the array's length, which never differs.
macro_rules! hash_of_bytes {
    ($name:ident) => {
        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                state.write(&self.0);
            }
        }
    };
}

macro_rules! digest_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub [u8; 32]);

        hash_of_bytes!($name);

        impl $name {
            /// Returns the 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Parses exactly 32 bytes.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
                bytes.try_into().map(Self).map_err(|_| IdError::Hash)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), &HEXLOWER.encode(&self.0[..4]))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Parses lower-case hexadecimal digits, the only form on the wire.
            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut out = [0; 32];
                if text.len() != 64 {
                    return Err(IdError::Hash);
                }
                HEXLOWER.decode_mut(text.as_bytes(), &mut out).map_err(|_| IdError::Hash)?;
                Ok(Self(out))
            }
        }
    };
}

digest_id!(
    /// SHA-256 of a whole file: its public name.
    FileHash
);
digest_id!(
    /// SHA-256 of a manifest; see [`crate::manifest`].
    ManifestId
);
digest_id!(
    /// SHA-256 of one chunk.
    ChunkHash
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub [u8; 16]);

        hash_of_bytes!($name);

        impl $name {
            /// Makes a version 4 UUID of 16 random bytes.
            pub fn from_random(mut bytes: [u8; 16]) -> Self {
                bytes[6] = (bytes[6] & 0x0f) | 0x40;
                bytes[8] = (bytes[8] & 0x3f) | 0x80;
                Self(bytes)
            }

            /// Parses exactly 16 bytes.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
                bytes.try_into().map(Self).map_err(|_| IdError::$name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let hex = HEXLOWER.encode(&self.0);
                write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), HEXLOWER.encode(&self.0[..4]))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_uuid(text).map(Self).ok_or(IdError::$name)
            }
        }
    };
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let hyphens_in_place =
        text.len() == 36 && text.bytes().enumerate().all(|(i, b)| (b == b'-') == matches!(i, 8 | 13 | 18 | 23));
    if !hyphens_in_place {
        return None;
    }
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    let mut out = [0; 16];
    HEXLOWER.decode_mut(hex.as_bytes(), &mut out).ok().map(|_| out)
}

uuid_id!(
    /// The id of an account: a UUID (RFC 9562). New ones are of version 4.
    PeerId
);
uuid_id!(
    /// The id of a device, one login of an account on one machine: a UUID like [`PeerId`].
    DeviceId
);

/// The index of a chunk in its file, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkIndex(pub u32);

/// A number of chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkCount(pub u32);

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteCount(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_lower_case_digits_and_nothing_else() {
        let good = "0123456789abcdef".repeat(4);
        assert_eq!(good.parse::<FileHash>().map(|h| h.to_string()), Ok(good.clone()));
        for bad in ["", "0", &good.to_uppercase(), &good[1..], &format!("{good}0"), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(bad.parse::<FileHash>(), Err(IdError::Hash), "{bad}");
        }
    }

    #[test]
    fn a_peer_id_is_a_hyphenated_lower_case_uuid() {
        let good = "123e4567-e89b-42d3-a456-426614174000";
        assert_eq!(good.parse::<PeerId>().map(|id| id.to_string()), Ok(good.to_owned()));
        for bad in [
            "",
            "123e4567e89b42d3a456426614174000",
            "123E4567-e89b-42d3-a456-426614174000",
            "------------------------------------",
        ] {
            assert_eq!(bad.parse::<PeerId>(), Err(IdError::PeerId), "{bad}");
        }
    }

    #[test]
    fn a_random_peer_id_is_a_version_4_uuid() {
        assert_eq!(PeerId::from_random([0xff; 16]).to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
