//! The places where a scenario's processes run: this machine's loopback, or network namespaces as hosts.
//!
//! `ip netns exec` replaces itself with the program, so a child's process id and usage are the program's own.

use std::ffi::OsStr;
use std::io;
use std::process::{Command, Stdio};

/// The prefix of our namespaces' names, followed by a dash and a word. The bench deletes every namespace with this
/// prefix.
const PREFIX: &str = "pnbench";
/// The namespace that holds nothing but the bridge.
const SWITCH: &str = "pnbench-switch";
/// The bytes by which a link may run ahead of its rate. A segment that the kernel has not split yet must fit.
const BURST: &str = "128kb";
/// The length of a full queue in front of a limited link.
const QUEUE: &str = "50ms";

/// One host: its programs, and the address others reach them at.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    namespace: Option<String>,
    address: String,
}

impl Host {
    /// Returns this machine's loopback.
    pub(crate) fn here() -> Self {
        Self { namespace: None, address: "127.0.0.1".to_owned() }
    }

    /// Returns the host's IPv4 address.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A word that tells it from the others, for names of folders.
    pub(crate) fn name(&self) -> &str {
        self.namespace.as_deref().unwrap_or("here")
    }

    /// A program on this host.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let Some(namespace) = &self.namespace else { return Command::new(program) };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(program);
        command
    }
}

/// Hosts on one bridge, each behind a link of its own. Dropping it ends what runs there and deletes it.
pub(crate) struct Lan {
    hosts: Vec<Host>,
}

impl Lan {
    /// As many hosts as there are rates; a rate is tc's word, like `100mbit`, and holds both ways. Without one the link
    /// is as fast as the machine.
    pub(crate) fn start(rates: &[Option<&str>]) -> io::Result<Self> {
        clean_up();
        let mut lan = Self { hosts: Vec::new() };
        ip(&["netns", "add", SWITCH])?;
        ip(&["-n", SWITCH, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", SWITCH, "link", "set", "bridge", "up"])?;
        for (number, rate) in rates.iter().enumerate() {
            let host = Self::plug_in(number)?;
            lan.hosts.push(host);
            if let Some(rate) = rate {
                limit(&namespace(number), "uplink", rate)?;
                limit(SWITCH, &port(number), rate)?;
            }
        }
        Ok(lan)
    }

    /// In the order of the rates.
    pub(crate) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    fn plug_in(number: usize) -> io::Result<Host> {
        let (own, port, address) = (namespace(number), port(number), format!("10.78.0.{}", number + 1));
        ip(&["netns", "add", &own])?;
        ip(&["link", "add", "uplink", "netns", &own, "type", "veth", "peer", "name", &port, "netns", SWITCH])?;
        ip(&["-n", SWITCH, "link", "set", &port, "master", "bridge", "up"])?;
        ip(&["-n", &own, "addr", "add", &format!("{address}/24"), "dev", "uplink"])?;
        ip(&["-n", &own, "link", "set", "uplink", "up"])?;
        ip(&["-n", &own, "link", "set", "lo", "up"])?;
        Ok(Host { namespace: Some(own), address })
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        clean_up();
    }
}

/// Hosts that share one loopback without limits: for programs that drop peers on 127.x and peers that have their own
/// address.
pub(crate) struct OneLoopback {
    hosts: Vec<Host>,
}

impl OneLoopback {
    /// `None` where namespaces cannot be made.
    pub(crate) fn start(hosts: usize) -> Option<Self> {
        clean_up();
        let own = namespace(0);
        let made = ip(&["netns", "add", &own]).and_then(|()| ip(&["-n", &own, "link", "set", "lo", "up"]));
        let address = |number: usize| format!("10.77.0.{}", number + 1);
        let numbered = (0..hosts)
            .try_for_each(|number| ip(&["-n", &own, "addr", "add", &format!("{}/32", address(number)), "dev", "lo"]));
        if let Err(error) = made.and(numbered) {
            println!("no network namespaces ({error}): what needs them is left out");
            return None;
        }
        let host = |number| Host { namespace: Some(own.clone()), address: address(number) };
        Some(Self { hosts: (0..hosts).map(host).collect() })
    }

    /// Returns as many addresses as requested.
    pub(crate) fn hosts(&self) -> &[Host] {
        &self.hosts
    }
}

impl Drop for OneLoopback {
    fn drop(&mut self) {
        clean_up();
    }
}

fn namespace(number: usize) -> String {
    format!("{PREFIX}-{number}")
}

fn port(number: usize) -> String {
    format!("port{number}")
}

fn limit(namespace: &str, link: &str, rate: &str) -> io::Result<()> {
    let shape = ["qdisc", "add", "dev", link, "root", "tbf", "rate", rate, "burst", BURST, "latency", QUEUE];
    run(Command::new("tc").args(["-n", namespace]).args(shape))
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    run(Command::new("ip").args(arguments))
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("{command:?}: {said} (needs root)")))
}

/// Ends what runs in namespaces of ours and deletes them, also those that an earlier run left behind.
fn clean_up() {
    let Ok(output) = Command::new("ip").args(["netns", "list"]).output() else { return };
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| name.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('-'))) {
        let inside = Command::new("ip").args(["netns", "pids", name]).output();
        for pid in inside.iter().flat_map(|output| output.stdout.split(|byte| byte.is_ascii_whitespace())) {
            if !pid.is_empty() {
                let _gone = Command::new("kill").args(["-9", &String::from_utf8_lossy(pid)]).output();
            }
        }
        let _gone = ip(&["netns", "delete", name]);
    }
}
