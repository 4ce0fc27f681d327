//! `status`: shows the account, the shares, and the daemon.

use peernet_engine::ids::PeerId;
use serde_json::{Value, json};

use crate::cli::account::not_logged_in;
use crate::cli::command::{Run, command};
use crate::cli::context::{Context, TrackerOptions};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::size;
use crate::cli::shares::{daemon_status, no_daemon, own_shares};
use crate::cli::watch::watch;
use crate::daemon::control::DaemonStatus;
use crate::discovery::tracker::Me;
use crate::node::NodeError;

command! {
    /// Show the account, its balance and reputation, the shares, and the daemon.
    #[argh(
        subcommand,
        name = "status",
        example = "peernet status\npeernet status --json\npeernet status --watch --interval 5\npeernet status --daemon --quiet"
    )]
    pub(crate) struct Status [tracker] {
        /// show the daemon's transfers repeatedly until Ctrl-C; with --json one line of JSON each time
        #[argh(switch)]
        watch: bool,
        /// seconds between two updates of --watch, by default 1
        #[argh(option, arg_name = "seconds")]
        interval: Option<String>,
        /// only check that the daemon answers; exit with 0 if it does, else with 4
        #[argh(switch)]
        daemon: bool,
    }
}

/// The state of the account, the shares and the daemon.
struct Report {
    peer_id: PeerId,
    address: Option<String>,
    tracker: String,
    /// The account as the tracker sees it, or why the tracker cannot be reached.
    me: Result<Me, String>,
    daemon: Option<DaemonStatus>,
    shares: Value,
}

impl Run for Status {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        if self.watch {
            return watch(context, self.interval.as_deref());
        }
        if self.interval.is_some() {
            return Err(Failure::usage("--interval needs --watch"));
        }
        if self.daemon {
            return daemon_answers(context);
        }
        let report = look(context, self.tracker_options())?;
        context.output.result(&report.people(), &report.programs());
        match &report.me {
            Ok(_) => Ok(Exit::Ok),
            Err(problem) => {
                context.output.warn(problem);
                Ok(Exit::Network)
            }
        }
    }
}

/// Answers `--daemon`, for health checks: it asks neither the tracker nor the account.
fn daemon_answers(context: &Context) -> Result<Exit, Failure> {
    let daemon = daemon_status(context).ok_or_else(|| no_daemon(context))?;
    context.output.result(&daemon_line(Some(&daemon)), &daemon_json(Some(&daemon)));
    Ok(Exit::Ok)
}

/// Collects everything that is known.
fn look(context: &Context, tracker: TrackerOptions<'_>) -> Result<Report, Failure> {
    let node = context.asking_node(tracker)?;
    let account = node.credentials()?.ok_or_else(not_logged_in)?;
    let me = match node.me() {
        Ok(me) => Ok(me),
        // A tracker that is down does not hide local facts.
        Err(error @ NodeError::Unreachable(_)) => Err(error.to_string()),
        Err(error) => return Err(error.into()),
    };
    let daemon = daemon_status(context);
    let shares = match &daemon {
        Some(daemon) => daemon.shares.clone(),
        None => own_shares(context, tracker)?,
    };
    let url = node.tracker_url().to_owned();
    Ok(Report { peer_id: account.peer_id, address: account.address, tracker: url, me, daemon, shares })
}

impl Report {
    /// Makes one flat document, so that a script finds each value by its name alone. Values that the tracker did not
    /// give are null.
    fn programs(&self) -> Value {
        let me = self.me.as_ref().ok();
        let mut flat = daemon_json(self.daemon.as_ref());
        for (key, value) in [
            ("peer_id", json!(self.peer_id.to_string())),
            ("address", json!(self.address)),
            ("tracker", json!(self.tracker)),
            ("tracker_error", json!(self.me.as_ref().err())),
            ("reputation_score", json!(me.map(|me| me.reputation_score))),
            ("established", json!(me.map(|me| me.established))),
            ("token_balance", json!(me.map(|me| me.balance_mt.div_euclid(1_000)))),
            ("token_balance_mt", json!(me.map(|me| me.balance_mt))),
            ("escrow_mt", json!(me.map(|me| me.escrow_mt))),
            ("files_shared", json!(me.map(|me| me.files_shared))),
            ("created_at", json!(me.map(|me| me.created_at))),
            ("shares", self.shares.clone()),
        ] {
            flat[key] = value;
        }
        flat
    }

