//! The JSON form of token claims. Peers check tokens offline, so programs of different versions must agree on it.
// Clippy knows functions marked #[test] only, not what they share.
#![allow(clippy::unwrap_used)]

use peernet_protos::claims::*;
use peernet_protos::identity::{device_of_uri, device_uri, peer_name, peer_of_name};
use peernet_protos::limits;
use serde_json::{from_value, json, to_value};

const PEER: &str = "123e4567-e89b-42d3-a456-426614174000";
const FILE: &str = "00000000000000000000000000000000000000000000000000000000000000f1";

fn access() -> AccessClaims {
    AccessClaims {
        iss: ISSUER.to_owned(),
        sub: PEER.to_owned(),
        iat: 100,
        exp: 1_000,
        generation: 3,
        device: None,
        scope: None,
    }
}

fn grant() -> GrantClaims {
    GrantClaims {
        iss: ISSUER.to_owned(),
        aud: GRANT_AUDIENCE.to_owned(),
        sub: PEER.to_owned(),
        iat: 100,
        exp: 1_000,
        jti: "j".to_owned(),
        file: FILE.to_owned(),
        more: Vec::new(),
        public: false,
    }
}

#[test]
fn access_claims_of_a_login_without_a_device_have_no_scope() {
    let expected = json!({"iss": "peernet-tracker", "sub": PEER, "iat": 100, "exp": 1_000, "gen": 3});
    assert_eq!(to_value(access()).unwrap(), expected);
    assert_eq!(from_value::<AccessClaims>(expected).unwrap(), access());
}

#[test]
fn access_claims_of_a_device_name_it_and_its_scopes() {
    let scope = [SCOPE_READ, SCOPE_SHARE, SCOPE_ADMIN].join(" ");
    let claims = AccessClaims { device: Some(PEER.to_owned()), scope: Some(scope), ..access() };
    let expected = json!({
        "iss": "peernet-tracker",
        "sub": PEER,
        "iat": 100,
        "exp": 1_000,
        "gen": 3,
        "dev": PEER,
        "scope": "read share admin",
    });
    assert_eq!(to_value(&claims).unwrap(), expected);
    assert_eq!(from_value::<AccessClaims>(expected).unwrap(), claims);
}

#[test]
fn claims_that_lack_a_field_are_refused() {
    for field in ["iss", "sub", "iat", "exp", "gen"] {
        let mut claims = to_value(access()).unwrap();
        claims.as_object_mut().unwrap().remove(field);
        assert!(from_value::<AccessClaims>(claims).is_err(), "{field}");
    }
    for field in ["iss", "aud", "sub", "iat", "exp", "jti", "file", "more", "public"] {
        let mut claims = to_value(grant()).unwrap();
        claims.as_object_mut().unwrap().remove(field);
        assert!(from_value::<GrantClaims>(claims).is_err(), "{field}");
    }
}

#[test]
fn a_grant_names_account_files_and_visibility() {
    let expected = json!({
        "iss": "peernet-tracker",
        "aud": "peernet-peer",
        "sub": PEER,
        "iat": 100,
        "exp": 1_000,
        "jti": "j",
        "file": FILE,
        "more": [],
        "public": false,
    });
    assert_eq!(to_value(grant()).unwrap(), expected);
    assert_eq!(from_value::<GrantClaims>(expected).unwrap(), grant());
}

#[test]
fn claims_of_a_later_version_are_read() {
    let mut claims = to_value(grant()).unwrap();
    claims["later"] = json!({"any": 1});
    assert_eq!(from_value::<GrantClaims>(claims).unwrap(), grant());
}

#[test]
fn tokens_and_grants_have_different_types() {
    assert_ne!(ACCESS_TYP, GRANT_TYP);
    // A grant's claims lack the generation, and access claims lack the audience.
    assert!(from_value::<AccessClaims>(to_value(grant()).unwrap()).is_err());
    assert!(from_value::<GrantClaims>(to_value(access()).unwrap()).is_err());
}

#[test]
fn names_in_certificates_keep_ids_apart() {
    assert_eq!(peer_name(PEER), format!("{PEER}.peer.peernet"));
    assert_eq!(device_uri(PEER), format!("urn:uuid:{PEER}"));
    assert_eq!((peer_of_name(&device_uri(PEER)), device_of_uri(&peer_name(PEER))), (None, None));
}

#[test]
fn limits_that_depend_on_each_other_agree() {
    assert!(limits::CHUNK_SIZE_BYTES_DEFAULT.is_power_of_two() && limits::CHUNK_SIZE_BYTES_MAX.is_power_of_two());
    let bounds = [
        (u64::from(limits::BLOCK_BYTES_MAX), u64::from(limits::CHUNK_SIZE_BYTES_DEFAULT)),
        (u64::from(limits::CHUNK_SIZE_BYTES_DEFAULT), u64::from(limits::CHUNK_SIZE_BYTES_MAX)),
        (limits::SIGNATURES_TOLD_MAX as u64, limits::SIGNATURES_COUNTED_MAX as u64),
        (limits::PASSWORD_BYTES_MIN as u64, limits::PASSWORD_BYTES_MAX as u64),
        (1, limits::GRANT_MORE_MAX as u64),
    ];
    for (low, high) in bounds {
        assert!(low <= high, "{low} {high}");
    }
}
