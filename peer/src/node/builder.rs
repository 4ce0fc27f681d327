//! Describing a node.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::running::{Running, with_port};
use super::{Node, Settings};
use crate::cancel::Cancel;
use crate::discovery::tracker::{Scope, TrackerClient, TrackerOptions, TrackerTls, is_label};
use crate::error::NodeError;
use crate::home::Home;
use crate::identity::Fingerprint;
use crate::log::Log;
use crate::shares::Shares;
use crate::throttle::{SpeedLimits, Throttle};
use crate::upload::UploadLimits;

/// A node to be. Only the folder and, before an account exists, the tracker are needed.
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
    /// The folder for account and shares; made, with mode 0700, when first needed.
    #[must_use]
    pub fn home(mut self, folder: impl Into<PathBuf>) -> Self {
        self.home = Some(Home::at(folder));
        self
    }

    /// The same with configuration and state apart.
    #[must_use]
    pub fn folders(mut self, home: Home) -> Self {
        self.home = Some(home);
        self
    }

    /// The tracker's URL, like `https://tracker.example:8080`. By default that of the account in the folder.
    #[must_use]
    pub fn tracker(mut self, url: impl Into<String>) -> Self {
        self.tracker = Some(url.into());
        self
    }

    /// Where to listen, `host:port`; port 0 takes any free one. By default `0.0.0.0:0`.
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// Speak plaintext where nothing better can be had: with trackers of `http://` beyond this machine, and with peers that have no
    /// certificate. The node then also listens in plaintext. By default it does neither: everybody in between reads plaintext along.
    #[must_use]
    pub fn allow_plaintext(mut self, allow: bool) -> Self {
        self.options.allow_plaintext = allow;
        self
    }

    /// Where to listen in plaintext, `host:port`, where that is allowed. By default the host of [`Builder::listen`] and a free port.
    #[must_use]
    pub fn plaintext_listen(mut self, address: impl Into<String>) -> Self {
        self.plaintext_listen = Some(address.into());
        self
    }

    /// The same with the host of [`Builder::listen`].
    #[must_use]
    pub fn plaintext_port(mut self, port: u16) -> Self {
        (self.plaintext_listen, self.plaintext_port) = (None, port);
        self
    }

    /// The authority to take for the swarm's at [`Node::register`] and [`Node::login`]. Without it the first one that is met is
    /// trusted, and no other from then on.
    #[must_use]
    pub fn ca_fingerprint(mut self, fingerprint: Fingerprint) -> Self {
        self.options.ca_fingerprint = Some(fingerprint);
        self
    }

    /// What this machine is called among the account's devices at [`Node::register`] and [`Node::login`], 1 to 64 bytes without control
    /// characters; by default its host name.
    #[must_use]
    pub fn device_label(mut self, label: impl Into<String>) -> Self {
        self.options.device.label = Some(label.into());
        self
    }

    /// What the login is to be good for; by default everything. A node without [`Scope::Share`] downloads only.
    #[must_use]
    pub fn device_scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.options.device.scopes = scopes.into_iter().collect();
        self
    }

    /// By what a tracker of `https://` is known; by default by the swarm's own authority.
    #[must_use]
    pub fn tracker_tls(mut self, tls: TrackerTls) -> Self {
        self.options.tls = tls;
        self
    }

    /// The address others reach this node at, where it is another than it listens on (a forwarded port), and the one
    /// [`Node::register`] registers.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// A label; downloads prefer sources with their own.
    #[must_use]
    pub fn site(mut self, label: impl Into<String>) -> Self {
        self.site = Some(label.into());
        self
    }

    /// How much it may use of network and memory; by default no limit and 64 MiB. [`Node::set_limits`] changes it later.
    #[must_use]
    pub fn limits(mut self, limits: SpeedLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Bounds of the server. Its rate is [`Builder::limits`]' to say.
    #[must_use]
    pub fn upload_limits(mut self, limits: UploadLimits) -> Self {
        self.upload = limits;
        self
    }

    /// Keep no shares on disk and load none: what is shared ends with the process, and several such nodes may use one
    /// folder at once.
    #[must_use]
    pub fn passing_shares(mut self) -> Self {
        self.lasting = false;
        self
    }

    /// Where messages of background threads go; nowhere by default.
    #[must_use]
    pub fn log(mut self, log: Log) -> Self {
        self.log = log;
        self
    }

    /// Ends pauses between retries when cancelled; [`Node::stop`] cancels it too.
    #[must_use]
    pub fn stop_with(mut self, stop: Cancel) -> Self {
        self.stop = stop;
        self
    }

    /// Reads the folder. Starts nothing and calls nobody.
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
            standing: Mutex::default(),
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
