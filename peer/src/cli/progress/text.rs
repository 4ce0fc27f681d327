//! The words for a download in progress, for people and for programs.

use serde_json::{Value, json};

use crate::cli::output::{shown, size};
use crate::download::{FetchProgress, Phase, SourceProgress};
use peernet_engine::bottleneck::Bottleneck;

/// The longest note that is shown whole, in characters.
const NOTE_CHARS_MAX: usize = 200;

/// Describes a download: its phase, its rate, the time it will take, and its bottleneck.
pub(super) fn fetching_text(progress: &FetchProgress) -> String {
    let busy = progress.sources.iter().filter(|source| source.in_flight > 0).count();
    let mut text = match progress.phase {
        Phase::LookingUp => "looking for sources".to_owned(),
        Phase::CheckingPart => "checking the data on the disk".to_owned(),
        Phase::Copying => "copying from files on this machine".to_owned(),
        Phase::Fetching if progress.sources.is_empty() => "no peer shares it now; waiting".to_owned(),
        Phase::Fetching => {
            format!("{}/s from {busy} of {} peers", size(progress.rate as u64), progress.sources.len())
        }
        Phase::Verifying => "verifying".to_owned(),
        Phase::Finishing => "finishing".to_owned(),
    };
    if progress.phase == Phase::Fetching {
        if let Some(eta) = progress.eta {
            text.push_str(&format!(", {} left", span(eta.as_secs())));
        }
        if let Some(why) = why(progress.bottleneck) {
            text.push_str(&format!(", {why}"));
        }
    }
    match &progress.note {
        Some(note) => format!("{text}; {}", remark(note)),
        None => text,
    }
}

/// Describes one source, for a line on the terminal.
pub(super) fn source_text(source: &SourceProgress) -> String {
    let SourceProgress { address, transport, rate, chunks, bytes, in_flight, .. } = source;
    let rate = size(*rate as u64);
    let bytes = size(*bytes);
    let transport = transport.as_str();
    format!("  {} ({transport})  {rate}/s  {chunks} chunks, {bytes}, {in_flight} in flight", remark(address))
}

/// Makes a line of standard error for `--json`; docs/OPERATING.md documents the fields.
pub(super) fn fetching_event(what: &str, progress: &FetchProgress, note: &str) -> Value {
    json!({
        "event": "progress",
        "what": what,
        "phase": phase_word(progress.phase),
        "bytes_done": progress.bytes_done,
        "bytes_total": progress.bytes_total,
        "rate": progress.rate as u64,
        "eta_s": progress.eta.map(|eta| eta.as_secs()),
        "bottleneck": bottleneck_word(progress.bottleneck),
        "sources": progress.sources.iter().map(source_json).collect::<Vec<_>>(),
        "note": note,
    })
}

/// Describes one source to programs.
fn source_json(source: &SourceProgress) -> Value {
    json!({
        "peer_id": source.peer.to_string(),
        "address": source.address,
        "transport": source.transport.as_str(),
        "rate": source.rate as u64,
        "chunks": source.chunks,
        "bytes": source.bytes,
        "in_flight": source.in_flight,
    })
}

/// Returns the stable word of a phase.
fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::LookingUp => "looking_up",
        Phase::CheckingPart => "checking_part",
        Phase::Copying => "copying",
        Phase::Fetching => "fetching",
        Phase::Verifying => "verifying",
        Phase::Finishing => "finishing",
    }
}

/// Returns the stable word of the bottleneck.
fn bottleneck_word(bottleneck: Bottleneck) -> Option<&'static str> {
    match bottleneck {
        Bottleneck::Disk => Some("disk"),
        Bottleneck::Sources => Some("sources"),
        Bottleneck::OwnLimit => Some("own_limit"),
        Bottleneck::Hashing => Some("hashing"),
        Bottleneck::None => None,
    }
}

/// Describes the bottleneck to people.
fn why(bottleneck: Bottleneck) -> Option<&'static str> {
    match bottleneck {
        Bottleneck::Disk => Some("limited by the disk"),
        Bottleneck::Sources => Some("waiting for the sources"),
        Bottleneck::OwnLimit => Some("limited by --max-download"),
        Bottleneck::Hashing => Some("limited by hashing"),
        Bottleneck::None => None,
    }
}

