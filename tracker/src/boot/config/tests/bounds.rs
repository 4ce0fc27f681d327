//! Every setting: its default, its form in each layer, and its bounds with the text of each refusal.

use super::*;

/// Loads a configuration in which one setting comes from the environment.
fn with(name: &str, value: &str) -> Result<String, String> {
    let field = Field::find(name).expect(name);
    let (config, _) = loaded(None, &[(field.environment().as_str(), value)], Flags::default())?;
    Ok((field.show)(&config))
}

/// Every setting with its default, but for the data folder, which depends on the environment.
const DEFAULTS: [(&str, &str); 40] = [
    ("listen", "\"127.0.0.1:8080\""),
    ("allow_plaintext", "false"),
    ("tls_certificate", "\"\""),
    ("tls_key", "\"\""),
    ("tls_names", "\"\""),
    ("authority_dir", "\"\""),
    ("certificate_hours", "24"),
    ("database_url", "\"\""),
    ("database_url_file", "\"\""),
    ("database_connections", "0"),
    ("ops_listen", "\"\""),
    ("bcrypt_cost", "10"),
    ("token_hours", "24"),
    ("access_minutes", "15"),
    ("refresh_days", "90"),
    ("grant_hours", "12"),
    ("dialback", "true"),
    ("complaints", "\"evidence\""),
    ("connections_max", "4096"),
    ("connections_per_address_max", "64"),
    ("trusted_proxies", "\"\""),
    ("registration", "\"open\""),
    ("leases_max", "1000000"),
    ("swarm_mebibytes_max", "512"),
    ("files_per_account", "50000"),
    ("metadata_bytes_per_account", "1073741824"),
    ("audit_days", "365"),
    ("rate_per_address", "20000"),
    ("rate_per_account", "10000"),
    ("registrations_per_address", "240"),
    ("logins_per_address", "600"),
    ("head_seconds", "10"),
    ("body_seconds", "20"),
    ("idle_seconds", "30"),
    ("write_seconds", "20"),
    ("drain_seconds", "10"),
    ("drain_delay_seconds", "0"),
    ("log_level", "\"info\""),
    ("log_format", "\"text\""),
    ("access_log", "\"errors\""),
];

#[test]
fn every_default_is_the_value_that_the_list_states() {
    let config = Config::default();
    let shown: Vec<(&str, String)> = FIELDS.iter().map(|field| (field.name, (field.show)(&config))).collect();
    let expected = DEFAULTS.map(|(name, value)| (name, value.to_owned()));
    let without_folder: Vec<_> = shown.into_iter().filter(|(name, _)| *name != "data_dir").collect();
    assert_eq!(without_folder, expected);
    config.check().expect("the defaults are in range");
}

#[test]
fn numbers_are_taken_up_to_their_bounds() {
    let range = |low: u64, high: u64| format!("must be {low} to {high}");
    let positive = || "must be at least 1".to_owned();
    let million = || "must be at most 1000000".to_owned();
    let day = || "must be at most 86400, a day".to_owned();
    let cases = [
        ("bcrypt_cost", 4, 16, Some(range(4, 16)), range(4, 16)),
        ("token_hours", 1, 8_760, Some(range(1, 8_760)), range(1, 8_760)),
        ("access_minutes", 1, 1_440, Some(range(1, 1_440)), range(1, 1_440)),
        ("refresh_days", 1, 3_650, Some(range(1, 3_650)), range(1, 3_650)),
        ("grant_hours", 1, 168, Some(range(1, 168)), range(1, 168)),
        ("certificate_hours", 1, 720, Some(range(1, 720)), range(1, 720)),
        ("swarm_mebibytes_max", 1, 1 << 20, Some(range(1, 1 << 20)), range(1, 1 << 20)),
        ("leases_max", 1, 1_000_000_000, Some(range(1, 1_000_000_000)), range(1, 1_000_000_000)),
        ("audit_days", 0, 36_500, None, "must be at most 36500".to_owned()),
        ("files_per_account", 1, 1_000_000, Some(positive()), million()),
        ("connections_max", 1, 1_000_000, Some(positive()), million()),
        ("connections_per_address_max", 1, 1_000_000, Some(positive()), million()),
        ("rate_per_address", 0, 1_000_000, None, million()),
        ("rate_per_account", 0, 1_000_000, None, million()),
        ("registrations_per_address", 0, 1_000_000, None, million()),
        ("logins_per_address", 0, 1_000_000, None, million()),
        ("database_connections", 0, 1_000_000, None, million()),
        ("head_seconds", 1, 86_400, Some(positive()), day()),
        ("body_seconds", 1, 86_400, Some(positive()), day()),
        ("idle_seconds", 1, 86_400, Some(positive()), day()),
        ("write_seconds", 1, 86_400, Some(positive()), day()),
        ("drain_seconds", 0, 86_400, None, day()),
        ("drain_delay_seconds", 0, 86_400, None, day()),
    ];
    for (name, low, high, below, above) in cases {
        assert_eq!(with(name, &low.to_string()), Ok(low.to_string()), "{name}");
        assert_eq!(with(name, &high.to_string()), Ok(high.to_string()), "{name}");
        assert_eq!(with(name, &(high + 1).to_string()), Err(format!("{name}: {above}")));
        if let Some(below) = below {
            assert_eq!(with(name, &(low - 1).to_string()), Err(format!("{name}: {below}")));
        }
    }
}

