//! The address of the tracker's database.

use peernet_tracker::store::postgres::address::{Address, Proof, Protection, Tls};

use crate::texts;

/// Parses an address. Without `sslmode` its protection must be the default; an error must be one short line.
pub fn database_address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let address = match Address::parse(text) {
        Ok(address) => address,
        Err(why) => {
            let why = why.to_string();
            assert!(!why.contains('\n') && why.len() < 600, "{why}");
            return;
        }
    };
    let as_by_default = match address.protection() {
        Protection::Local => true,
        Protection::Plaintext => false,
        Protection::Tls(tls) => matches!(tls, Tls { required: true, by_default: true, proof: Proof::Name(_), .. }),
    };
    assert!(as_by_default || text.contains("sslmode"), "{address:?}");
    assert_eq!(address.protection().word() == "local", *address.protection() == Protection::Local);
}

pub(super) fn examples() -> Vec<Vec<u8>> {
    texts(&[
        "postgres://u:p%40@db.example.org:5432/d?sslmode=verify-full&sslrootcert=/etc/db.crt&application_name=x",
        "postgresql://localhost,[::1]:1/d?hostaddr=127.0.0.1,10.0.0.1&connect_timeout=3",
        "postgres:///d?host=%2Frun&sslmode=prefer",
        "host=db user = u password='a \\' b' sslmode=require sslcert=/c sslkey='/k k' channel_binding=require",
        "hostaddr=10.0.0.1 sslmode=disable",
        "host=db sslrootcert=system",
    ])
}
