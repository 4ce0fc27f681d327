//! Common parts of the commands: folders, configuration, the tracker, and a node made of them.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use peernet_engine::link::Link;

use super::config::Config;
use super::exit::Failure;
use super::output::Output;
use crate::cancel::Cancel;
use crate::daemon::control::ControlClient;
use crate::home::{Credentials, Home, HomeLock, Version1Config, parse_version1};
use crate::identity::Fingerprint;
use crate::node::{Builder, Node};

/// The environment variable for `--allow-plaintext`.
const PLAINTEXT_VARIABLE: &str = "PEERNET_ALLOW_PLAINTEXT";
/// The environment variable for `--ca-fingerprint`.
const FINGERPRINT_VARIABLE: &str = "PEERNET_CA_FINGERPRINT";
/// The limit on the time from a starting daemon's lock to its socket.
const DAEMON_START_MAX: Duration = Duration::from_secs(10);
/// The interval at which a command looks for the socket of a starting daemon.
const DAEMON_LOOK: Duration = Duration::from_millis(50);

/// The options about the tracker and other peers, as far as the user typed them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TrackerOptions<'a> {
    /// A URL, several URLs, or a share link.
    pub(super) url: Option<&'a str>,
    /// `swarm` or `public`.
    pub(super) tls: Option<&'a str>,
    pub(super) allow_plaintext: bool,
    pub(super) ca_fingerprint: Option<&'a str>,
    pub(super) plaintext_port: Option<u16>,
}

impl TrackerOptions<'_> {
    /// Returns these options, and those of `outer` in place of absent ones: options may stand before a subcommand or
    /// after it.
    pub(super) fn or(self, outer: Self) -> Self {
        Self {
            url: self.url.or(outer.url),
            tls: self.tls.or(outer.tls),
            allow_plaintext: self.allow_plaintext || outer.allow_plaintext,
            ca_fingerprint: self.ca_fingerprint.or(outer.ca_fingerprint),
            plaintext_port: self.plaintext_port.or(outer.plaintext_port),
        }
    }
}

/// The surroundings of one command.
pub(super) struct Context {
    pub(super) output: Output,
    pub(super) home: Home,
    pub(super) config: Config,
    /// Cancelled by Ctrl-C, in commands that watch for signals.
    pub(super) cancel: Cancel,
}

impl Context {
    /// Reads the configuration, and takes over version 1's account if there is no other.
    pub(super) fn new(output: Output) -> Result<Self, Failure> {
        let home = Home::from_environment(&|name| std::env::var_os(name))?;
        let config = Config::load(&home.config_file())?;
        let context = Self { output, home, config, cancel: Cancel::new() };
        context.import_version1()?;
        Ok(context)
    }

    /// Finds the tracker that an option, the environment or the configuration names, without looking at the account.
    fn named_tracker(&self, typed: Option<&str>) -> Result<NamedTracker, Failure> {
        let from_environment = || variable("PEERNET_TRACKER");
        let named = typed.map(str::to_owned).or_else(from_environment).or_else(|| self.config.tracker.clone());
        let Some(text) = named.as_deref().map(str::trim).filter(|text| is_link(text)) else {
            return Ok(NamedTracker { url: named, authority: None });
        };
        let link: Link = text.parse().map_err(|error| Failure::usage(format!("--tracker: {error}")))?;
        match link.trackers.is_empty() {
            true => Err(Failure::usage("the link names no tracker: give its URL with --tracker")),
            false => {
                Ok(NamedTracker { url: Some(link.trackers.join(",")), authority: link.authority.map(Fingerprint::new) })
            }
        }
    }

