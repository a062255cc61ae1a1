//! One Server-Sent Event and its encoding (HTML standard, 9.2). Bytes only; `sse.rs` sends them.

#![forbid(unsafe_code)]

use std::time::Duration;

/// One event of a `text/event-stream`.
///
/// It is kept as the bytes that go on the wire, so that the same event can be sent to many clients
/// without being encoded again: see [`Event::encode`].
///
/// ```
/// use sward::http::Event;
///
/// let event = Event::data("two\nlines").id("7").event("post");
/// assert_eq!(event.encode(), b"data: two\ndata: lines\nid: 7\nevent: post\n\n");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Whole lines; the blank line that ends the event is not among them.
    lines: Vec<u8>,
}

impl Event {
    /// An event with nothing in it. Browsers dispatch events that have data only.
    pub fn new() -> Event {
        Event::default()
    }

    /// An event with this text; each of its lines becomes a line of the event.
    pub fn data(text: impl AsRef<str>) -> Event {
        let text = text.as_ref();
        let mut lines = Vec::with_capacity(text.len() + 40);
        for line in lines_of(text) {
            field(&mut lines, "data", line);
        }
        Event { lines }
    }

    /// Sets the id, which the browser sends back as `Last-Event-ID` when it reconnects.
    ///
    /// # Panics
    ///
    /// If it holds CR, LF or NUL: these would end the line, or make browsers ignore it.
    #[track_caller]
    pub fn id(mut self, id: impl AsRef<str>) -> Event {
        field(&mut self.lines, "id", one_line(id.as_ref()));
        self
    }

    /// Sets the type, for `addEventListener` in the browser. Without it the type is `message`.
    ///
    /// # Panics
    ///
    /// If it holds CR, LF or NUL.
    #[track_caller]
    pub fn event(mut self, name: impl AsRef<str>) -> Event {
        field(&mut self.lines, "event", one_line(name.as_ref()));
        self
    }

    /// Sets how long the browser waits before it reconnects.
    pub fn retry(mut self, after: Duration) -> Event {
        field(&mut self.lines, "retry", &after.as_millis().to_string());
        self
    }

    /// The event as it goes on the wire. Encode once, send to many with
    /// [`SseWriter::send_raw`](super::SseWriter::send_raw).
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.lines.len() + 1);
        bytes.extend_from_slice(&self.lines);
        bytes.push(b'\n');
        bytes
    }

    /// The lines, without the blank one at the end.
    pub(crate) fn lines(&self) -> &[u8] {
        &self.lines
    }
}

/// Lines as an event stream counts them: ended by CR LF, LF or CR.
pub(crate) fn lines_of(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\r', '\n']) else {
            rest = None;
            return Some(text);
        };
        let after = if text[end..].starts_with("\r\n") { end + 2 } else { end + 1 };
        rest = Some(&text[after..]);
        Some(&text[..end])
    })
}

fn field(lines: &mut Vec<u8>, name: &str, value: &str) {
    lines.extend_from_slice(name.as_bytes());
    lines.extend_from_slice(b": ");
    lines.extend_from_slice(value.as_bytes());
    lines.push(b'\n');
}

#[track_caller]
fn one_line(text: &str) -> &str {
    assert!(!text.contains(['\r', '\n', '\0']), "CR, LF or NUL in a field of an event: {text:?}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(event: Event) -> String {
        String::from_utf8(event.encode()).unwrap()
    }

    #[test]
    fn data_is_split_into_lines() {
        for (text, lines) in [
            ("", "data: \n\n"),
            ("a", "data: a\n\n"),
            ("a\nb", "data: a\ndata: b\n\n"),
            ("a\r\nb\rc\n", "data: a\ndata: b\ndata: c\ndata: \n\n"),
            ("\n\n", "data: \ndata: \ndata: \n\n"),
            (" lead: x", "data:  lead: x\n\n"),
        ] {
            assert_eq!(encoded(Event::data(text)), lines, "{text:?}");
        }
    }

    #[test]
    fn other_fields() {
        let event = Event::data("x").id("é").event("post").retry(Duration::from_secs(2));
        assert_eq!(encoded(event), "data: x\nid: é\nevent: post\nretry: 2000\n\n");
        assert_eq!(encoded(Event::new()), "\n");
    }

    #[test]
    fn no_line_is_smuggled_in() {
        for text in ["a\nb", "a\rb", "a\0b"] {
            assert!(std::panic::catch_unwind(|| Event::new().id(text)).is_err());
            assert!(std::panic::catch_unwind(|| Event::new().event(text)).is_err());
        }
    }
}
