//! Whole numbers in the sense of JSON Schema: `5.0` is the integer 5. Some languages write computed integers so.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// Up to here every whole number is a float of its own.
const FLOAT_EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A field.
pub(super) fn whole<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<T, D::Error> {
    Whole::deserialize(deserializer).map(|Whole(number)| number)
}

/// A field that may be null.
pub(super) fn maybe<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(|Whole(number)| number))
}

/// A list of pairs.
pub(super) fn pairs<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<Vec<(T, T)>, D::Error> {
    let pairs: Vec<(Whole<T>, Whole<T>)> = Deserialize::deserialize(deserializer)?;
    Ok(pairs.into_iter().map(|(Whole(first), Whole(second))| (first, second)).collect())
}

struct Whole<T>(T);

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor(PhantomData)).map(Self)
    }
}

struct WholeVisitor<T>(PhantomData<T>);

impl<T: TryFrom<i128>> Visitor<'_> for WholeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number in range")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::try_from(i128::from(number)).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::try_from(i128::from(number)).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    // Whole and within the bound, the number is what it was.
    #[allow(clippy::cast_possible_truncation)]
    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        let whole = number.fract() == 0.0 && number.abs() <= FLOAT_EXACT_MAX;
        let converted = whole.then(|| T::try_from(number as i128).ok()).flatten();
        converted.ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }
}

#[cfg(test)]
mod tests {
    use crate::rest::{AnnounceChunkRequest, FeedbackEntry, RegisterRequest};

    fn chunk_index(text: &str) -> Option<i64> {
        let body = format!(r#"{{"file_hash":"","total_chunks":1,"chunk_hash":"","chunk_index":{text}}}"#);
        serde_json::from_str::<AnnounceChunkRequest>(&body).ok().map(|body| body.chunk_index)
    }

    #[test]
    fn a_whole_float_is_an_integer_and_nothing_else_is() {
        let good = [("7", 7), ("-7", -7), ("7.0", 7), ("7e2", 700), ("-0.0", 0), ("9007199254740992.0", 1 << 53)];
        for (text, number) in good {
            assert_eq!(chunk_index(text), Some(number), "{text}");
        }
        for text in ["7.5", "1e300", "9223372036854775808", "1e16", "\"7\"", "null", "true", "[]"] {
            assert_eq!(chunk_index(text), None, "{text}");
        }
    }

    #[test]
    fn other_fields_are_read_the_same_way() {
        let protocol = |text: &str| serde_json::from_str::<RegisterRequest>(text).ok().map(|body| body.protocol);
        assert_eq!(protocol(r#"{"protocol":2.0}"#), Some(Some(2)));
        assert_eq!((protocol(r#"{"protocol":null}"#), protocol("{}")), (Some(None), Some(None)));
        assert_eq!((protocol(r#"{"protocol":-1}"#), protocol(r#"{"protocol":4294967296.0}"#)), (None, None));
        let runs = r#"{"target_peer_id":"","file_hash":"","event_type":"","chunks":[[1.0,2],[3,4.0]]}"#;
        assert_eq!(serde_json::from_str::<FeedbackEntry>(runs).expect("is one").chunks, [(1, 2), (3, 4)]);
    }
}
