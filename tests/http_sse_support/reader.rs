//! A reader of event streams, step by step as the HTML standard interprets them (9.2.6). Strict and slow.

/// An event as a page gets it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) kind: String,
    pub(crate) data: String,
    /// `lastEventId`.
    pub(crate) id: String,
}

/// A stream in the middle of being read.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Those that were dispatched.
    pub(crate) events: Vec<Found>,
    /// The last event id, as it is sent when connecting again.
    pub(crate) id: String,
    /// The reconnection time in milliseconds, if it was set.
    pub(crate) retry: Option<u64>,
    started: bool,
    bytes: Vec<u8>,
    /// The line end before was a CR: an LF belongs to it.
    after_cr: bool,
    data: String,
    kind: String,
    id_buffer: String,
}

/// All of a stream that comes in these pieces.
pub(crate) fn read(pieces: &[&[u8]]) -> Reader {
    let mut reader = Reader::default();
    pieces.iter().for_each(|piece| reader.push(piece));
    reader
}

impl Reader {
    /// Of a page that has seen an event with this id.
    pub(crate) fn with_id(id: &str) -> Reader {
        Reader { id: id.to_string(), id_buffer: id.to_string(), ..Reader::default() }
    }

    /// Reads on.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
        if !self.started {
            const BOM: &[u8] = b"\xef\xbb\xbf";
            if self.bytes.len() < BOM.len() && BOM.starts_with(&self.bytes) {
                return;
            }
            if self.bytes.starts_with(BOM) {
                self.bytes.drain(..BOM.len());
            }
            self.started = true;
        }
        while let Some(&first) = self.bytes.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                self.bytes.remove(0);
                continue;
            }
            let Some(end) = self.bytes.iter().position(|&b| b == b'\r' || b == b'\n') else {
                return;
            };
            self.after_cr = self.bytes[end] == b'\r';
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            // Line ends are ASCII, so decoding line by line is decoding the stream.
            self.line(&String::from_utf8_lossy(&line[..end]));
        }
    }

    /// Nothing is left over that the end of the stream would drop.
    pub(crate) fn is_whole(&self) -> bool {
        self.bytes.is_empty() && self.data.is_empty() && self.kind.is_empty()
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.kind = value.to_string(),
            "data" => {
                self.data += value;
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id_buffer = value.to_string(),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry = Some(value.parse().unwrap());
            }
            // A comment, whose field is empty, or what nobody knows.
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        self.id = self.id_buffer.clone();
        let (mut data, kind) = (std::mem::take(&mut self.data), std::mem::take(&mut self.kind));
        if data.is_empty() {
            return;
        }
        data.pop();
        let kind = if kind.is_empty() { "message".to_string() } else { kind };
        self.events.push(Found { kind, data, id: self.id.clone() });
    }
}
