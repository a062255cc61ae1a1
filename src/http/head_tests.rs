//! The head parser against heads that servers in the wild disagree about.
#![forbid(unsafe_code)]

use super::*;

/// What a test wants to know of a head.
type Summary = (String, String, Option<String>, Framing, bool, usize);

/// Parses as the connection does: a few slots first, more if asked for.
fn parse_once(input: &[u8], config: &Config) -> Result<Option<Summary>, u16> {
    let mut few = [const { MaybeUninit::uninit() }; 4];
    let mut many = Vec::new();
    let parsed = match parse(input, &mut few, config) {
        Ok(Parsed::Slots) => {
            many.resize_with(config.max_headers, MaybeUninit::uninit);
            parse(input, &mut many, config)
        }
        parsed => parsed,
    };
    match parsed {
        Ok(Parsed::Partial) => Ok(None),
        Ok(Parsed::Slots) => panic!("asked for slots again"),
        Ok(Parsed::Head(head)) => Ok(Some((
            head.method.to_string(),
            head.path.to_string(),
            head.query.map(str::to_string),
            head.framing,
            head.keep_alive,
            head.len,
        ))),
        Err(refused) => Err(refused.status.as_u16()),
    }
}

/// Every prefix must be partial, or refused for the reason for which the whole is.
fn parse_with(input: &[u8], config: &Config) -> Result<Option<Summary>, u16> {
    let whole = parse_once(input, config);
    let head_len = whole.as_ref().ok().and_then(|s| s.as_ref()).map_or(input.len(), |s| s.5);
    for at in 0..head_len {
        let cut = parse_once(&input[..at], config);
        assert!(
            cut == Ok(None) || (whole.is_err() && cut.is_err()),
            "cut at {at}: {cut:?}, whole: {whole:?}"
        );
    }
    whole
}

fn parse_all_ways(input: &str) -> Result<Option<Summary>, u16> {
    parse_with(input.as_bytes(), &Config::default())
}

fn accepted(input: &str) -> Summary {
    parse_all_ways(input).unwrap_or_else(|code| panic!("{code} for {input:?}")).unwrap()
}

#[test]
fn plain_request() {
    let input = "GET /a/b?x=1&y HTTP/1.1\r\nHost: h\r\n\r\n";
    let found = accepted(input);
    let query = Some("x=1&y".to_string());
    assert_eq!(found, ("GET".into(), "/a/b".into(), query, Framing::Length(0), true, input.len()));
    // What follows is the body or the next request.
    assert_eq!(accepted(&format!("{input}GET / HTTP/1.1\r\n")).5, input.len());
    // A client may send an empty line too much (RFC 9112, 2.2).
    assert_eq!(accepted(&format!("\r\n{input}")).5, input.len() + 2);
}

