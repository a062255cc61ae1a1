//! Which extension is agreed on: the offers of a Sec-WebSocket-Extensions header in, the answer out. Only
//! permessage-deflate is known (RFC 7692); both sides forget each message after it, to keep connections small.

#![forbid(unsafe_code)]

/// Agreed terms of permessage-deflate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deflate {
    /// The client's window for what we send.
    pub(crate) window_bits: u8,
    /// It asked for that window, so the answer names it.
    asked: bool,
}

impl Deflate {
    /// The value of the answer's Sec-WebSocket-Extensions.
    pub(crate) fn answer(&self) -> String {
        let terms = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        match self.asked {
            true => format!("{terms}; server_max_window_bits={}", self.window_bits),
            false => terms.to_string(),
        }
    }
}

/// The first offer that we can keep to. `Err` if the header is malformed.
pub(crate) fn negotiate(header: &str) -> Result<Option<Deflate>, ()> {
    let mut agreed = None;
    for offer in split(header, ',')? {
        let mut parts = split(offer, ';')?.into_iter().map(str::trim);
        let name = parts.next().unwrap_or("");
        if name.is_empty() {
            continue; // an empty list element
        }
        let parts: Vec<&str> = parts.collect();
        if agreed.is_none() && name.eq_ignore_ascii_case("permessage-deflate") {
            agreed = accept(&parts);
        }
    }
    Ok(agreed)
}

fn accept(parts: &[&str]) -> Option<Deflate> {
    let mut deflate = Deflate { window_bits: 15, asked: false };
    let mut seen: Vec<&str> = Vec::new();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (*part, None),
        };
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        match (name, value) {
            ("server_no_context_takeover" | "client_no_context_takeover", None)
            | ("client_max_window_bits", None) => {}
            ("client_max_window_bits", Some(value)) => drop(bits(value)?),
            ("server_max_window_bits", Some(value)) => {
                deflate = Deflate { window_bits: bits(value)?, asked: true };
            }
            _ => return None,
        }
    }
    Some(deflate)
}

/// 8 to 15, without a leading zero.
fn bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok()?;
    ((8..=15).contains(&bits) && !value.starts_with(['0', '+'])).then_some(bits)
}

/// Splits where `separator` is outside of quotes. `Err` if a quote does not end.
fn split(text: &str, separator: char) -> Result<Vec<&str>, ()> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text
        .split(|c| {
            let here = c == separator && !quoted;
            match c {
                _ if escaped => escaped = false,
                '"' => quoted = !quoted,
                '\\' => escaped = quoted,
                _ => {}
            }
            here
        })
        .collect();
    if quoted { Err(()) } else { Ok(parts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers() {
        let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        let nine = format!("{plain}; server_max_window_bits=9");
        for (header, answer) in [
            ("", None),
            ("x-webkit-deflate-frame", None),
            ("permessage-deflate", Some(plain)),
            ("Permessage-Deflate", Some(plain)),
            ("permessage-deflate; client_max_window_bits", Some(plain)),
            (
                "permessage-deflate ;client_max_window_bits=10 ; server_no_context_takeover",
                Some(plain),
            ),
            ("permessage-deflate; server_max_window_bits=9", Some(&nine)),
            ("permessage-deflate; server_max_window_bits=\"9\"", Some(&nine)),
            // The first that can be kept to.
            (
                "permessage-bzip2, permessage-deflate; server_max_window_bits=9, permessage-deflate",
                Some(&nine),
            ),
            ("permessage-deflate; new_param, permessage-deflate", Some(plain)),
            ("other; a=\"x, permessage-deflate\"", None),
            (", ,permessage-deflate,", Some(plain)),
            // Refused offers.
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflate; server_max_window_bits=7", None),
            ("permessage-deflate; server_max_window_bits=16", None),
            ("permessage-deflate; server_max_window_bits=09", None),
            ("permessage-deflate; client_max_window_bits=x", None),
            ("permessage-deflate; server_no_context_takeover=1", None),
            ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ] {
            let found = negotiate(header).unwrap().map(|deflate| deflate.answer());
            assert_eq!(found.as_deref(), answer, "{header}");
        }
        assert_eq!(negotiate("permessage-deflate; a=\"x"), Err(()));
    }
}
