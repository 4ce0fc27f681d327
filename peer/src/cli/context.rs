//! What commands have in common: folders, configuration, which tracker, and a node made of them.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use peernet_engine::link::Link;

use super::config::Config;
use super::exit::Failure;
use super::output::Output;
use crate::cancel::Cancel;
use crate::control::ControlClient;
use crate::home::{Credentials, Home, HomeLock, Version1Config, parse_version1};
use crate::identity::Fingerprint;
use crate::node::{Builder, Node};

const PLAINTEXT_VARIABLE: &str = "PEERNET_ALLOW_PLAINTEXT";
const FINGERPRINT_VARIABLE: &str = "PEERNET_CA_FINGERPRINT";
/// How long a daemon may take from its lock to its socket, and how often it is looked for meanwhile.
const DAEMON_START_MAX: Duration = Duration::from_secs(10);
const DAEMON_LOOK: Duration = Duration::from_millis(50);

/// How to speak to the tracker, as far as it was typed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Way<'a> {
    pub(super) tracker: Option<&'a str>,
    pub(super) tls: Option<&'a str>,
    pub(super) allow_plaintext: bool,
    pub(super) ca_fingerprint: Option<&'a str>,
    pub(super) plaintext_port: Option<u16>,
}

/// Set up once per run.
pub(super) struct Context {
    pub(super) output: Output,
    pub(super) home: Home,
    pub(super) config: Config,
    /// Cancelled by Ctrl-C, when a command watches for it.
    pub(super) cancel: Cancel,
}

impl Context {
    pub(super) fn new(output: Output) -> Result<Self, Failure> {
        let home = Home::from_environment(&|name| std::env::var_os(name))?;
        let config = Config::load(&home.config_file())?;
        let context = Self { output, home, config, cancel: Cancel::new() };
        context.import_version1()?;
        Ok(context)
    }

    /// The tracker's URL as far as it is known without an account, by option, environment or configuration; and whom to trust there, where
    /// what names the tracker is a share link.
    fn introduced(&self, typed: Option<&str>) -> Result<(Option<String>, Option<Fingerprint>), Failure> {
        let from_environment = || variable("PEERNET_TRACKER");
        let named = typed.map(str::to_owned).or_else(from_environment).or_else(|| self.config.tracker.clone());
        let Some(text) = named.as_deref().map(str::trim).filter(|text| is_link(text)) else { return Ok((named, None)) };
        let link: Link = text.parse().map_err(|error| Failure::usage(format!("--tracker: {error}")))?;
        match link.trackers.is_empty() {
            true => Err(Failure::usage("the link names no tracker: give its URL with --tracker")),
            false => Ok((Some(link.trackers.join(",")), link.authority.map(Fingerprint::new))),
        }
    }

    /// A node with what was typed, and what environment and configuration say.
    pub(super) fn builder(&self, way: Way<'_>) -> Result<Builder, Failure> {
        let mut builder =
            Node::builder().folders(self.home.clone()).log(self.output.log()).stop_with(self.cancel.clone());
        let (tracker, authority) = self.introduced(way.tracker)?;
        if let Some(url) = tracker.or_else(|| self.version1_url()) {
            builder = builder.tracker(url);
        }
        if let Some(fingerprint) = authority {
            // One that was given by name counts more, and comes after.
            builder = builder.ca_fingerprint(fingerprint);
        }
        builder = self.secured(builder, way)?;
        if let Some(listen) = &self.config.listen {
            builder = builder.listen(listen);
        }
        if let Some(address) = &self.config.address {
            builder = builder.address(address);
        }
        Ok(match &self.config.site {
            Some(site) => builder.site(site),
            None => builder,
        })
    }

