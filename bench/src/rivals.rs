//! Other programs that move a file, run in the same minutes on the same cores.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::measure;

/// A namespace of our own: libtorrent drops peers on 127.x and peers that share its own address.
const NAMESPACE: &str = "peernet-bench";
const SEEDER: &str = "10.77.0.1";
const FETCHER: &str = "10.77.0.2";

/// nginx serving a folder; stopped when dropped.
pub(crate) struct Nginx {
    child: Child,
    port: u16,
}

impl Nginx {
    /// `None` where nginx or curl is missing.
    pub(crate) fn start(folder: &Path, files: &Path) -> io::Result<Option<Self>> {
        if !(has("nginx") && has("curl")) {
            println!("nginx or curl is missing: left out");
            return Ok(None);
        }
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let config = folder.join("nginx.conf");
        let text = format!(
            "worker_processes 2; daemon off; master_process on; user root; pid {pid}; error_log stderr;\nevents {{ worker_connections 1024; }}\n\
             http {{ access_log off; sendfile on; server {{ listen 127.0.0.1:{port}; root {root}; \
             location = /constant {{ default_type application/json; return 200 '{{\"status\":\"UP\"}}'; }} }} }}\n",
            pid = folder.join("nginx.pid").display(),
            root = files.display(),
        );
        std::fs::write(&config, text)?;
        let child = Command::new("nginx").arg("-c").arg(&config).stderr(Stdio::null()).spawn()?;
        let nginx = Self { child, port };
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(Some(nginx));
            }
            std::thread::park_timeout(std::time::Duration::from_millis(25));
        }
        Err(io::Error::other("nginx does not listen"))
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// One download by curl, which verifies nothing.
    pub(crate) fn fetch(&self, name: &str, dest: &Path) -> io::Result<Value> {
        let before = self.cpu()?;
        let mut curl = Command::new("curl");
        curl.args(["-sf", "--noproxy", "*", "-o"]).arg(dest).arg(format!("{}/{name}", self.url()));
        let cost = measure::run(&mut curl)?;
        Ok(both_sides(cost, self.cpu()?.saturating_sub(before), 0))
    }

    fn cpu(&self) -> io::Result<std::time::Duration> {
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

/// A record of a transfer: wall of the fetching side, CPU and peak memory of both.
pub(crate) fn both_sides(fetch: measure::Cost, source_cpu: std::time::Duration, source_rss_kib: u64) -> Value {
    json!({"wall_s": fetch.wall.as_secs_f64(), "cpu_s": (fetch.cpu + source_cpu).as_secs_f64(), "fetch_cpu_s": fetch.cpu.as_secs_f64(),
        "source_cpu_s": source_cpu.as_secs_f64(), "fetch_rss_mib": fetch.peak_rss_kib as f64 / 1024.0,
        "source_rss_mib": source_rss_kib as f64 / 1024.0})
}

/// libtorrent's Python binding, one seeder; stopped when dropped.
pub(crate) struct Libtorrent {
    seeder: Child,
    torrent: PathBuf,
}

impl Libtorrent {
    /// `None` where the binding or `ip netns` is missing.
    pub(crate) fn start(folder: &Path, file: &Path) -> io::Result<Option<Self>> {
        let importable = Command::new("python3").args(["-c", "import libtorrent"]).stderr(Stdio::null()).status();
        if !importable.is_ok_and(|status| status.success()) || !namespace()? {
            println!("libtorrent (pip install libtorrent) or ip netns is missing: left out");
            return Ok(None);
        }
        let torrent = folder.join("file.torrent");
        measure::run(Command::new("python3").arg(script("make")).args([file, &torrent]))?;
        let mut command = inside("seed");
        command.args([&torrent, file.parent().unwrap_or(folder)]).arg(SEEDER);
        let mut seeder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut ready = [0; 6];
        io::Read::read_exact(seeder.stdout.as_mut().ok_or_else(|| io::Error::other("no output"))?, &mut ready)?;
        Ok(Some(Self { seeder, torrent }))
    }

    /// One download into `folder`.
    pub(crate) fn fetch(&self, folder: &Path) -> io::Result<Value> {
        let before = measure::cpu_so_far(self.seeder.id())?;
        let mut command = inside("fetch");
        let cost = measure::run(command.args([&self.torrent, folder]).args([FETCHER, SEEDER]))?;
        let source = measure::cpu_so_far(self.seeder.id())?.saturating_sub(before);
        Ok(both_sides(cost, source, measure::peak_rss_kib(self.seeder.id())?))
    }
}

impl Drop for Libtorrent {
    fn drop(&mut self) {
        let _ = (self.seeder.kill(), self.seeder.wait());
        let _ = Command::new("ip").args(["netns", "delete", NAMESPACE]).status();
    }
}

/// `ip netns exec` replaces itself with the program, so the child's process id and usage are the program's.
fn inside(name: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", NAMESPACE, "python3"]).arg(script(name));
    command
}

fn namespace() -> io::Result<bool> {
    if !has("ip") {
        return Ok(false);
    }
    let ip = |arguments: &[&str]| {
        Command::new("ip").args(arguments).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    let _left_over = ip(&["netns", "delete", NAMESPACE]);
    Ok(ip(&["netns", "add", NAMESPACE])
        && ip(&["-n", NAMESPACE, "link", "set", "lo", "up"])
        && ip(&["-n", NAMESPACE, "addr", "add", "10.77.0.1/32", "dev", "lo"])
        && ip(&["-n", NAMESPACE, "addr", "add", "10.77.0.2/32", "dev", "lo"]))
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("rivals/libtorrent_{name}.py"))
}

/// Whether a program is on the path.
pub(crate) fn has(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).exists()))
        || Path::new("/usr/sbin").join(program).exists()
}