    /// Starts a node from these options, the environment and the configuration, in this order.
    pub(super) fn builder(&self, options: TrackerOptions<'_>) -> Result<Builder, Failure> {
        let mut builder =
            Node::builder().folders(self.home.clone()).log(self.output.log()).stop_with(self.cancel.clone());
        let named = self.named_tracker(options.url)?;
        if let Some(url) = named.url.or_else(|| self.version1_url()) {
            builder = builder.tracker(url);
        }
        if let Some(fingerprint) = named.authority {
            // An explicit fingerprint wins: `secured` sets it afterwards.
            builder = builder.ca_fingerprint(fingerprint);
        }
        builder = self.secured(builder, options)?;
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

    /// Sets which connections the node may make, and which authority it trusts.
    fn secured(&self, builder: Builder, options: TrackerOptions<'_>) -> Result<Builder, Failure> {
        let allowed = options.allow_plaintext || self.allows_plaintext()?;
        let mut builder = builder.allow_plaintext(allowed);
        let read = |name: &str, error: &dyn fmt::Display| Failure::usage(format!("{name}: {error}"));
        if let Some(text) = options.tls.or(self.config.tracker_tls.as_deref()) {
            builder = builder.tracker_tls(text.parse().map_err(|error| read("--tracker-tls", &error))?);
        }
        let fingerprint = options.ca_fingerprint.map(str::to_owned).or_else(|| variable(FINGERPRINT_VARIABLE));
        if let Some(text) = fingerprint {
            builder = builder.ca_fingerprint(text.parse().map_err(|error| read("--ca-fingerprint", &error))?);
        }
        match (options.plaintext_port, &self.config.plaintext_listen) {
            (Some(_), _) if !allowed => Err(Failure::usage("--plaintext-port needs --allow-plaintext")),
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
            Some(other) => Err(Failure::usage(format!("{PLAINTEXT_VARIABLE}: expected 1 or 0, found {other:?}"))),
        }
    }

    /// Makes a node for a command that calls the tracker and serves nothing.
    pub(super) fn asking_node(&self, options: TrackerOptions<'_>) -> Result<Node, Failure> {
        Ok(self.builder(options)?.passing_shares().build()?)
    }

    /// Connects to the daemon of this folder; `None` if there is no daemon.
    ///
    /// A daemon that is just starting holds the folder's lock before it listens. The command waits for it: a change
    /// made meanwhile without the daemon would be unknown to it.
    pub(super) fn daemon(&self) -> Option<ControlClient> {
        let socket = self.home.control_socket();
        let deadline = Instant::now() + DAEMON_START_MAX;
        let mut noted = false;
        loop {
            // The order matters: if the lock is free after the socket did not answer, there is no daemon.
            let daemon = ControlClient::connect(&socket);
            let is_starting = daemon.is_none() && HomeLock::is_taken(&self.home) && Instant::now() < deadline;
            if !is_starting || self.cancel.is_cancelled() {
                return daemon;
            }
            if !std::mem::replace(&mut noted, true) {
                self.output.note("waiting for the daemon to start");
            }
            let _cancelled_meanwhile = self.cancel.channel().recv_timeout(DAEMON_LOOK);
        }
    }

    /// Takes over version 1's account if this version has neither an account nor a configuration.
    fn import_version1(&self) -> Result<(), Failure> {
        let Some(old) = self.version1() else { return Ok(()) };
        let Some(peer_id) = old.peer_id() else { return Ok(()) };
        let Some(tracker) = old.tracker_url else { return Ok(()) };
        let Some(token) = old.auth_token else { return Ok(()) };
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

/// A tracker by its URL, and the authority to trust there if a share link named it.
struct NamedTracker {
    url: Option<String>,
    authority: Option<Fingerprint>,
}

fn is_link(text: &str) -> bool {
    text.get(..9).is_some_and(|scheme| scheme.eq_ignore_ascii_case("peernet:?"))
}

/// Returns an environment variable that is set and not empty.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_after_a_subcommand_win_over_those_before() {
        let outer =
            TrackerOptions { url: Some("a"), tls: Some("swarm"), plaintext_port: Some(1), ..Default::default() };
        let inner = TrackerOptions { url: Some("b"), allow_plaintext: true, ..Default::default() };
        let expected = TrackerOptions { url: Some("b"), allow_plaintext: true, ..outer };
        assert_eq!(inner.or(outer), expected);
        assert_eq!(TrackerOptions::default().or(outer), outer);
        assert_eq!(outer.or(TrackerOptions::default()), outer);
    }

    #[test]
    fn a_share_link_is_recognised_by_its_scheme() {
        for (text, expected) in [
            ("peernet:?xt=urn:sha256:00", true),
            ("PeerNet:?", true),
            ("peernet:", false),
            ("https://peernet:?", false),
            ("", false),
            ("peernet\u{e9}?", false),
        ] {
            assert_eq!(is_link(text), expected, "{text:?}");
        }
    }
}