    /// With whom it may speak, and how.
    fn secured(&self, builder: Builder, way: Way<'_>) -> Result<Builder, Failure> {
        let allowed = way.allow_plaintext || self.allows_plaintext()?;
        let mut builder = builder.allow_plaintext(allowed);
        let read = |name: &str, error: &dyn fmt::Display| Failure::usage(format!("{name}: {error}"));
        if let Some(text) = way.tls.or(self.config.tracker_tls.as_deref()) {
            builder = builder.tracker_tls(text.parse().map_err(|error| read("--tracker-tls", &error))?);
        }
        let fingerprint = way.ca_fingerprint.map(str::to_owned).or_else(|| variable(FINGERPRINT_VARIABLE));
        if let Some(text) = fingerprint {
            builder = builder.ca_fingerprint(text.parse().map_err(|error| read("--ca-fingerprint", &error))?);
        }
        match (way.plaintext_port, &self.config.plaintext_listen) {
            (Some(_), _) if !allowed => Err(Failure::usage("--plaintext-port goes with --allow-plaintext")),
            (Some(port), _) => Ok(builder.plaintext_port(port)),
            (None, Some(listen)) => Ok(builder.plaintext_listen(listen)),
            (None, None) => Ok(builder),
        }
    }

    fn allows_plaintext(&self) -> Result<bool, Failure> {
        match variable(PLAINTEXT_VARIABLE).as_deref() {
            None => Ok(self.config.allow_plaintext.unwrap_or(false)),
            Some("1" | "true") => Ok(true),
            Some("0" | "false") => Ok(false),
            Some(_) => Err(Failure::usage(format!("{PLAINTEXT_VARIABLE}: 1 or 0 is wanted"))),
        }
    }

    /// A node for a command that asks the tracker and serves nothing.
    pub(super) fn asking_node(&self, way: Way<'_>) -> Result<Node, Failure> {
        Ok(self.builder(way)?.passing_shares().build()?)
    }

    /// The daemon of this folder, if there is one. One that is just starting holds the folder's lock before it listens;
    /// it is waited for, so that a command does not do by itself what the daemon would then know nothing of.
    pub(super) fn daemon(&self) -> Option<ControlClient> {
        let (socket, deadline) = (self.home.control_socket(), Instant::now() + DAEMON_START_MAX);
        let mut told = false;
        loop {
            // In this order: a lock that is free after the socket did not answer is no daemon's.
            let daemon = ControlClient::connect(&socket);
            let is_starting = daemon.is_none() && HomeLock::is_taken(&self.home) && Instant::now() < deadline;
            if !is_starting || self.cancel.is_cancelled() {
                return daemon;
            }
            if !std::mem::replace(&mut told, true) {
                self.output.note("waiting for the daemon that is just starting");
            }
            let _cancelled_meanwhile = self.cancel.channel().recv_timeout(DAEMON_LOOK);
        }
    }

    /// Takes over version 1's account when there is neither an account nor a configuration of ours.
    fn import_version1(&self) -> Result<(), Failure> {
        let Some((old, peer_id)) = self.version1().and_then(|old| Some((old.clone(), old.peer_id()?))) else {
            return Ok(());
        };
        let (Some(tracker), Some(token)) = (old.tracker_url, old.auth_token) else { return Ok(()) };
        let Ok(tracker) = crate::discovery::tracker::normal_url(&tracker) else { return Ok(()) };
        let credentials =
            Credentials { tracker, peer_id, address: None, token, obtained_at: 0, expires_at: 0, device: None };
        self.home.credentials().save(&credentials)?;
        self.output.note(&format!("took over the account {peer_id} of version 1's configuration"));
        Ok(())
    }

    fn version1_url(&self) -> Option<String> {
        self.version1().and_then(|old| old.tracker_url)
    }

    fn version1(&self) -> Option<Version1Config> {
        if self.home.credentials().path().exists() || self.home.config_file().exists() {
            return None;
        }
        parse_version1(&fs::read_to_string(self.home.version1_file()?).ok()?)
    }
}

fn is_link(text: &str) -> bool {
    text.get(..9).is_some_and(|scheme| scheme.eq_ignore_ascii_case("peernet:?"))
}

/// An environment variable that is set and not empty.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