#[test]
fn a_value_of_another_kind_is_refused_with_its_place() {
    let number = |text: &str| format!("{text:?} is not a whole number in range");
    for (name, value, why) in [
        ("bcrypt_cost", "-1", number("-1")),
        ("bcrypt_cost", "4294967296", number("4294967296")),
        ("head_seconds", "1.5", number("1.5")),
        ("leases_max", "", number("")),
        ("leases_max", "1 000", number("1 000")),
        ("dialback", "maybe", "\"maybe\" is not true or false".to_owned()),
        ("allow_plaintext", "TRUE", "\"TRUE\" is not true or false".to_owned()),
        ("registration", "Open", "\"Open\" is not open, invite or closed".to_owned()),
        ("log_level", "trace", "must be error, warn, info or debug".to_owned()),
        ("log_format", "xml", "must be text or json".to_owned()),
        ("access_log", "some", "must be off, errors or all".to_owned()),
    ] {
        let field = Field::find(name).expect(name);
        assert_eq!(with(name, value), Err(format!("environment {}: {why}", field.environment())));
    }
}

#[test]
fn every_word_of_a_choice_is_read_and_shown() {
    for (name, words) in [
        ("log_level", &["error", "warn", "info", "debug"][..]),
        ("log_format", &["text", "json"]),
        ("access_log", &["off", "errors", "all"]),
        ("registration", &["open", "invite", "closed"]),
        ("complaints", &["evidence", "bounded"]),
    ] {
        for word in words {
            assert_eq!(with(name, word), Ok(format!("\"{word}\"")), "{name}");
        }
    }
    for (word, shown) in [("on", true), ("yes", true), ("1", true), ("off", false), ("no", false), ("0", false)] {
        assert_eq!(with("dialback", word), Ok(shown.to_string()), "{word}");
    }
}

#[test]
fn the_first_line_of_a_url_file_is_the_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("url");
    std::fs::write(&path, " postgres://u:p@localhost/d \nmore\n").expect("writes");
    let by_file = [("PEERNET_TRACKER_DATABASE_URL_FILE", path.to_str().expect("is text"))];
    let (config, _) = loaded(None, &by_file, Flags::default()).expect("is in order");
    assert_eq!(config.database_url.reveal(), Some("postgres://u:p@localhost/d"));
    let both = [by_file[0], ("DATABASE_URL", "postgres://localhost/e")];
    let (config, _) = loaded(None, &both, Flags::default()).expect("is in order");
    assert_eq!(config.database_url.reveal(), Some("postgres://localhost/e"), "a URL wins over its file");
}

#[test]
fn a_file_beyond_a_mebibyte_is_refused() {
    let of = |bytes: usize| format!("#{}\n", "x".repeat(bytes - 2));
    loaded(Some(&of(1 << 20)), &[], Flags::default()).expect("is as large as allowed");
    let refused = loaded(Some(&of((1 << 20) + 1)), &[], Flags::default()).expect_err("is too large");
    assert!(refused.ends_with("config.toml: too large for a configuration file"), "{refused}");
}
