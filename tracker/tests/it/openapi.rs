//! The OpenAPI file and docs/API.md against the route table, in both directions.

use std::collections::BTreeSet;

use peernet_protos::rest;
use peernet_tracker::api::{ROUTES, Route};
use peernet_tracker::base::scopes::Scopes;
use serde_json::{Value, json};

fn document() -> Value {
    serde_json::from_str(peernet_tracker::api::openapi::DOCUMENT).unwrap()
}

fn described() -> BTreeSet<(String, String)> {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let methods = |path: &str, item: &Value| -> Vec<(String, String)> {
        item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.to_owned())).collect()
    };
    paths.iter().flat_map(|(path, item)| methods(path, item)).collect()
}

fn operation(document: &Value, route: &Route) -> Value {
    document["paths"][route.path][route.method.to_lowercase()].clone()
}

#[test]
fn file_and_table_name_the_same_calls() {
    let routed: BTreeSet<_> = ROUTES.iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    assert_eq!(described(), routed);
}

#[test]
fn every_call_is_described_as_it_is() {
    let document = document();
    for route in ROUTES {
        let operation = operation(&document, route);
        let at = format!("{} {}", route.method, route.path);
        assert_eq!(operation["operationId"], route.operation, "{at}");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{at}");
        let bearer = route.access.needs_token();
        let responses = operation["responses"].as_object().unwrap();
        assert_eq!(operation["security"].as_array().unwrap().len(), usize::from(bearer), "{at}");
        assert!(!bearer || responses.contains_key("401") && responses.contains_key("403"), "{at}");
        // OpenAPI 3.1 takes them for role names; a client with any role may make the call that names none.
        let needed = route.access.needed_scopes().filter(|needed| *needed != Scopes::ALL);
        let needed = needed.map(Scopes::words).unwrap_or_default();
        assert!(!bearer || operation["security"][0]["bearer"] == json!(needed), "{at}");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{at}");
        for name in route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let parameters = operation["parameters"].as_array().unwrap();
            let mut parameters = parameters.iter().map(|parameter| resolved(&document, parameter));
            assert!(parameters.any(|parameter| parameter["name"] == name && parameter["in"] == "path"), "{at}");
        }
        for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
            let schema = &resolved(&document, response)["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Error", "{at} {status}");
        }
    }
}

/// Returns the target of a reference; any other value unchanged.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let path = value["$ref"].as_str().map(|reference| reference.strip_prefix('#').unwrap());
    path.map_or(value, |path| document.pointer(path).unwrap_or_else(|| panic!("{path} leads nowhere")))
}

/// The errors that every call may return: those of the door, of the router, and failures of the tracker.
const ANYWHERE: [&str; 10] = ["400", "405", "408", "411", "413", "414", "417", "431", "500", "503"];

#[test]
fn every_answer_is_described_with_its_headers_and_an_example() {
    let document = document();
    for route in ROUTES {
        let operation = operation(&document, route);
        let at = format!("{} {}", route.method, route.path);
        let responses = operation["responses"].as_object().unwrap();
        assert!(ANYWHERE.iter().all(|status| responses.contains_key(*status)), "{at}");
        for (status, response) in responses {
            let response = resolved(&document, response);
            // What a client has already comes without a body.
            if status == "304" {
                continue;
            }
            let content = &response["content"]["application/json"];
            let examples = content["examples"].as_object().unwrap_or_else(|| panic!("{at} {status} has no example"));
            assert!(!examples.is_empty() && content["schema"].is_object(), "{at} {status}");
            let headers = response["headers"].as_object().unwrap();
            let wanted = match status.as_str() {
                "401" if response["content"]["application/json"]["examples"].get("invalid_token").is_some() => {
                    vec!["X-Request-Id", "WWW-Authenticate"]
                }
                "405" => vec!["X-Request-Id", "Allow"],
                "503" => vec!["X-Request-Id", "Retry-After"],
                _ => vec!["X-Request-Id"],
            };
            assert!(wanted.iter().all(|name| headers.contains_key(*name)), "{at} {status}: {headers:?}");
        }
        if let Some(body) = operation.get("requestBody") {
            assert!(body["content"]["application/json"]["examples"].is_object(), "{at} has an example of its body");
        }
    }
}

#[test]
fn the_error_examples_are_the_codes_in_the_source() {
    let document = document();
    let mut in_source = BTreeSet::new();
    codes_of_the_server(&mut in_source);
    let listed: BTreeSet<String> = document["components"]["schemas"]["ErrorCode"]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| code.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, in_source, "the enumeration of codes");
    let examples = document["components"]["examples"].as_object().unwrap();
    assert_eq!(examples.keys().cloned().collect::<BTreeSet<_>>(), listed, "an example each");
    for (code, example) in examples {
        assert_eq!(example["value"]["code"], code.as_str());
    }
}

