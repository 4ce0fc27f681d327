//! Addresses and the protection that they lead to.

use super::*;

fn parsed(address: &str) -> Protection {
    Address::parse(address).unwrap_or_else(|why| panic!("{address}: {why}")).protection
}

fn tls(proof: Proof) -> Tls {
    Tls { required: true, by_default: false, proof, client: None }
}

#[test]
fn plaintext_is_used_on_this_machine_or_by_request() {
    for here in [
        "postgres://u@localhost/d",
        "postgres://127.0.0.1:1,[::1]/d",
        "postgres://[::ffff:127.0.0.1]/d",
        "postgres://db.test/d?hostaddr=127.0.0.2",
        "postgres:///d?host=/run/postgresql",
        "postgres://%2Frun%2Fpostgresql/d?sslmode=verify-full",
        "host=/run/a,LOCALHOST",
        "postgres:///d",
    ] {
        assert_eq!(parsed(here), Protection::Local, "{here}");
    }
    for asked in
        ["postgres://10.0.0.1/d?sslmode=disable", "host=localhost sslmode=disable", "host=h,/run sslmode=disable"]
    {
        assert_eq!(parsed(asked), Protection::Plaintext, "{asked}");
    }
}

#[test]
fn a_remote_server_must_prove_itself_by_default() {
    for elsewhere in [
        "postgres://u:p@db/d",
        "postgres://localhost,db/d",
        "postgres://localhost/d?hostaddr=10.0.0.1",
        "postgres://localhost.example.org/d",
        "hostaddr=10.0.0.1",
    ] {
        let wanted = Tls { by_default: true, ..tls(Proof::Name(Roots::System)) };
        assert_eq!(parsed(elsewhere), Protection::Tls(wanted), "{elsewhere}");
    }
    // Who names an authority wants TLS, on loopback as well.
    let wanted = Tls { by_default: true, ..tls(Proof::Name(Roots::File("/r".into()))) };
    assert_eq!(parsed("postgres://localhost/d?sslrootcert=/r"), Protection::Tls(wanted));
}

#[test]
fn modes_have_the_meaning_of_libpq() {
    let file = || PathBuf::from("/r");
    for (said, proof, word) in [
        ("sslmode=require", Proof::Nothing, "require"),
        ("sslmode=require&sslrootcert=/r", Proof::Authority(file()), "verify-ca"),
        ("sslmode=verify-ca&sslrootcert=/r", Proof::Authority(file()), "verify-ca"),
        ("sslmode=verify-full&sslrootcert=/r", Proof::Name(Roots::File(file())), "verify-full"),
        ("sslmode=verify-full&sslrootcert=system", Proof::Name(Roots::System), "verify-full"),
        ("sslmode=verify-full", Proof::Name(Roots::System), "verify-full"),
        ("sslmode=verify-full&sslrootcert=", Proof::Name(Roots::System), "verify-full"),
    ] {
        let found = parsed(&format!("postgres://db/d?{said}"));
        assert_eq!((found.word(), &found), (word, &Protection::Tls(tls(proof))), "{said}");
    }
    for (said, proof) in [("prefer", Proof::Nothing), ("prefer&sslrootcert=/r", Proof::Authority(file()))] {
        let wanted = Tls { required: false, ..tls(proof) };
        assert_eq!(parsed(&format!("postgres://localhost/d?sslmode={said}")), Protection::Tls(wanted));
    }
    let client = Some(ClientFiles { certificate: "/c".into(), key: "/k".into() });
    let wanted = Tls { client, ..tls(Proof::Nothing) };
    assert_eq!(parsed("host=db sslmode=require sslcert=/c sslkey=/k"), Protection::Tls(wanted));
}

#[test]
fn impossible_demands_are_refused_without_secrets() {
    for (address, expected) in [
        ("postgres://u:s3cret@db/d?sslmode=allow", "allow is not offered"),
        ("postgres://u:s3cret@db/d?sslmode=s3cret", "must be disable, prefer, require, verify-ca or verify-full"),
        ("postgres://u:s3cret@db/d?sslmode=", "must be disable"),
        ("postgres:///d?host=/run&sslmode=nonsense", "must be disable"),
        ("postgres://u:s3cret@db/d?sslmode=verify-ca", "sslrootcert=FILE"),
        ("postgres://u:s3cret@db/d?sslmode=verify-ca&sslrootcert=system", "verify-full"),
        ("postgres://u:s3cret@db/d?sslmode=require&sslrootcert=system", "verify-full"),
        ("postgres://u:s3cret@db/d?sslcert=/c", "sslkey"),
        ("postgres://u:s3cret@db/d?sslmode=disable&channel_binding=require", "needs TLS"),
        ("host=/run,db password=s3cret sslmode=require", "Unix socket"),
        ("host=/run,db password=s3cret", "Unix socket"),
        ("postgres://u:s3cret@h:port/d", "option `port`"),
        ("host=h password=s3cret port=s3cret", "option `port`"),
        ("postgres://u:s3cret/x?y@h/d", "no value"),
        ("postgres://u:s3cret%ff@h/d?user=%ff", "not a PostgreSQL address"),
        ("(hidden)", "neither"),
    ] {
        let why = Address::parse(address).expect_err(address).to_string();
        assert!(why.contains(expected) && !why.contains("s3cret"), "{address}: {why}");
    }
    let shown = format!("{:?}", Address::parse("postgres://u:s3cret@db/d").expect("is one"));
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn the_files_of_an_address_must_exist() {
    let folder = tempfile::tempdir().expect("a folder");
    let there = folder.path().join("c");
    std::fs::write(&there, "").expect("writes it");
    let there = there.display();
    let missing = folder.path().join("missing");
    let found = |text: String| Address::parse(&text).expect("is one").check_files().map_err(|why| why.to_string());
    assert_eq!(found(format!("host=db sslrootcert={there} sslcert={there} sslkey={there}")), Ok(()));
    assert_eq!(found("host=db".to_owned()), Ok(()));
    assert_eq!(found(format!("host=db sslmode=disable sslrootcert={}", missing.display())), Ok(()));
    for (name, others) in [("sslrootcert", String::new()), ("sslkey", format!("sslcert={there}"))] {
        let why = found(format!("host=db {name}={} {others}", missing.display())).expect_err(name);
        assert!(why.starts_with(&format!("{name} {}", missing.display())), "{why}");
        assert!(found(format!("host=db {name}=/ {others}")).is_err_and(|why| why.ends_with("not a file")));
    }
}

#[test]
fn the_library_gets_the_decision() {
    for (address, mode, hosts) in [
        ("postgres://localhost/d", SslMode::Disable, 1),
        ("postgres:///d?host=/run&sslmode=require", SslMode::Disable, 1),
        ("postgres://db/d?sslmode=disable", SslMode::Disable, 1),
        ("postgres://db/d?sslmode=prefer", SslMode::Prefer, 1),
        ("postgres://db/d?sslmode=require", SslMode::Require, 1),
        ("postgres://db/d", SslMode::Require, 1),
        ("hostaddr=10.0.0.1,10.0.0.2", SslMode::Require, 2),
    ] {
        let (config, _) = Address::parse(address).expect(address).into_parts();
        assert_eq!((config.get_ssl_mode(), config.get_hosts().len()), (mode, hosts), "{address}");
    }
}