    fn people(&self) -> String {
        let mut lines = vec![format!("account     {}", self.peer_id), format!("tracker     {}", self.tracker)];
        if let Ok(me) = &self.me {
            let proven = if me.established { "established" } else { "newcomer" };
            let balance = tokens(me.balance_mt);
            let held = tokens(me.escrow_mt);
            lines.push(format!("reputation  {:.2} ({proven})", me.reputation_score));
            lines.push(format!("balance     {balance:.3} tokens, {held:.3} reserved for downloads"));
            lines.push(format!("announced   {} files", me.files_shared));
        }
        let all = self.shares.as_array().map_or(&[][..], Vec::as_slice);
        let bytes: u64 = all.iter().filter_map(|share| share["size"].as_u64()).sum();
        lines.push(format!("shared      {} files, {}", all.len(), size(bytes)));
        lines.push(daemon_line(self.daemon.as_ref()));
        lines.join("\n")
    }
}

fn tokens(mt: i64) -> f64 {
    mt as f64 / 1e3
}

fn daemon_json(daemon: Option<&DaemonStatus>) -> Value {
    json!({
        "daemon": daemon.is_some(),
        "daemon_pid": daemon.map(|daemon| daemon.pid),
        "daemon_listen": daemon.map(|daemon| &daemon.listen),
        "daemon_plaintext_listen": daemon.and_then(|daemon| daemon.plaintext_listen.as_ref()),
        "daemon_uptime_s": daemon.map(|daemon| daemon.uptime_s),
        "daemon_bytes_sent": daemon.map(|daemon| daemon.bytes_sent),
        "daemon_uploads": daemon.map(|daemon| daemon.uploads),
        "daemon_plaintext_uploads": daemon.map(|daemon| daemon.plaintext_uploads),
        "daemon_upload_rate": daemon.map(|daemon| daemon.upload_rate),
        "daemon_downloads": daemon.map(|daemon| daemon.downloads),
        "daemon_download_rate": daemon.map(|daemon| daemon.download_rate),
    })
}