#[test]
fn every_list_in_a_request_or_a_query_is_bounded() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas.iter().filter(|(name, _)| name.ends_with("Request") || *name == "Manifest") {
        unbounded(schema, name);
    }
    for (name, parameter) in document["components"]["parameters"].as_object().unwrap() {
        unbounded(&parameter["schema"], name);
    }
}

/// Panics at a list without `maxItems` or a number without `maximum`.
fn unbounded(schema: &Value, at: &str) {
    let is = |kind: &str| schema["type"] == kind || schema["type"].as_array().is_some_and(|all| all[0] == kind);
    assert!(!is("array") || schema["maxItems"].is_u64(), "{at}: {schema}");
    assert!(!is("integer") || schema["maximum"].is_u64() || schema["enum"].is_array(), "{at}: {schema}");
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        unbounded(property, &format!("{at}.{name}"));
    }
    if let Some(items) = schema.get("items") {
        unbounded(items, &format!("{at}[]"));
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = document();
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    // What a path answers that is no call.
    references.insert("#/components/examples/not_found".to_owned());
    let components = document["components"].as_object().unwrap();
    let kinds = components.iter().filter(|(kind, _)| *kind != "securitySchemes");
    let names = |(kind, all): (&String, &Value)| -> Vec<String> {
        all.as_object().unwrap().keys().map(|name| format!("#/components/{kind}/{name}")).collect()
    };
    assert_eq!(references, kinds.flat_map(names).collect());
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            references.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

/// The fields of a wire type, as it is written, are those of the file's schema.
fn check_fields(schema: &str, sample: impl serde::Serialize) {
    let document = document();
    let described = document["components"]["schemas"][schema]["properties"].as_object().unwrap();
    let written = serde_json::to_value(sample).unwrap();
    let written: BTreeSet<&String> = written.as_object().unwrap().keys().collect();
    assert_eq!(written, described.keys().collect(), "{schema}");
}

fn text() -> String {
    String::new()
}

#[test]
fn bodies_about_accounts_match_the_description() {
    check_fields("Error", rest::ErrorBody { error: text(), code: text(), request_id: Some(text()) });
    let certificate = rest::CertificateBody { certificate: text(), authorities: text(), expires_at: 0 };
    check_fields("Certificate", certificate.clone());
    let tokens = rest::TokenReply {
        certificate: Some(certificate),
        device_id: Some(text()),
        refresh_token: Some(text()),
        refresh_expires_at: Some(0),
        ..Default::default()
    };
    check_fields("TokenReply", tokens);
    check_fields("TokenRefreshRequest", rest::TokenRefreshRequest { refresh_token: text(), csr: Some(text()) });
    check_fields("DevicesReply", rest::DevicesReply::default());
    let device = Some(rest::DeviceRequest { label: text(), scopes: vec![text()] });
    check_fields("DeviceRequest", device.clone());
    check_fields("CertificateRequest", rest::CertificateRequest { csr: text() });
    check_fields("Authority", rest::AuthorityReply { fingerprint: text(), certificates: text() });
    check_fields("Revocations", rest::RevocationsReply::default());
    let address = Some(text());
    let password = text();
    let register = rest::RegisterRequest {
        address: address.clone(),
        password: Some(text()),
        protocol: Some(2),
        invite: Some(text()),
        csr: Some(text()),
        device: device.clone(),
    };
    check_fields("RegisterRequest", register);
    let peer_id = Some(text());
    let csr = Some(text());
    let login = rest::LoginRequest { peer_id, address, password, csr, device: device.clone() };
    check_fields("LoginRequest", login);
    check_fields("PasswordRequest", rest::PasswordRequest { device, ..Default::default() });
    let me = rest::MeReply {
        peer_id: text(),
        address: None,
        reputation_score: 0.5,
        established: false,
        token_balance: 0,
        token_balance_mt: 0,
        escrow_mt: 0,
        files_shared: 0,
        created_at: 0,
    };
    check_fields("MeReply", me);
}

#[test]
fn bodies_about_files_match_the_description() {
    let file_hash = text();
    let chunk_hash = text();
    let file_name = text();
    check_fields(
        "AnnounceChunkRequest",
        rest::AnnounceChunkRequest { file_hash, file_name, total_chunks: 1, chunk_index: 0, chunk_hash },
    );
    let file_hash = text();
    let file_name = text();
    let chunk_hashes = text();
    check_fields("Manifest", rest::ManifestBody { file_hash, file_name, size: 0, chunk_size: 0, chunk_hashes });
    check_fields("SignatureRequest", rest::SignatureRequest::default());
    check_fields("Signatures", rest::SignaturesReply::default());
    let plan = rest::PlanReply {
        file_hash: text(),
        file_name: text(),
        access: text(),
        base: Some(text()),
        gone: vec![text()],
        manifests: Vec::new(),
        v1_listed: false,
        ticket: None,
        ask_again_seconds: 1,
    };
    check_fields("PlanReply", plan);
    check_fields("SearchReply", rest::SearchReply { files: Vec::new(), next: Some(text()) });
}

#[test]
fn bodies_about_access_match_the_description() {
    check_fields("GrantRequest", rest::GrantRequest { file_hash: text(), more: vec![text()] });
    check_fields("Grant", rest::GrantReply::default());
    let access = text();
    let accounts = vec![text()];
    let groups = vec![text()];
    check_fields("FileAccessRequest", rest::FileAccessRequest { access, accounts, groups });
    check_fields("FileAccess", rest::FileAccessReply::default());
    check_fields("GroupRequest", rest::GroupRequest::default());
    check_fields("Group", rest::GroupReply::default());
    check_fields("Groups", rest::GroupsReply::default());
}

#[test]
fn bodies_about_the_swarm_match_the_description() {
    let announce = rest::SwarmAnnounceRequest {
        address: text(),
        transport: Some(text()),
        plaintext_address: Some(text()),
        site: Some(text()),
        files: Vec::new(),
    };
    check_fields("SwarmAnnounceRequest", announce);
    let announced = rest::SwarmAnnounceReply {
        status: text(),
        lease_seconds: 0,
        renew_in_seconds: 0,
        unknown_manifests: Vec::new(),
        withdrawn: vec![text()],
        restricted: vec![text()],
    };
    check_fields("SwarmAnnounceReply", announced);
    check_fields("SwarmLeaveRequest", rest::SwarmLeaveRequest { files: Some(Vec::new()) });
    check_fields("SwarmLeaveReply", rest::SwarmLeaveReply { status: text(), left: 0 });
    let target_peer_id = text();
    let file_hash = text();
    let event_type = text();
    check_fields("FeedbackRequest", rest::FeedbackRequest { target_peer_id, file_hash, chunk_index: 0, event_type });
    check_fields("FeedbackBatchRequest", rest::FeedbackBatchRequest::default());
    check_fields("FeedbackBatchReply", rest::FeedbackBatchReply { status: text(), received: 0 });
}

/// The word in quotes at the start of `text`.
fn quoted(text: &str) -> Option<&str> {
    let word = text.trim_start().strip_prefix('"')?.split('"').next()?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (!word.is_empty() && word.bytes().all(plain)).then_some(word)
}

/// The error codes that a source file mentions: after a constructor of errors, or after a status from 400 on.
fn codes_in(source: &str, codes: &mut BTreeSet<String>) {
    for maker in ["bad_request(", "unauthorized(", "not_found(", "conflict(", "unprocessable("] {
        codes.extend(source.split(maker).skip(1).filter_map(quoted).map(str::to_owned));
    }
    for status in (400..600).map(|status| format!("{status},")) {
        codes.extend(source.split(&status).skip(1).filter_map(quoted).map(str::to_owned));
    }
    let named =
        source.split('"').filter(|text| text.starts_with("invalid_") && quoted(&format!("\"{text}\"")).is_some());
    codes.extend(named.map(str::to_owned));
}

/// The codes in the source of the tracker and of the door, which refuses requests before the tracker sees them.
fn codes_of_the_server(codes: &mut BTreeSet<String>) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    codes_below(&root.join("src"), codes);
    codes_below(&root.join("../crates/door/src"), codes);
}

