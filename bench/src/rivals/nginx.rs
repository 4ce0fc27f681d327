//! curl from nginx: what HTTP without any verification needs.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{both_sides, has};
use crate::host::Host;
use crate::measure;

/// nginx serving a folder; stopped when dropped.
pub(crate) struct Nginx {
    child: Child,
    url: String,
    /// The same over TLS, with the certificate to trust.
    secured: (String, PathBuf),
}

impl Nginx {
    /// On this machine's loopback; `None` where nginx or curl is missing.
    pub(crate) fn start(folder: &Path, files: &Path) -> io::Result<Option<Self>> {
        Self::start_on(&Host::here(), folder, files)
    }

    /// The same on some host.
    pub(crate) fn start_on(host: &Host, folder: &Path, files: &Path) -> io::Result<Option<Self>> {
        if !(has("nginx") && has("curl")) {
            println!("nginx or curl is missing: left out");
            return Ok(None);
        }
        // Free here, and then so in a namespace where nothing but the bench's programs listens.
        let [port, secured_port] = [free_port()?, free_port()?];
        let (chain, key) = certificate(folder, host.address())?;
        let (config, pid) = (folder.join("nginx.conf"), folder.join("nginx.pid"));
        let _left_over = std::fs::remove_file(&pid);
        let [address, secured] = [port, secured_port].map(|port| format!("{}:{port}", host.address()));
        let text = format!(
            "worker_processes 2; daemon off; master_process on; user root; pid {pid}; error_log stderr;\nevents {{ worker_connections 1024; }}\n\
             http {{ access_log off; sendfile on; server {{ listen {address}; listen {secured} ssl; root {root}; \
             ssl_certificate {chain}; ssl_certificate_key {key}; \
             location = /constant {{ default_type application/json; return 200 '{{\"status\":\"UP\"}}'; }} }} }}\n",
            pid = pid.display(),
            root = files.display(),
            chain = chain.display(),
            key = key.display(),
        );
        std::fs::write(&config, text)?;
        let child = host.command("nginx").arg("-c").arg(&config).stderr(Stdio::null()).spawn()?;
        let secured = (format!("https://{secured}"), chain);
        let nginx = Self { child, url: format!("http://{address}"), secured };
        wait_for(&pid)?;
        Ok(Some(nginx))
    }

    /// Returns the address of the served file.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// One download by curl on some host, which verifies nothing.
    pub(crate) fn fetch(&self, host: &Host, name: &str, dest: &Path) -> io::Result<Value> {
        self.curl(host, dest, &[], &format!("{}/{name}", self.url))
    }

    /// The same over TLS.
    pub(crate) fn fetch_secured(&self, host: &Host, name: &str, dest: &Path) -> io::Result<Value> {
        let (url, trusted) = &self.secured;
        let trusted = trusted.to_string_lossy();
        self.curl(host, dest, &["--cacert", &trusted], &format!("{url}/{name}"))
    }

    fn curl(&self, host: &Host, dest: &Path, options: &[&str], url: &str) -> io::Result<Value> {
        let before = self.cpu()?;
        let mut curl = host.command("curl");
        curl.args(["-sf", "--noproxy", "*"]).args(options).arg("-o").arg(dest).arg(url);
        let cost = measure::run(&mut curl)?;
        Ok(both_sides(cost, self.cpu()?.saturating_sub(before), 0))
    }

    fn cpu(&self) -> io::Result<Duration> {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.child.id()))?;
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(measure::cpu_so_far).sum()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGQUIT would wait for connections; nginx's master stops its workers on SIGTERM, which `kill` sends.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A certificate that vouches for itself, of the same kind of key as PeerNet's, and that key.
fn certificate(folder: &Path, address: &str) -> io::Result<(PathBuf, PathBuf)> {
    let made = rcgen::generate_simple_self_signed([address.to_owned()]).map_err(io::Error::other)?;
    let (chain, key) = (folder.join("nginx-chain.pem"), folder.join("nginx-key.pem"));
    std::fs::write(&chain, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    Ok((chain, key))
}

/// nginx writes its process id once it listens.
fn wait_for(pid: &PathBuf) -> io::Result<()> {
    for _ in 0..400 {
        if std::fs::read_to_string(pid).is_ok_and(|text| text.ends_with('\n')) {
            return Ok(());
        }
        std::thread::park_timeout(Duration::from_millis(25));
    }
    Err(io::Error::other("nginx does not listen"))
}