fn daemon_line(daemon: Option<&DaemonStatus>) -> String {
    match daemon {
        Some(daemon) => {
            let DaemonStatus { pid, listen, bytes_sent, uploads, upload_rate, downloads, download_rate, .. } = daemon;
            let transport = match &daemon.plaintext_listen {
                None => "tls".to_owned(),
                Some(open) if open == listen => "plaintext".to_owned(),
                Some(open) => format!("tls; plaintext on {open}"),
            };
            let open = match daemon.plaintext_uploads {
                0 => String::new(),
                open => format!(" ({open} in plaintext)"),
            };
            let sent = size(*bytes_sent);
            let up = size(*upload_rate);
            let down = size(*download_rate);
            format!(
                "daemon      running as process {pid} on {listen} ({transport}), {sent} sent\n\
                 transfers   {uploads} uploads{open} at {up}/s, {downloads} downloads at {down}/s"
            )
        }
        None => "daemon      not running".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon() -> DaemonStatus {
        DaemonStatus {
            pid: 42,
            listen: "10.0.0.1:50051".to_owned(),
            plaintext_listen: None,
            uptime_s: 61,
            bytes_sent: 3 << 20,
            uploads: 2,
            plaintext_uploads: 0,
            upload_rate: 1 << 20,
            downloads: 1,
            download_rate: 512,
            shares: json!([]),
        }
    }

    fn me() -> Me {
        Me {
            peer_id: PeerId::from_random([1; 16]),
            address: Some("h:1".to_owned()),
            reputation_score: 0.5,
            established: false,
            balance_mt: 1_234_567,
            escrow_mt: 500,
            files_shared: 3,
            created_at: 1_700_000_000,
        }
    }

    fn report(me: Result<Me, String>, daemon: Option<DaemonStatus>, shares: Value) -> Report {
        let peer_id = PeerId::from_random([1; 16]);
        Report { peer_id, address: Some("h:1".to_owned()), tracker: "https://t:1".to_owned(), me, daemon, shares }
    }

    #[test]
    fn people_read_the_account_the_shares_and_the_daemon() {
        let peer = PeerId::from_random([1; 16]);
        let shares = json!([{"size": 1_024}, {"size": 1_536}, {"size": "unknown"}]);
        let expected = format!(
            "account     {peer}\n\
             tracker     https://t:1\n\
             reputation  0.50 (newcomer)\n\
             balance     1234.567 tokens, 0.500 reserved for downloads\n\
             announced   3 files\n\
             shared      3 files, 2.5 KiB\n\
             daemon      running as process 42 on 10.0.0.1:50051 (tls), 3.0 MiB sent\n\
             transfers   2 uploads at 1.0 MiB/s, 1 downloads at 512 B/s"
        );
        assert_eq!(report(Ok(me()), Some(daemon()), shares).people(), expected);
        let debt = Me { balance_mt: -1_500, established: true, reputation_score: 0.95, ..me() };
        let people = report(Ok(debt), None, json!([])).people();
        assert!(people.contains("\nreputation  0.95 (established)\nbalance     -1.500 tokens"), "{people}");
        // A tracker that does not answer hides nothing of this machine.
        let down =
            format!("account     {peer}\ntracker     https://t:1\nshared      0 files, 0 B\ndaemon      not running");
        assert_eq!(report(Err("no answer".to_owned()), None, json!("not a list")).people(), down);
    }

    #[test]
    fn the_daemons_line_names_every_open_transport() {
        let line = |open: Option<&str>, plaintext_uploads| {
            let plaintext_listen = open.map(str::to_owned);
            let whole = daemon_line(Some(&DaemonStatus { plaintext_listen, plaintext_uploads, ..daemon() }));
            whole.replace("daemon      running as process 42 on 10.0.0.1:50051 ", "").replace('\n', " ")
        };
        for (open, uploads, expected) in [
            (None, 0, "(tls), 3.0 MiB sent transfers   2 uploads at"),
            (Some("10.0.0.1:50051"), 2, "(plaintext), 3.0 MiB sent transfers   2 uploads (2 in plaintext) at"),
            (
                Some("10.0.0.1:9"),
                1,
                "(tls; plaintext on 10.0.0.1:9), 3.0 MiB sent transfers   2 uploads (1 in plaintext) at",
            ),
        ] {
            let found = line(open, uploads);
            assert!(found.starts_with(expected), "{found}");
        }
        assert_eq!(daemon_line(None), "daemon      not running");
    }

    #[test]
    fn programs_read_one_flat_document_of_the_status() {
        let shares = json!([{"size": 1}]);
        let expected = json!({
            "peer_id": PeerId::from_random([1; 16]).to_string(),
            "address": "h:1",
            "tracker": "https://t:1",
            "tracker_error": null,
            "reputation_score": 0.5,
            "established": false,
            "token_balance": 1_234,
            "token_balance_mt": 1_234_567,
            "escrow_mt": 500,
            "files_shared": 3,
            "created_at": 1_700_000_000,
            "shares": [{"size": 1}],
            "daemon": true,
            "daemon_pid": 42,
            "daemon_listen": "10.0.0.1:50051",
            "daemon_plaintext_listen": null,
            "daemon_uptime_s": 61,
            "daemon_bytes_sent": 3 << 20,
            "daemon_uploads": 2,
            "daemon_plaintext_uploads": 0,
            "daemon_upload_rate": 1 << 20,
            "daemon_downloads": 1,
            "daemon_download_rate": 512,
        });
        assert_eq!(report(Ok(me()), Some(daemon()), shares).programs(), expected);
        let down = report(Err("no answer".to_owned()), None, json!([])).programs();
        assert_eq!((&down["tracker_error"], &down["daemon"]), (&json!("no answer"), &json!(false)));
        let unknown =
            ["reputation_score", "established", "token_balance", "token_balance_mt", "escrow_mt", "files_shared"];
        let absent = ["created_at", "daemon_pid", "daemon_listen", "daemon_plaintext_listen", "daemon_uptime_s"];
        for key in unknown.into_iter().chain(absent) {
            assert_eq!(down.get(key), Some(&Value::Null), "{key} is there and null");
        }
        assert_eq!(down.as_object().unwrap().len(), expected.as_object().unwrap().len());
    }

    #[test]
    fn a_part_of_a_token_is_rounded_down_in_whole_tokens() {
        for (mt, whole) in [(0, 0), (999, 0), (1_000, 1), (-1, -1), (-1_000, -1), (-1_001, -2)] {
            let programs = report(Ok(Me { balance_mt: mt, ..me() }), None, json!([])).programs();
            assert_eq!((&programs["token_balance"], &programs["token_balance_mt"]), (&json!(whole), &json!(mt)));
        }
    }
}