fn codes_below(folder: &std::path::Path, codes: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            codes_below(&entry, codes);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            codes_in(&std::fs::read_to_string(entry).unwrap(), codes);
        }
    }
}

#[test]
fn the_handbook_names_every_error_code() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("../docs/API.md")).unwrap();
    let mut codes = BTreeSet::new();
    codes_of_the_server(&mut codes);
    assert!(codes.len() >= 50 && codes.contains("swarm_full") && codes.contains("invalid_chunk_hash"), "{codes:?}");
    let unnamed: Vec<&String> = codes.iter().filter(|code| !text.contains(&format!("`{code}`"))).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
}

#[test]
fn the_handbook_has_a_section_on_every_call() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/API.md");
    let text = std::fs::read_to_string(path).unwrap();
    let headings: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let routed: BTreeSet<String> = ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let routed: BTreeSet<&str> = routed.iter().map(String::as_str).collect();
    let described: BTreeSet<&str> = headings.iter().copied().filter(|heading| heading.contains(" /")).collect();
    assert_eq!(described, routed);
}

#[test]
fn the_handbook_says_which_scope_a_call_needs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/API.md");
    let text = std::fs::read_to_string(path).unwrap();
    for route in ROUTES {
        let section = text.split(&format!("\n### {} {}\n", route.method, route.path)).nth(1).unwrap();
        let section = section.split("\n### ").next().unwrap();
        let documented = match route.access.needed_scopes() {
            None => None,
            Some(Scopes::ALL) => Some("Bearer (any scope)".to_owned()),
            Some(needed) => Some(format!("Bearer (`{needed}`)")),
        };
        let at = format!("{} {}", route.method, route.path);
        assert_eq!(section.contains("Bearer ("), documented.is_some(), "{at}");
        assert!(documented.is_none_or(|documented| section.contains(&documented)), "{at}");
    }
}