/// Describes a time span to people, in at most two units.
pub(in crate::cli) fn span(seconds: u64) -> String {
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours @ 0..48, minutes, _) => format!("{hours} h {minutes} min"),
        (hours, ..) => format!("{} d {} h", hours / 24, hours % 24),
    }
}

/// Makes a note safe to show. It may quote text from the network, such as the error message of another peer.
fn remark(note: &str) -> String {
    shown(&note.chars().take(NOTE_CHARS_MAX).collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use peernet_engine::ids::PeerId;

    use super::*;
    use peernet_engine::candidate::Transport;

    fn progress(bottleneck: Bottleneck, eta_secs: Option<u64>) -> FetchProgress {
        let source = SourceProgress {
            peer: PeerId::from_random([1; 16]),
            address: "\u{1b}[2Jh:1".to_owned(),
            transport: Transport::Tls,
            v1: false,
            rate: 2_048.7,
            in_flight: 3,
            chunks: 2,
            bytes: 2 << 20,
        };
        FetchProgress {
            phase: Phase::Fetching,
            bytes_total: Some(10 << 20),
            bytes_done: 2 << 20,
            bytes_resumed: 0,
            chunks_total: 10,
            chunks_done: 2,
            rate: 4_096.5,
            elapsed: Duration::from_secs(1),
            sources: vec![source],
            eta: eta_secs.map(Duration::from_secs),
            bottleneck,
            note: None,
        }
    }

    #[test]
    fn the_text_says_how_fast_how_long_and_why() {
        for (bottleneck, eta, expected) in [
            (Bottleneck::None, None, "4.0 KiB/s from 1 of 1 peers"),
            (Bottleneck::Disk, Some(5), "4.0 KiB/s from 1 of 1 peers, 5 s left, limited by the disk"),
            (Bottleneck::Sources, Some(65), "4.0 KiB/s from 1 of 1 peers, 1 min 5 s left, waiting for the sources"),
            (
                Bottleneck::OwnLimit,
                Some(7_260),
                "4.0 KiB/s from 1 of 1 peers, 2 h 1 min left, limited by --max-download",
            ),
            (Bottleneck::Hashing, Some(200_000), "4.0 KiB/s from 1 of 1 peers, 2 d 7 h left, limited by hashing"),
        ] {
            assert_eq!(fetching_text(&progress(bottleneck, eta)), expected);
        }
        let stuck = FetchProgress { note: Some("h:1: \u{7}gone".to_owned()), ..progress(Bottleneck::None, None) };
        assert!(fetching_text(&stuck).ends_with("; h:1: \u{fffd}gone"), "{}", fetching_text(&stuck));
    }

    #[test]
    fn an_event_has_the_documented_fields() {
        let event = fetching_event("downloading x", &progress(Bottleneck::OwnLimit, Some(9)), "n");
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(keys(&event), "bottleneck bytes_done bytes_total eta_s event note phase rate sources what");
        assert_eq!(keys(&event["sources"][0]), "address bytes chunks in_flight peer_id rate transport");
        assert_eq!((&event["phase"], &event["bottleneck"]), (&json!("fetching"), &json!("own_limit")));
        assert_eq!((&event["rate"], &event["eta_s"]), (&json!(4_096), &json!(9)));
    }

    #[test]
    fn texts_of_peers_can_neither_steer_nor_flood_the_terminal() {
        assert_eq!(remark("refused: \u{1b}[2Jgone\n"), "refused: \u{fffd}[2Jgone\u{fffd}");
        assert_eq!(remark(&"x".repeat(10_000)).chars().count(), NOTE_CHARS_MAX);
        let line = source_text(&progress(Bottleneck::None, None).sources[0]);
        assert_eq!(line, "  \u{fffd}[2Jh:1 (tls)  2.0 KiB/s  2 chunks, 2.0 MiB, 3 in flight");
    }
}
