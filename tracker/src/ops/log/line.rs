//! An event as one line, whatever its values contain.

use std::fmt::Write as _;
use std::time::SystemTime;

use super::{Format, Level, Value};
use crate::base::calendar::utc_millis;
use peernet_door::RequestId;

/// The longest message or value that is written, in characters: a line has a bound because the queue has one.
const CHARACTERS_MAX: usize = 1_024;

/// The contents of a line.
pub(super) struct Event<'a> {
    pub(super) at: SystemTime,
    pub(super) level: Level,
    pub(super) target: &'a str,
    pub(super) message: &'a str,
    pub(super) request: Option<RequestId>,
    pub(super) fields: &'a [(&'a str, Value<'a>)],
}

/// The event in this format.
pub(super) fn render(event: &Event<'_>, format: Format) -> String {
    match format {
        Format::Text => text(event),
        Format::Json => json(event),
    }
}

/// `time level target message key=value … request_id=…`.
fn text(event: &Event<'_>) -> String {
    let Event { level, target, .. } = event;
    let mut line = format!("{} {level:<5} {target} {}", utc_millis(event.at), one_line(&cut(event.message)));
    for (key, value) in event.fields {
        let value = shown(value);
        let plain = !value.is_empty() && value.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '"');
        let value = if plain { value } else { format!("{value:?}") };
        let _infallible = write!(line, " {key}={value}");
    }
    if let Some(request) = event.request {
        let _infallible = write!(line, " request_id={request}");
    }
    line.push('\n');
    line
}

/// `{"time":…,"level":…,"target":…,"message":…,"request_id":…,"fields":{…}}`; the last two only where there are any.
fn json(event: &Event<'_>) -> String {
    let Event { level, target, .. } = event;
    let mut line = format!("{{\"time\":\"{}\",\"level\":\"{level}\",\"target\":", utc_millis(event.at));
    push_quoted(&mut line, target);
    line.push_str(",\"message\":");
    push_quoted(&mut line, &cut(event.message));
    if let Some(request) = event.request {
        let _infallible = write!(line, ",\"request_id\":\"{request}\"");
    }
    for (number, (key, value)) in event.fields.iter().enumerate() {
        line.push_str(if number == 0 { ",\"fields\":{" } else { "," });
        push_quoted(&mut line, key);
        line.push(':');
        match value {
            Value::Text(_) => push_quoted(&mut line, &shown(value)),
            Value::Count(_) | Value::Millis(_) => line.push_str(&shown(value)),
        }
    }
    line.push_str(if event.fields.is_empty() { "}\n" } else { "}}\n" });
    line
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Text(value) => cut(&value.to_string()),
        Value::Count(count) => count.to_string(),
        Value::Millis(millis) => format!("{millis:.3}"),
    }
}

fn push_quoted(line: &mut String, text: &str) {
    line.push_str(&serde_json::to_string(text).expect("a text is always JSON"));
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value as Json, json};

    use super::*;

    /// `fields` of an event with message "a\nb", as text and as JSON.
    fn lines(fields: &[(&str, Value<'_>)], request: Option<RequestId>) -> (String, Json) {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
        let event = Event { at, level: Level::Warn, target: "door", message: "a\nb", request, fields };
        let line = json(&event);
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{line}");
        (text(&event), serde_json::from_str(&line).expect("is JSON"))
    }

    #[test]
    fn an_event_is_one_line_whatever_its_values_contain() {
        let (text, json) = lines(
            &[
                ("n", Value::Count(7)),
                ("took_ms", Value::Millis(0.25)),
                ("who", Value::Text(&"x y\n\"")),
                ("none", Value::Text(&"")),
            ],
            None,
        );
        let start = "2027-01-15T08:00:00.123Z warn  door a\\nb";
        assert_eq!(text, format!("{start} n=7 took_ms=0.250 who=\"x y\\n\\\"\" none=\"\"\n"));
        let fields = json!({"n": 7, "took_ms": 0.25, "who": "x y\n\"", "none": ""});
        let expected = json!({"time": "2027-01-15T08:00:00.123Z", "level": "warn", "target": "door", "message": "a\nb",
            "fields": fields});
        assert_eq!(json, expected);
    }

    #[test]
    fn a_line_names_its_request() {
        let id = RequestId::fresh();
        let (text, json) = lines(&[], Some(id));
        assert!(text.ends_with(&format!(" a\\nb request_id={id}\n")), "{text}");
        assert_eq!((json["request_id"].as_str(), json.get("fields")), (Some(id.to_string().as_str()), None));
    }

    #[test]
    fn a_long_value_is_cut() {
        let long = "é".repeat(CHARACTERS_MAX + 1);
        let (text, json) = lines(&[("path", Value::Text(&long))], None);
        assert!(text.ends_with("é…\n") && text.len() < 3 * CHARACTERS_MAX);
        assert_eq!(json["fields"]["path"].as_str().expect("a text").chars().count(), CHARACTERS_MAX + 1);
    }
}
