//! Tests of signing, checking and the key file.

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

const LIFETIMES: Lifetimes =
    Lifetimes { account: HOUR, device: Duration::from_secs(60), grant: Duration::from_secs(600) };
const ACCOUNT: PeerId = PeerId([7; 16]);

fn open(folder: &tempfile::TempDir) -> Keys {
    Keys::open(folder.path(), LIFETIMES).expect("a key")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn a_token_is_valid_until_it_expires_even_after_a_restart() {
    let folder = folder();
    let caller = Caller::account(ACCOUNT, 3);
    let token = open(&folder).issue(NOW, &caller);
    let keys = open(&folder);
    assert_eq!(token.expires_at, NOW.as_secs() + 3_600);
    for _first_checked_then_remembered in 0..2 {
        assert_eq!(keys.verify(NOW, &token.text), Some(caller));
        assert_eq!(keys.verify(NOW.plus(HOUR), &token.text), None);
    }
}

/// HMAC-SHA-256 (RFC 2104), with which a forger signs when it takes a public key for a secret.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    assert!(key.len() <= 64, "longer keys would be hashed first");
    let pad = |byte: u8| (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ byte).collect::<Vec<u8>>();
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

#[test]
fn nothing_but_our_own_untouched_tokens_is_good() {
    let ours = folder();
    let theirs = folder();
    let keys = open(&ours);
    let good = keys.issue(NOW, &Caller::account(ACCOUNT, 0)).text;
    let parts: Vec<&str> = good.split('.').collect();
    let encode = |json: &str| BASE64URL_NOPAD.encode(json.as_bytes());
    let none = encode(r#"{"alg":"none","typ":"JWT"}"#);
    let other_claims = encode(
        r#"{"iss":"peernet-tracker","sub":"07070707-0707-4707-8707-070707070707","exp":9999999999,"iat":1,"gen":0}"#,
    );
    let public = BASE64URL_NOPAD.encode(&keys.public);
    let hs256 = [keys.public.to_vec(), public.into_bytes()].map(|secret| {
        let message = format!("{}.{other_claims}", encode(r#"{"alg":"HS256","typ":"JWT"}"#));
        format!("{message}.{}", BASE64URL_NOPAD.encode(&hmac_sha256(&secret, message.as_bytes())))
    });
    let signed_for = |iss: &str| {
        let iss = iss.to_owned();
        let sub = ACCOUNT.to_string();
        let claims = AccessClaims { iss, sub, iat: 1, exp: 9_999_999_999, ..AccessClaims::default() };
        tokens::encode(&keys.header, &claims, &keys.signing).expect("signs")
    };
    let bad = [
        // Signed with our own key, for another purpose.
        signed_for("peernet-grant"),
        signed_for(""),
        signed_for(&ISSUER.to_uppercase()),
        String::new(),
        "abc".to_owned(),
        "..".to_owned(),
        format!("{none}.{}.", parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{other_claims}.{}", parts[0], parts[2]),
        format!("{good}A"),
        good[..good.len() - 2].to_owned(),
        open(&theirs).issue(NOW, &Caller::account(ACCOUNT, 0)).text,
        hs256[0].clone(),
        hs256[1].clone(),
        "a".repeat(1 << 20),
    ];
    for token in bad {
        assert_eq!(keys.verify(NOW, &token), None, "{:.80}", token);
    }
    assert_eq!(keys.remembered(), 0);
    assert_eq!(keys.verify(NOW, &signed_for(ISSUER)), Some(Caller::account(ACCOUNT, 0)), "only the issuer was wrong");
}

#[test]
fn a_device_s_token_names_it_with_its_scopes_and_is_short() {
    let folder = folder();
    let keys = open(&folder);
    for scopes in [Scopes::READ, Scopes::ALL] {
        let caller = Caller { device: Some(DeviceId([9; 16])), scopes, ..Caller::account(ACCOUNT, 3) };
        let token = keys.issue(NOW, &caller);
        assert_eq!(token.expires_at, NOW.as_secs() + 60);
        assert_eq!(open(&folder).verify(NOW, &token.text), Some(caller));
    }
    assert_eq!((keys.lifetime(), keys.device_lifetime()), (HOUR, Duration::from_secs(60)));
}

#[test]
fn tokens_without_a_device_have_every_scope() {
    let folder = folder();
    let keys = open(&folder);
    let verified = |more: Value| {
        let mut claims =
            json!({"iss": ISSUER, "sub": ACCOUNT.to_string(), "exp": 9_999_999_999u64, "iat": 1, "gen": 0});
        claims.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        keys.verify(NOW, &tokens::encode(&keys.header, &claims, &keys.signing).expect("signs"))
    };
    assert_eq!(verified(json!({})), Some(Caller::account(ACCOUNT, 0)));
    let scopes = |scope: &str| verified(json!({"scope": scope})).expect("is good").scopes;
    assert_eq!((scopes("read later"), scopes("").allow(Scopes::ALL)), (Scopes::READ, false));
    assert_eq!(verified(json!({"dev": "x"})), None);
}

fn grant(public: bool) -> NewGrant {
    let file = FileHash([1; 32]);
    let more = vec![FileHash([2; 32])];
    NewGrant { peer: ACCOUNT, file, more, public, id: [5; 16] }
}

/// As a peer that serves reads a grant.
fn read_grant(keys: &Keys, token: &str) -> Option<GrantClaims> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    let mut validation = keys.validation.clone();
    validation.set_audience(&[GRANT_AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
    let claims = tokens::decode::<GrantClaims>(token, &keys.checking, &validation).ok()?.claims;
    (header.typ.as_deref() == Some(GRANT_TYP)).then_some(claims)
}

#[test]
fn a_grant_says_who_may_fetch_what_until_when() {
    let folder = folder();
    let keys = open(&folder);
    let token = keys.issue_grant(NOW, &grant(true));
    let claims = read_grant(&keys, &token.text).expect("is a grant");
    assert_eq!((claims.iat, claims.exp, token.expires_at), (NOW.as_secs(), NOW.as_secs() + 600, claims.exp));
    assert_eq!((claims.sub, claims.public), (ACCOUNT.to_string(), true));
    assert_eq!((claims.file, claims.more), ("01".repeat(32), vec!["02".repeat(32)]));
    assert_eq!(claims.jti.len(), 36);
    let kid = jsonwebtoken::decode_header(&token.text).expect("a header").kid;
    assert_eq!(kid, keys.header.kid, "the key that is published");
}

#[test]
fn a_grant_is_no_access_token_and_an_access_token_no_grant() {
    let folder = folder();
    let keys = open(&folder);
    assert_eq!(keys.verify(NOW, &keys.issue_grant(NOW, &grant(true)).text), None);
    assert_eq!(read_grant(&keys, &keys.issue(NOW, &Caller::account(ACCOUNT, 0)).text), None);
    // Whichever of the two marks is there: the type in the header, or the audience among the claims.
    let mut all = json!({"iss": ISSUER, "sub": ACCOUNT.to_string(), "exp": 9_999_999_999u64, "iat": 1, "gen": 0,
        "jti": "x", "file": "01", "more": [], "public": true});
    let signed = |claims: &Value, header: &Header| tokens::encode(header, claims, &keys.signing).expect("signs");
    assert_eq!(keys.verify(NOW, &signed(&all, &keys.grant_header)), None, "the type of a grant");
    assert_eq!(keys.verify(NOW, &signed(&all, &Header { typ: None, ..keys.header.clone() })), None, "no type");
    assert_eq!(read_grant(&keys, &signed(&all, &keys.grant_header)), None, "no audience");
    assert!(keys.verify(NOW, &signed(&all, &keys.header)).is_some(), "nothing of a grant but its other claims");
    for audience in [json!(GRANT_AUDIENCE), json!([GRANT_AUDIENCE])] {
        all["aud"] = audience;
        assert_eq!(keys.verify(NOW, &signed(&all, &keys.header)), None, "the audience of a grant");
        assert_eq!(read_grant(&keys, &signed(&all, &keys.header)), None, "the type of an access token");
    }
}

#[test]
fn a_key_is_named_by_its_rfc_7638_thumbprint() {
    // RFC 8037, appendix A.3.
    let public = BASE64URL_NOPAD.decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("base64url");
    let public = public.try_into().expect("32 bytes");
    assert_eq!(thumbprint(&public), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn the_published_key_checks_our_tokens_and_names_itself() {
    let folder = folder();
    let keys = open(&folder);
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(keys.key_set()).expect("a key set");
    let token = keys.issue(NOW, &Caller::account(ACCOUNT, 0)).text;
    let kid = jsonwebtoken::decode_header(&token).expect("a header").kid.expect("names its key");
    let key = set.find(&kid).expect("is published");
    let key = DecodingKey::from_jwk(key).expect("a key");
    assert!(tokens::decode::<AccessClaims>(&token, &key, &keys.validation).is_ok());
    assert!(!keys.key_set().to_string().contains("\"d\""), "the private half stays private");
}

#[cfg(unix)]
#[test]
fn a_damaged_or_exposed_key_file_is_refused_and_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    open(&folder);
    let path = folder.path().join(KEY_FILE);
    assert_eq!(std::fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 1, "no draft is left");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    assert!(matches!(Keys::open(folder.path(), LIFETIMES), Err(KeyError::Exposed(_))));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    for damaged in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        std::fs::write(&path, damaged).expect("writes");
        assert!(matches!(Keys::open(folder.path(), LIFETIMES), Err(KeyError::Unreadable(_))), "{damaged}");
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), damaged);
    }
}
