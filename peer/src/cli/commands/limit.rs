//! `limit`: shows or changes the limits of the running daemon.

use peernet_engine::rate_limit::Rate;
use serde_json::{Value, json};

use crate::cli::command::{Run, command};
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::size;
use crate::cli::shares::no_daemon;
use crate::daemon::control::{Last, LimitsMessage, Request};
use crate::throttle::SpeedLimits;

command! {
    /// Show or change the limits of the running daemon. A change takes effect at once and lasts until the daemon stops.
    #[argh(
        subcommand,
        name = "limit",
        example = "peernet limit\npeernet limit --max-upload 10M\npeernet limit --max-upload none --max-download 1.5M --max-connections 50"
    )]
    pub(crate) struct Limit [limits] {}
}

impl Run for Limit {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let options = self.limit_options();
        // A limit that makes no sense is refused whether or not a daemon is running.
        options.applied_to(SpeedLimits::default())?;
        let request = Request::Limit {
            max_upload: options.upload,
            max_download: options.download,
            max_connections: options.connections,
            max_memory: options.memory,
        };
        let daemon = context.daemon().ok_or_else(|| no_daemon(context))?;
        match daemon.ask(request, &mut |_| {})? {
            Last::Limits(limits) => {
                context.output.result(&people(&limits), &programs(&limits));
                Ok(Exit::Ok)
            }
            _ => Err(Failure::unexpected_reply()),
        }
    }
}

fn people(limits: &LimitsMessage) -> String {
    let rate = |rate: Option<u64>| match rate.and_then(Rate::new) {
        Some(rate) => format!("{}/s ({rate})", size(rate.bytes_per_second())),
        None => "no limit".to_owned(),
    };
    let connections = limits.max_connections.map_or_else(|| "no limit".to_owned(), |number| number.to_string());
    format!(
        "upload       {}\ndownload     {}\nconnections  {connections}\nmemory       {}",
        rate(limits.max_upload),
        rate(limits.max_download),
        limits.max_memory.map_or_else(|| "unknown".to_owned(), size)
    )
}

fn programs(limits: &LimitsMessage) -> Value {
    json!({
        "max_upload": limits.max_upload,
        "max_download": limits.max_download,
        "max_connections": limits.max_connections,
        "max_memory": limits.max_memory,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_shown_with_units_or_as_none() {
        let limits = LimitsMessage {
            max_upload: Some(512_000),
            max_download: None,
            max_connections: Some(50),
            max_memory: None,
        };
        let expected = "upload       500.0 KiB/s (500K)\ndownload     no limit\nconnections  50\nmemory       unknown";
        assert_eq!(people(&limits), expected);
        assert_eq!(programs(&limits)["max_download"], Value::Null);
    }
}
