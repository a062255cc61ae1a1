//! Request heads: a piece is judged as the whole is, what is accepted is what a plain reading of the lines says, and it
//! is never one that two servers could take for different requests.

use sward::http::Config;
use sward::http::fuzzing::{self, Head, Verdict};

use crate::is_token;

pub fn check(bytes: &[u8]) {
    check_with(bytes, &Config::default());
    check_with(bytes, &fuzzing::small());
}

fn check_with(bytes: &[u8], config: &Config) {
    let whole = fuzzing::head(bytes, config);
    let end = match &whole {
        Verdict::Head(head) => head.len,
        _ => bytes.len(),
    };
    let step = 1 + end / 64;
    for at in 0..end {
        let near_line_end = at > 0 && matches!(bytes[at - 1], b'\r' | b'\n');
        if at % step != 0 && !near_line_end {
            continue;
        }
        match fuzzing::head(&bytes[..at], config) {
            Verdict::Partial => {}
            Verdict::Refused(_) if matches!(whole, Verdict::Refused(_)) => {}
            early => panic!("up to {at} {early:?}, the whole {whole:?}"),
        }
    }
    match &whole {
        Verdict::Partial => {
            assert!(bytes.len() <= config.max_head, "a head may go on for ever");
        }
        Verdict::Refused(status) => {
            assert!([400, 413, 414, 417, 431, 501, 505].contains(status), "{status}");
        }
        Verdict::Head(head) => {
            // What follows is no business of the head's.
            assert_eq!(fuzzing::head(&bytes[..end], config), whole);
            assert_eq!(fuzzing::head(&[&bytes[..end], b"\0\xff"].concat(), config), whole);
            check_lines(head, &bytes[..end]);
            check_framing(head);
            assert!(head.headers.len() <= config.max_headers && end <= config.max_head);
            let again = written(head);
            let copy = Head { len: again.len(), ..head.clone() };
            assert_eq!(fuzzing::head(&again, config), Verdict::Head(copy), "written again");
        }
    }
}

/// The head as a plain reading of its lines has it.
fn check_lines(head: &Head, bytes: &[u8]) {
    let mut bytes = bytes;
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    let text = bytes.strip_suffix(b"\r\n\r\n").expect("a blank line at the end");
    let mut lines = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").unwrap_or(rest.len());
        lines.push(&rest[..end]);
        match rest.get(end + 2..) {
            Some(after) => rest = after,
            None => break,
        }
    }
    assert!(!lines.iter().any(|line| line.iter().any(|b| b"\r\n\0\x7f".contains(b))));
    let version = if head.is_11 { "HTTP/1.1" } else { "HTTP/1.0" };
    assert_eq!(lines[0], format!("{} {} {version}", head.method, head.target).as_bytes());
    assert!(is_token(&head.method) && head.target.bytes().all(|b| b > b' '));
    assert!(head.path.starts_with('/') || (head.path == "*" && head.method == "OPTIONS"));
    assert!(
        !head.path.contains(['?', '#']) && head.target.contains(&head.path) || head.path == "/"
    );
    assert_eq!(lines.len() - 1, head.headers.len(), "a line is a header");
    for (line, (name, value)) in lines[1..].iter().zip(&head.headers) {
        let colon = line.iter().position(|&b| b == b':').expect("a colon");
        assert_eq!(&line[..colon], name.as_bytes());
        let blank = |b: &u8| *b == b' ' || *b == b'\t';
        let mut plain = &line[colon + 1..];
        while plain.first().is_some_and(blank) {
            plain = &plain[1..];
        }
        while plain.last().is_some_and(blank) {
            plain = &plain[..plain.len() - 1];
        }
        assert_eq!(plain, value);
        assert!(is_token(name), "{name}");
        assert!(value.iter().all(|&b| b >= b' ' || b == b'\t'), "{value:?}");
    }
}

/// How long the body is: never in two ways.
fn check_framing(head: &Head) {
    let named = |name: &str| -> Vec<&[u8]> {
        let named = head.headers.iter().filter(|header| header.0.eq_ignore_ascii_case(name));
        named.map(|header| header.1.as_slice()).collect()
    };
    let (lengths, codings) = (named("content-length"), named("transfer-encoding"));
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => assert_eq!(head.length, Some(0)),
        ([length], []) => {
            assert!(!length.is_empty() && length.iter().all(u8::is_ascii_digit));
            let length: u64 = std::str::from_utf8(length).unwrap().parse().unwrap();
            assert_eq!(head.length, Some(length));
        }
        ([], [coding]) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked") && head.is_11);
            assert_eq!(head.length, None);
        }
        other => panic!("two ways to say how long the body is: {other:?}"),
    }
    let hosts = named("host").len();
    assert!(hosts == 1 || (hosts == 0 && !head.is_11), "{hosts} hosts");
}

fn written(head: &Head) -> Vec<u8> {
    let version = if head.is_11 { "HTTP/1.1" } else { "HTTP/1.0" };
    let mut bytes = format!("{} {} {version}\r\n", head.method, head.target).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b':');
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}
