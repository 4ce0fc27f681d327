//! The description of a node.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::running::{Running, with_port};
use super::{Node, Settings};
use crate::cancel::Cancel;
use crate::discovery::tracker::{TrackerClient, TrackerOptions, TrackerTls, is_label};
use crate::home::Home;
use crate::identity::Fingerprint;
use crate::identity::Scope;
use crate::log::Log;
use crate::node::NodeError;
use crate::serve::UploadLimits;
use crate::shares::Shares;
use crate::throttle::{SpeedLimits, Throttle};

/// The description of a node. Only the folder is required, and the tracker before there is an account.
#[derive(Debug, Clone)]
pub struct Builder {
    home: Option<Home>,
    tracker: Option<String>,
    listen: String,
    plaintext_listen: Option<String>,
    plaintext_port: u16,
    address: Option<String>,
    site: Option<String>,
    options: TrackerOptions,
    upload: UploadLimits,
    limits: SpeedLimits,
    lasting: bool,
    log: Log,
    stop: Cancel,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            home: None,
            tracker: None,
            listen: "0.0.0.0:0".to_owned(),
            plaintext_listen: None,
            plaintext_port: 0,
            address: None,
            site: None,
            options: TrackerOptions::default(),
            upload: UploadLimits::default(),
            limits: SpeedLimits::default(),
            lasting: true,
            log: Log::silent(),
            stop: Cancel::new(),
        }
    }
}

impl Builder {
    /// Sets the folder for account and shares. It is made with mode 0700 when it is first needed.
    #[must_use]
    pub fn home(mut self, folder: impl Into<PathBuf>) -> Self {
        self.home = Some(Home::at(folder));
        self
    }

    /// Sets separate folders for configuration and state.
    #[doc(hidden)]
    #[must_use]
    pub fn folders(mut self, home: Home) -> Self {
        self.home = Some(home);
        self
    }

    /// Sets the tracker's URL, for example `https://tracker.example:8080`. By default it comes from the account in the
    /// folder.
    #[must_use]
    pub fn tracker(mut self, url: impl Into<String>) -> Self {
        self.tracker = Some(url.into());
        self
    }

    /// Sets the address to listen on, `host:port`; port 0 takes any free port. By default `0.0.0.0:0`.
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// Allows unencrypted connections: to trackers with `http://` URLs beyond this machine, and to peers without a
    /// certificate. The node then also listens for unencrypted connections. Anyone on the path can read and change
    /// them, so they are not allowed by default.
    #[must_use]
    pub fn allow_plaintext(mut self, allow: bool) -> Self {
        self.options.allow_plaintext = allow;
        self
    }

    /// Sets the address for unencrypted connections, `host:port`, if they are allowed. By default the host of
    /// [`Builder::listen`] and a free port.
    #[must_use]
    pub fn plaintext_listen(mut self, address: impl Into<String>) -> Self {
        self.plaintext_listen = Some(address.into());
        self
    }

    /// Sets the port for unencrypted connections, on the host of [`Builder::listen`].
    #[must_use]
    pub fn plaintext_port(mut self, port: u16) -> Self {
        self.plaintext_listen = None;
        self.plaintext_port = port;
        self
    }

    /// Sets the swarm's authority for [`Node::register`] and [`Node::login`]. Without it the first authority that is
    /// met is trusted, and no other from then on.
    #[must_use]
    pub fn ca_fingerprint(mut self, fingerprint: Fingerprint) -> Self {
        self.options.ca_fingerprint = Some(fingerprint);
        self
    }

    /// Sets the name of this machine among the account's devices, for [`Node::register`] and [`Node::login`]: 1 to 64
    /// bytes without control characters. By default it is the host name.
    #[doc(hidden)]
    #[must_use]
    pub fn device_label(mut self, label: impl Into<String>) -> Self {
        self.options.device.label = Some(label.into());
        self
    }

    /// Sets the scopes of the login; by default all. A node without [`Scope::Share`] can only download.
    #[doc(hidden)]
    #[must_use]
    pub fn device_scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.options.device.scopes = scopes.into_iter().collect();
        self
    }

    /// Sets which certificates are trusted for an `https://` tracker; by default those of the swarm's own authority.
    #[must_use]
    pub fn tracker_tls(mut self, tls: TrackerTls) -> Self {
        self.options.tls = tls;
        self
    }

    /// Sets the address at which other peers reach this node, if it differs from the one it listens on (a forwarded
    /// port). [`Node::register`] registers it.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Sets a label of the site. Downloads prefer sources with the same label.
    #[must_use]
    pub fn site(mut self, label: impl Into<String>) -> Self {
        self.site = Some(label.into());
        self
    }

    /// Sets the limits on network and memory; by default no limit and 64 MiB. [`Node::set_limits`] changes them later.
    #[must_use]
    pub fn limits(mut self, limits: SpeedLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the bounds of the server. Its rate is set by [`Builder::limits`].
    #[doc(hidden)]
    #[must_use]
    pub fn upload_limits(mut self, limits: UploadLimits) -> Self {
        self.upload = limits;
        self
    }

    /// Stores no shares on disk and loads none: sharing ends with the process. Several such nodes may use one folder at
    /// once.
    #[doc(hidden)]
    #[must_use]
    pub fn passing_shares(mut self) -> Self {
        self.lasting = false;
        self
    }

    /// Sets the log of background threads; by default messages are dropped.
    #[must_use]
    pub fn log(mut self, log: Log) -> Self {
        self.log = log;
        self
    }

    /// Sets a token that ends pauses between retries when it is cancelled. [`Node::stop`] cancels it too.
    #[must_use]
    pub fn stop_with(mut self, stop: Cancel) -> Self {
        self.stop = stop;
        self
    }

    /// Makes the node from the folder. Starts no thread and calls no tracker.
    pub fn build(self) -> Result<Node, NodeError> {
        let home = self.home.ok_or_else(|| NodeError::Invalid("a node needs a folder: Builder::home".to_owned()))?;
        if self.options.device.label.as_deref().is_some_and(|label| !is_label(label)) {
            return Err(NodeError::Invalid("a device's label is 1 to 64 bytes without control characters".to_owned()));
        }
        let credentials = home.credentials();
        let url = match self.tracker {
            Some(url) => url,
            None => credentials.load()?.map(|credentials| credentials.tracker).ok_or_else(no_tracker)?,
        };
        let shares = match self.lasting {
            true => {
                home.prepare()?;
                Shares::open(&home.shares_folder(), self.log.clone())?
            }
            false => Shares::in_memory(self.log.clone()),
        };
        let Self { listen, address, site, upload, lasting, options, .. } = self;
        let open = self.plaintext_listen.unwrap_or_else(|| with_port(&listen, self.plaintext_port));
        let plaintext_listen = options.allow_plaintext.then_some(open);
        Ok(Node {
            tracker: Arc::new(TrackerClient::new(&url, &home, options, self.log.clone(), self.stop.clone())?),
            home,
            shares: Arc::new(shares),
            settings: Settings { listen, plaintext_listen, address, site, upload, lasting },
            membership_state: Mutex::default(),
            authority: Mutex::default(),
            log: self.log,
            stop: self.stop,
            running: Running::default(),
            lingering: Mutex::default(),
            throttle: Throttle::new(&self.limits),
            downloads: Arc::default(),
            limits: Mutex::new(self.limits),
        })
    }
}

fn no_tracker() -> NodeError {
    NodeError::NotLoggedIn("which tracker? Give its URL once with `peernet register --tracker URL`".to_owned())
}
