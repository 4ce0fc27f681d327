//! `status --watch`: shows the transfers of the daemon, repeatedly.

use std::io::IsTerminal;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde_json::json;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::{shown, size, try_print_line};
use super::progress::{Lines, span};
use super::shares::no_daemon;
use super::signals;
use crate::daemon::control::{ControlClient, DownloadMessage, Last, Request, TransfersMessage, UploadMessage};

/// The shortest interval: shorter ones would keep the daemon busy with answers.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(3_600);
const INTERVAL: Duration = Duration::from_secs(1);
/// Transfers of each kind that are shown to people; the rest is only counted.
const SHOWN_MAX: usize = 20;

pub(super) fn watch(context: &Context, interval: Option<&str>) -> Result<Exit, Failure> {
    let interval = interval.map_or(Ok(INTERVAL), parse_interval)?;
    let _watch = signals::watch(&context.cancel, &context.output)?;
    let on_terminal = std::io::stdout().is_terminal() && !context.output.is_json();
    let screen = || Lines::below(MultiProgress::with_draw_target(ProgressDrawTarget::stdout()));
    let mut screen = on_terminal.then(screen);
    loop {
        let transfers = look(context)?;
        let still_read = match (&mut screen, context.output.is_json()) {
            (Some(screen), _) => {
                screen.set(people(&transfers));
                true
            }
            (None, true) => try_print_line(&programs(&transfers).to_string()),
            (None, false) => people(&transfers).iter().all(|line| try_print_line(line)),
        };
        let paused = context.cancel.channel().recv_timeout(interval);
        if !still_read || !matches!(paused, Err(RecvTimeoutError::Timeout)) {
            // Ctrl-C is the only end of this command, so it is a success.
            return Ok(Exit::Ok);
        }
    }
}

fn look(context: &Context) -> Result<TransfersMessage, Failure> {
    let daemon = ControlClient::connect(&context.home.control_socket()).ok_or_else(|| no_daemon(context))?;
    match daemon.ask(Request::Transfers, &mut |_| {})? {
        Last::Transfers(transfers) => Ok(transfers),
        _ => Err(Failure::unexpected_reply()),
    }
}

fn parse_interval(text: &str) -> Result<Duration, Failure> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| (INTERVAL_MIN..=INTERVAL_MAX).contains(seconds)).ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        Failure::usage(format!("--interval: expected a number of seconds from 0.1 to 3600, found {text:?}"))
    })
}

fn programs(transfers: &TransfersMessage) -> serde_json::Value {
    let mut event = json!(transfers);
    event["event"] = json!("transfers");
    event
}

fn people(transfers: &TransfersMessage) -> Vec<String> {
    let up = size(transfers.upload_rate);
    let down = size(transfers.download_rate);
    let sent = size(transfers.bytes_sent);
    let connections = transfers.connections;
    let mut lines = vec![format!("upload {up}/s ({sent} so far), download {down}/s, {connections} connections")];
    list(&mut lines, &transfers.uploads, upload_line);
    let calls = &transfers.v1_calls;
    if calls.bytes > 0 || calls.running > 0 {
        let rate = size(calls.rate);
        let bytes = size(calls.bytes);
        lines.push(format!("  up    {} calls of version 1  {rate}/s  {bytes}", calls.running));
    }
    list(&mut lines, &transfers.downloads, download_line);
    lines
}

fn list<T>(lines: &mut Vec<String>, all: &[T], line: impl Fn(&T) -> String) {
    lines.extend(all.iter().take(SHOWN_MAX).map(line));
    if all.len() > SHOWN_MAX {
        lines.push(format!("  ... and {} more", all.len() - SHOWN_MAX));
    }
}

fn upload_line(upload: &UploadMessage) -> String {
    let UploadMessage { address, transport, .. } = upload;
    let name = named(&upload.name, &upload.file_hash);
    let rate = size(upload.rate);
    let bytes = size(upload.bytes);
    let since = span(upload.seconds);
    format!("  up    {name}  to {address} ({transport})  {rate}/s  {bytes} in {since}")
}

fn download_line(download: &DownloadMessage) -> String {
    let rate = size(download.rate);
    let done = size(download.bytes_done);
    let of = download.bytes_total.map_or_else(String::new, |total| format!(" of {}", size(total)));
    let left = download.eta_s.map_or_else(String::new, |eta| format!(", {} left", span(eta)));
    let name = named(&download.name, &download.file_hash);
    let open = match download.plaintext_sources {
        0 => String::new(),
        open => format!(" ({open} in plaintext)"),
    };
    format!("  down  {name}  from {} peers{open}  {rate}/s  {done}{of}{left}", download.sources)
}

fn named(name: &str, file_hash: &str) -> String {
    if name.is_empty() { file_hash.chars().take(12).collect() } else { shown(name) }
}

#[cfg(test)]
mod tests {
    use crate::daemon::control::CallsMessage;

    use super::*;

    #[test]
    fn an_interval_is_a_sensible_number_of_seconds() {
        assert_eq!(parse_interval("0.5").unwrap(), Duration::from_millis(500));
        for text in ["", "0", "0.01", "-1", "NaN", "inf", "1e99", "3601", "x"] {
            assert_eq!(parse_interval(text).unwrap_err().exit, Exit::Usage, "{text}");
        }
    }

    #[test]
    fn people_see_each_transfer_and_how_many_more_there_are() {
        let upload = UploadMessage {
            file_hash: "ab".repeat(32),
            name: "model\u{7}.bin".to_owned(),
            address: "10.0.0.2:5000".to_owned(),
            transport: "tls".to_owned(),
            peer_id: None,
            rate: 1 << 20,
            bytes: 3 << 20,
            seconds: 61,
        };
        let download = DownloadMessage {
            file_hash: "cd".repeat(32),
            name: String::new(),
            rate: 512,
            bytes_done: 1 << 20,
            bytes_total: Some(2 << 20),
            eta_s: Some(9),
            sources: 2,
            plaintext_sources: 1,
            seconds: 3,
        };
        let transfers = TransfersMessage {
            upload_rate: 22 << 20,
            download_rate: 512,
            connections: 24,
            bytes_sent: 1 << 30,
            uploads: vec![upload; 22],
            v1_calls: CallsMessage { running: 2, rate: 0, bytes: 7 << 20 },
            downloads: vec![download],
        };
        let lines = people(&transfers);
        assert_eq!(lines[0], "upload 22.0 MiB/s (1.0 GiB so far), download 512 B/s, 24 connections");
        assert_eq!(lines[1], "  up    model\u{fffd}.bin  to 10.0.0.2:5000 (tls)  1.0 MiB/s  3.0 MiB in 1 min 1 s");
        assert_eq!(
            lines[21..],
            [
                "  ... and 2 more",
                "  up    2 calls of version 1  0 B/s  7.0 MiB",
                "  down  cdcdcdcdcdcd  from 2 peers (1 in plaintext)  512 B/s  1.0 MiB of 2.0 MiB, 9 s left",
            ]
        );
    }
}