#[test]
fn targets() {
    for (line, path, query) in [
        ("GET / ", "/", None),
        ("GET /? ", "/", Some("")),
        ("GET /a%20b ", "/a%20b", None),
        ("GET /a?b?c=d ", "/a", Some("b?c=d")),
        ("GET http://h/p?q ", "/p", Some("q")),
        ("GET HTTP://h:80 ", "/", None),
        ("GET http://h?q ", "/", Some("q")),
        ("OPTIONS * ", "*", None),
    ] {
        let found = accepted(&format!("{line}HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!((found.1.as_str(), found.2.as_deref()), (path, query), "{line}");
    }
    for (line, code) in [
        ("GET * ", 400),
        ("GET a ", 400),
        ("GET http:///p ", 400),
        ("GET http://a@b/ ", 400),
        ("GET http://:80/ ", 400),
        ("GET http://h:x/ ", 400),
        ("GET http://h#f ", 400),
        ("GET https:/h ", 400),
        ("GET //\0 ", 400),
        ("GET ftp://h/ ", 400),
        ("GET /#f ", 400),
        ("GET  / ", 400),
        ("GET /a b ", 400),
        ("CONNECT h:443 ", 501),
        (" GET / ", 400),
        ("G=T / ", 400),
    ] {
        let input = format!("{line}HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(parse_all_ways(&input), Err(code), "{line}");
    }
}

#[test]
fn versions() {
    for (version, code) in [
        ("HTTP/2.0", 505),
        ("HTTP/2", 505),
        ("HTTP/1.2", 505),
        ("HTTX/1.1", 400),
        ("http/1.1", 400),
    ] {
        let input = format!("GET / {version}\r\nHost: h\r\n\r\n");
        assert_eq!(parse_all_ways(&input), Err(code), "{version}");
    }
    assert!(parse_all_ways("GET /\r\n\r\n").is_err());
    assert!(parse_all_ways("\x16\x03\x01\x02\x00\x01").is_err());
}

#[test]
fn keep_alive() {
    for (lines, stays) in [
        ("HTTP/1.1\r\nHost: h\r\n", true),
        ("HTTP/1.1\r\nHost: h\r\nConnection: close\r\n", false),
        ("HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n", false),
        ("HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: close\r\n", false),
        ("HTTP/1.0\r\n", false),
        ("HTTP/1.0\r\nConnection: Keep-Alive\r\n", true),
        ("HTTP/1.0\r\nConnection: keep-alive, close\r\n", false),
    ] {
        assert_eq!(accepted(&format!("GET / {lines}\r\n")).4, stays, "{lines}");
    }
}

#[test]
fn framing() {
    for (lines, framing) in [
        ("", Framing::Length(0)),
        ("Content-Length: 0\r\n", Framing::Length(0)),
        ("content-length:17\r\n", Framing::Length(17)),
        ("Content-Length:  007 \t\r\n", Framing::Length(7)),
        ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
        ("transfer-encoding: CHUNKED\r\n", Framing::Chunked),
    ] {
        let found = accepted(&format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
        assert_eq!(found.3, framing, "{lines}");
    }
    for (lines, code) in [
        ("Content-Length: \r\n", 400),
        ("Content-Length: +1\r\n", 400),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: 1 2\r\n", 400),
        ("Content-Length: 0x10\r\n", 400),
        ("Content-Length: 5, 5\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Content-Length: 99999999999999999999\r\n", 413),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
        ("Transfer-Encoding: gzip\r\n", 400),
        ("Transfer-Encoding: chunked, chunked\r\n", 400),
        ("Transfer-Encoding: chunked, identity\r\n", 400),
        ("Transfer-Encoding: identity\r\n", 400),
        ("Transfer-Encoding: \r\n", 400),
        ("Transfer-Encoding: , chunked\r\n", 400),
        ("Transfer-Encoding: chunked,\r\n", 400),
        ("Transfer-Encoding: chunked;q=1\r\n", 400),
        ("Transfer-Encoding: xchunked\r\n", 400),
        ("Transfer-Encoding: \x0bchunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding : chunked\r\n", 400),
        ("Transfer-Encoding:\r\n chunked\r\n", 400),
    ] {
        let input = format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        assert_eq!(parse_all_ways(&input), Err(code), "{lines:?}");
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(parse_all_ways(old), Err(400));
}

#[test]
fn malformed_lines() {
    for head in [
        "GET / HTTP/1.1\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\tc: d\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n: empty\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nA\0: b\r\n\r\n",
    ] {
        assert_eq!(parse_all_ways(head), Err(400), "{head:?}");
    }
}

#[test]
fn hosts() {
    for (lines, fine) in [
        ("Host: h\r\n", true),
        ("Host: \r\n", true),
        ("Host: [::1]:80\r\n", true),
        ("Host: 127.0.0.1:65535\r\n", true),
        ("Host: h:\r\n", true),
        ("Host: h,i\r\n", false),
        ("Host: h:80:80\r\n", false),
        ("Host: h:http\r\n", false),
        ("Host: h:123456\r\n", false),
        ("Host: [::1\r\n", false),
        ("Host: [::1]x\r\n", false),
        ("Host: [h]\r\n", false),
        ("Host: h[::1]\r\n", false),
        ("Host: h]\r\n", false),
        ("Host: h#f\r\n", false),
        ("Host: h\\i\r\n", false),
        ("Host: \u{e9}\r\n", false),
        ("", false),
        ("Host: a\r\nHost: a\r\n", false),
        ("Host: a b\r\n", false),
        ("Host: a/b\r\n", false),
        ("Host: a@b\r\n", false),
    ] {
        let found = parse_all_ways(&format!("GET / HTTP/1.1\r\n{lines}\r\n"));
        assert_eq!(found.is_ok(), fine, "{lines:?}: {found:?}");
    }
    assert!(parse_all_ways("GET / HTTP/1.0\r\n\r\n").is_ok());
    assert_eq!(parse_all_ways("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), Err(400));
}

#[test]
fn a_target_with_another_host() {
    for (target, host, fine) in [
        ("http://h/", "h", true),
        ("http://h/", "H:80", true),
        ("http://h:80", "h", true),
        ("https://h:443/", "h", true),
        ("https://[::1]:8443/", "[::1]:8443", true),
        ("http://h/", "i", false),
        ("http://h/", "", false),
        ("http://h:81/", "h", false),
        ("http://h/", "h:443", false),
        ("https://h/", "h:80", false),
    ] {
        let found = parse_all_ways(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(found.is_ok(), fine, "{target} to {host}: {found:?}");
    }
    assert!(parse_all_ways("GET http://h/ HTTP/1.0\r\n\r\n").is_ok());
}

#[test]
fn expectations() {
    let with = |value: &str| {
        parse_all_ways(&format!("POST / HTTP/1.1\r\nHost: h\r\nExpect: {value}\r\n\r\n"))
    };
    assert!(with("100-Continue").is_ok());
    assert_eq!(with("200-maybe"), Err(417));
}

#[test]
fn sizes() {
    let config = Config { max_line: 64, max_head: 160, max_headers: 5, ..Config::default() };
    let long = "x".repeat(80);
    let with = |lines: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    for (input, code) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), 414),
        (format!("GET /{long}"), 414),
        (long.clone(), 414),
        (with(&format!("a: {long}\r\n")), 431),
        (format!("GET / HTTP/1.1\r\nHost: h\r\na: {long}"), 431),
        (with("a: b\r\n").replace("a: b", &"a: b\r\n".repeat(5)), 431),
        (with(&format!("a: {}\r\n", &long[..50]).repeat(3)), 431),
        // Blanks count, or a line in pieces would be refused and the same one in one piece would not.
        (with(&format!("a: b{}\r\n", " ".repeat(80))), 431),
        // A long line that is not the last one that came.
        (with(&format!("a: {long}\r\nb: ")).trim_end().to_string(), 431),
        (format!("\r\n\r\nGET /{long} HTTP/1.1\r\n"), 414),
    ] {
        assert_eq!(parse_with(input.as_bytes(), &config), Err(code), "{input:?}");
    }
    assert!(matches!(parse_with(with(&"a: b\r\n".repeat(4)).as_bytes(), &config), Ok(Some(_))));
}

/// Every byte of a good head replaced by every other, and every pair of neighbours swapped: no panic, and
/// what is accepted keeps the promises of `Head`.
#[test]
fn mutations() {
    let good =
        b"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: close\r\nX: y \r\n\r\n";
    let config = Config::default();
    let check = |input: &[u8]| {
        let mut slots = [const { MaybeUninit::uninit() }; 8];
        if let Ok(Parsed::Head(head)) = parse(input, &mut slots, &config) {
            let text = &input[..head.len];
            assert!(text.ends_with(b"\r\n\r\n"), "{input:?}");
            let bare = text.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r');
            assert!(!bare && text[0] != b'\n', "{input:?}");
            assert!(head.path.starts_with('/'), "{input:?}");
            let hosts = head.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("host"));
            assert!(hosts.count() == usize::from(head.is_11) || !head.is_11, "{input:?}");
            assert!(head.headers.iter().all(|h| !h.value.contains(&b'\0')), "{input:?}");
        }
    };
    for at in 0..good.len() {
        let mut input = good.to_vec();
        for byte in 0..=255 {
            input[at] = byte;
            check(&input);
        }
        let mut input = good.to_vec();
        input.remove(at);
        check(&input);
        let mut input = good.to_vec();
        input.insert(at, b'\n');
        check(&input);
        if at > 0 {
            let mut input = good.to_vec();
            input.swap(at - 1, at);
            check(&input);
        }
    }
}
