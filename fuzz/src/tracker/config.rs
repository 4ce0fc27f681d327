//! The tracker's configuration file.

use std::collections::BTreeMap;
use std::io::Write as _;

use peernet_tracker::boot::config::{Config, Flags, load_from};

use crate::texts;

/// A TOML file: a configuration that is taken, written out as a documented file, is taken again and means the same.
pub fn config(data: &[u8]) {
    let Some(config) = load(data) else { return };
    let printed = config.to_toml();
    // TOML's whole numbers end where i64 does; a setting may be given as text beyond that.
    let fits = |number: u64| i64::try_from(number).is_ok();
    let seconds =
        [config.head_seconds, config.body_seconds, config.idle_seconds, config.write_seconds, config.drain_seconds];
    let counts = [config.connections_max, config.connections_per_address_max, config.database_connections];
    if seconds.into_iter().all(fits) && counts.into_iter().all(|count| fits(count as u64)) {
        let again = load(printed.as_bytes()).expect("its own output");
        assert_eq!(again.to_toml(), printed);
    }
}

/// The settings that would look up a name or look at another file are given by flags, which win.
fn load(data: &[u8]) -> Option<Config> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(data).expect("writes it");
    let flags = Flags {
        listen: Some("127.0.0.1:0".to_owned()),
        database_url: Some(String::new()),
        database_url_file: Some(String::new()),
        ..Flags::default()
    };
    load_from(Some(file.path()), &BTreeMap::new(), &flags).ok().map(|(config, _)| config)
}

pub(super) fn examples() -> Vec<Vec<u8>> {
    let every_setting = Config::default().to_toml();
    texts(&[
        &every_setting,
        "listen = \"127.0.0.1:3\"\nbcrypt_cost = 5\n",
        "dialback = true\nlog_level = \"warn\" # quiet\nops_listen = 'off'\n",
        "complaints = \"bounded\"\ndata_dir = \"\"\"a\\u00e9\"\"\"\ndatabase_url = \"postgres://a:b@c/d\"\n",
    ])
}
