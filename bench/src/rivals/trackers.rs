//! BitTorrent trackers over HTTP, which keep nothing on disk: aquatic_http and torrust-tracker.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::has;

const START: Duration = Duration::from_secs(20);

/// A running tracker; stopped when dropped.
pub(crate) struct BtTracker {
    pub(crate) name: &'static str,
    child: Child,
    port: u16,
}

impl BtTracker {
    /// Starts all installed trackers.
    pub(crate) fn start_all(folder: &Path) -> io::Result<Vec<Self>> {
        let started = [Self::aquatic(folder)?, Self::torrust(folder)?];
        Ok(started.into_iter().flatten().collect())
    }

    /// One worker for each of the two kinds, as its documentation says for two cores.
    fn aquatic(folder: &Path) -> io::Result<Option<Self>> {
        Self::start("aquatic_http", folder, |port, folder| {
            let config = folder.join("aquatic.toml");
            let text = format!(
                "socket_workers = 1\nswarm_workers = 1\nlog_level = \"off\"\n[network]\naddress = \"127.0.0.1:{port}\"\nkeep_alive = true\n"
            );
            fs::write(&config, text)?;
            let mut command = Command::new("aquatic_http");
            command.arg("-c").arg(config);
            Ok(command)
        })
    }

    fn torrust(folder: &Path) -> io::Result<Option<Self>> {
        Self::start("torrust-tracker", folder, |port, folder| {
            let text = format!(
                "[metadata]\napp = \"torrust-tracker\"\npurpose = \"configuration\"\nschema_version = \"2.0.0\"\n[logging]\nthreshold = \"off\"\n\
                 [core]\nlisted = false\nprivate = false\n[core.database]\ndriver = \"sqlite3\"\npath = \"{}\"\n\
                 [[http_trackers]]\nbind_address = \"127.0.0.1:{port}\"\n",
                folder.join("torrust.db").display()
            );
            let mut command = Command::new("torrust-tracker");
            command.env("TORRUST_TRACKER_CONFIG_TOML", text);
            Ok(command)
        })
    }

    fn start(
        name: &'static str,
        folder: &Path,
        command: impl Fn(u16, &Path) -> io::Result<Command>,
    ) -> io::Result<Option<Self>> {
        if !has(name) {
            println!("{name} is missing: left out");
            return Ok(None);
        }
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = command(port, folder)?;
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let tracker = Self { name, child: command.spawn()?, port };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if began.elapsed() > START {
                return Err(io::Error::other(format!("{name} does not listen")));
            }
            std::thread::yield_now();
        }
        Ok(Some(tracker))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the address for announces.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/announce", self.port)
    }

    /// A script for wrk: announces of 1,000 torrents by as many peers as come, ten peers wanted back.
    pub(crate) fn script(folder: &Path) -> io::Result<std::path::PathBuf> {
        let path = folder.join("announce-bt.lua");
        let text = "local function twenty(n) return string.format('%020d', n) end\n\
            request = function()\n\
              return wrk.format('GET', '/announce?info_hash=' .. twenty(math.random(1000)) .. '&peer_id=' .. twenty(math.random(100000)) ..\n\
                '&port=6881&uploaded=0&downloaded=0&left=0&compact=1&numwant=10&event=started')\n\
            end\n";
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for BtTracker {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
