//! The headers of a form's part. Bytes only.

#![forbid(unsafe_code)]

/// What they say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
    pub(crate) content_type: Option<String>,
}

/// Header lines that a part may have; two are usual.
const MOST: usize = 16;

/// Where the headers end, blank line included, if it is there.
pub(crate) fn end(window: &[u8]) -> Option<usize> {
    if window.starts_with(b"\r\n") {
        return Some(2);
    }
    window.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

impl Head {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Head, &'static str> {
        let mut slots = [httparse::EMPTY_HEADER; MOST];
        let Ok(httparse::Status::Complete((_, headers))) =
            httparse::parse_headers(bytes, &mut slots)
        else {
            return Err("the headers of a part are malformed");
        };
        let find = |name: &str| {
            let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok()
        };
        let disposition = find("content-disposition").unwrap_or("");
        let (kind, parameters) = disposition.split_once(';').unwrap_or((disposition, ""));
        if !kind.trim().eq_ignore_ascii_case("form-data") {
            return Err("a part of the form has no disposition");
        }
        Ok(Head {
            name: parameter(parameters, "name").ok_or("a part of the form has no name")?,
            file_name: parameter(parameters, "filename"),
            content_type: find("content-type").map(str::to_string),
        })
    }
}

/// The value of `name` among `; name=value` pairs, plain or in quotes.
pub(crate) fn parameter(text: &str, name: &str) -> Option<String> {
    let mut rest = text;
    loop {
        let (given, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim_end().to_string(), &after[end..])
            }
        };
        if given.trim_matches([' ', '\t', ';']).eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = left;
    }
}

/// Text up to the closing quote, and what follows it. A backslash counts only before a quote or another one:
/// browsers do not escape with it, and some clients send whole paths of Windows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::with_capacity(text.len());
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next_if(|&(_, next)| next == '"' || next == '\\') {
                Some((_, escaped)) => value.push(escaped),
                None => value.push(letter),
            },
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        assert_eq!(end(b"a: b\r\n\r\nx"), Some(8));
        assert_eq!(end(b"\r\nx"), Some(2));
        assert_eq!(end(b"a: b\r\n\r"), None);
    }

    #[test]
    fn parameters() {
        for (text, value) in [
            ("name=a", Some("a")),
            (" name=a ; x=y", Some("a")),
            ("; NAME=\"a;b=c\"", Some("a;b=c")),
            ("filename=\"name=x\"; name=\"y\"", Some("y")),
            (r#"name="a\"b\\c\d""#, Some(r#"a"b\c\d"#)),
            ("name=\"é%22\"", Some("é%22")),
            ("name=\"\"", Some("")),
            ("name=\"open", None),
            ("xname=a", None),
            ("name", None),
            ("", None),
        ] {
            assert_eq!(parameter(text, "name").as_deref(), value, "{text}");
        }
    }

    #[test]
    fn heads() {
        let head = Head::parse(
            b"Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\ncontent-type: text/x\r\n\r\n",
        );
        let expected = Head {
            name: "f".into(),
            file_name: Some("a.txt".into()),
            content_type: Some("text/x".into()),
        };
        assert_eq!(head, Ok(expected));
        for bad in [
            "\r\n",
            "X: y\r\n\r\n",
            "Content-Disposition: form-data\r\n\r\n",
            "Content-Disposition: attachment; name=\"a\"\r\n\r\n",
            "no colon\r\n\r\n",
            &format!("{}\r\n", "a: b\r\n".repeat(17)),
        ] {
            assert!(Head::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
