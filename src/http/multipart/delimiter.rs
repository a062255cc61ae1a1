//! Where the parts of a form begin and end. Bytes only: what could be the beginning of a delimiter is not called
//! data before more has come.

#![forbid(unsafe_code)]

/// What separates parts: a line end, two dashes, the boundary.
pub(crate) struct Delimiter(Vec<u8>);

/// What a window of the body begins with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// So many bytes of data. 0 if that cannot be said before more comes.
    Data(usize),
    /// A delimiter.
    Delimiter,
}

/// What follows a delimiter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// That cannot be said before more comes.
    More,
    /// Nothing: it was the last.
    Last,
    /// A part, after so many bytes.
    Part(usize),
    /// Neither.
    Malformed,
}

/// Blanks that may stand behind a boundary.
const PADDING: usize = 64;

impl Delimiter {
    pub(crate) fn new(boundary: &str) -> Delimiter {
        Delimiter([b"\r\n--", boundary.as_bytes()].concat())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Looks at the beginning of `window`, and as far as there is data in it.
    pub(crate) fn find(&self, window: &[u8]) -> Found {
        let mut from = 0;
        // A delimiter has one CR, at its beginning.
        while let Some(at) = window[from..].iter().position(|&b| b == b'\r') {
            let at = from + at;
            let rest = &window[at..];
            if at == 0 && rest.starts_with(&self.0) {
                return Found::Delimiter;
            }
            let seen = rest.len().min(self.0.len());
            if rest[..seen] == self.0[..seen] {
                return Found::Data(at);
            }
            from = at + 1;
        }
        Found::Data(window.len())
    }
}

/// Looks at what stands behind a delimiter.
pub(crate) fn after(window: &[u8]) -> After {
    if window.starts_with(b"--") {
        return After::Last;
    }
    let blanks = window.iter().take_while(|&&b| b == b' ' || b == b'\t').count();
    match &window[blanks..] {
        _ if blanks > PADDING => After::Malformed,
        [b'\r', b'\n', ..] => After::Part(blanks + 2),
        [] | [b'\r'] => After::More,
        [b'-'] if blanks == 0 => After::More,
        _ => After::Malformed,
    }
}

/// What may be a boundary (RFC 2046, 5.1.1), a little more widely.
pub(crate) fn is_boundary(text: &str) -> bool {
    (1..=70).contains(&text.len())
        && text.bytes().all(|b| (b' '..=b'~').contains(&b))
        && !text.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_ends_where_a_delimiter_could_begin() {
        let delimiter = Delimiter::new("ab");
        for (window, found) in [
            ("", Found::Data(0)),
            ("x", Found::Data(1)),
            ("x\r", Found::Data(1)),
            ("\r", Found::Data(0)),
            ("\r\n--a", Found::Data(0)),
            ("\r\n--ab", Found::Delimiter),
            ("\r\n--abx", Found::Delimiter),
            ("x\r\n--ab", Found::Data(1)),
            ("\r\n--a\r\n--ab", Found::Data(5)),
            ("\r\r\n--ab", Found::Data(1)),
            ("\r\n-x", Found::Data(4)),
            ("--ab", Found::Data(4)),
            ("\n--ab", Found::Data(5)),
        ] {
            assert_eq!(delimiter.find(window.as_bytes()), found, "{window:?}");
        }
    }

    #[test]
    fn behind_a_delimiter() {
        let padding = " ".repeat(65);
        for (window, expected) in [
            ("", After::More),
            ("-", After::More),
            ("--", After::Last),
            ("--x", After::Last),
            ("\r", After::More),
            ("\r\n", After::Part(2)),
            (" \t\r\nx", After::Part(4)),
            (" ", After::More),
            (" -", After::Malformed),
            ("x", After::Malformed),
            ("\rx", After::Malformed),
            ("\n", After::Malformed),
            (&padding, After::Malformed),
        ] {
            assert_eq!(after(window.as_bytes()), expected, "{window:?}");
        }
    }

    #[test]
    fn boundaries() {
        let long = "x".repeat(71);
        for (text, is) in [("a", true), ("a b'()+", true), ("", false), ("a ", false), ("é", false)]
        {
            assert_eq!(is_boundary(text), is, "{text:?}");
        }
        assert!(is_boundary(&long[1..]) && !is_boundary(&long));
    }
}
