//! Readers of a request's body and query. Bodies are bounded by the route table before they are read.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::base::percent::percent_decode;
use peernet_door::Request;

/// Reads the body as JSON, whatever its content type: version 1 clients set that header carelessly. Answers 400
/// `malformed_json` for a text that is not JSON, and 400 `invalid_body` for JSON of another shape.
pub fn json_body<T: DeserializeOwned>(request: &Request) -> Result<T, ApiError> {
    // serde accepts a list as an object's fields in order. Then `[]` would be an empty object, and to `leave` that
    // means every file.
    if request.body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') {
        return Err(ApiError::bad_request("invalid_body", "the body has the wrong shape: a list, not an object"));
    }
    serde_json::from_slice(&request.body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            ApiError::bad_request("invalid_body", format!("the body has the wrong shape: {error}"))
        }
        _ => ApiError::bad_request("malformed_json", format!("the body is not JSON: {error}")),
    })
}

/// Reads the query's `name=value` pairs, `+` and percent escapes decoded; the last of equal names counts. Answers 400
/// `bad_query` for a broken escape.
pub fn query_args(request: &Request) -> Result<BTreeMap<String, String>, ApiError> {
    let broken = || ApiError::bad_request("bad_query", "the query has a broken percent escape");
    let pairs = request.head.query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| percent_decode(&text.replace('+', " ")).ok_or_else(broken);
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use peernet_protos::rest::PasswordRequest;
    use tiny_http::Method;

    use super::*;
    use peernet_door::{Head, RequestId};

    fn request(query: &str, body: &str) -> Request {
        let head = Head { method: Method::Post, path: "/".into(), query: query.into(), headers: Vec::new() };
        Request { head, body: body.into(), remote: None, id: RequestId::fresh() }
    }

    #[test]
    fn malformed_json_and_wrong_shapes_have_their_own_codes() {
        let cases = [
            ("", "malformed_json"),
            ("{", "malformed_json"),
            ("{\"old_password\": \"\u{1}\"}", "malformed_json"),
            ("{} x", "invalid_body"),
            ("[]", "invalid_body"),
            (" \n[\"a\", \"b\"]", "invalid_body"),
            ("null", "invalid_body"),
            ("{\"old_password\": 7, \"new_password\": \"b\"}", "invalid_body"),
            ("{\"old_password\": \"a\"}", "invalid_body"),
            (&"[".repeat(100_000), "invalid_body"),
        ];
        for (body, code) in cases {
            let error = json_body::<PasswordRequest>(&request("", body)).expect_err(body);
            assert_eq!((error.status, error.code), (400, code), "{:.40}", body);
        }
        assert!(
            json_body::<PasswordRequest>(&request("", "{\"old_password\":\"a\",\"new_password\":\"b\",\"x\":1}"))
                .is_ok()
        );
    }

    #[test]
    fn query_pairs_are_decoded() {
        let args = query_args(&request("name=a+b%20c&limit=3&flag&name=last", "")).expect("well-formed");
        let expected = [("flag", ""), ("limit", "3"), ("name", "last")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(args, BTreeMap::from(expected));
        for bad in ["a=%", "a=%g0", "%ff=1"] {
            assert_eq!(query_args(&request(bad, "")).expect_err(bad).code, "bad_query");
        }
    }
}
