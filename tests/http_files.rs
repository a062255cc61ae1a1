//! Files over sockets: what is served, what is not, and how. Each test runs in every mode.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

mod http_files_support;
#[macro_use]
mod http_support;
mod support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use http_files_support::{Answer, BIG, SECRET, Site, answer, ask, big};
use http_support::{Running, eventually, start};
use sward::http::{Config, Mode, Request, Router, ServeDir, ServeFile};

/// `/s`: the defaults. `/all`: everything that can be switched on. `/one`: a file.
fn app(site: &Site) -> Router {
    let open = ServeDir::new(site.root())
        .listing(true)
        .dotfiles(true)
        .links_out(true)
        .precompressed(true)
        .cache_control("public, max-age=60")
        .mime("SWARD", "text/x-sward");
    Router::new()
        .get("/hello", |_: &mut Request| "hello")
        .mount("/s", ServeDir::new(site.root()))
        .mount("/all", open)
        .mount("/one", ServeFile::new(site.path("hello.txt")))
        .mount("/none", ServeDir::new(site.path("nowhere")))
}

fn serve(mode: Mode) -> (Site, Running) {
    support::alarm();
    let site = Site::new();
    let server = start(mode, Config::default(), app(&site));
    (site, server)
}

fn connect(server: &Running) -> TcpStream {
    server.client().0
}

const ETAG: &str = "\"c-2ebc98a1.0\"";
const VALIDATORS: &str =
    "ETag: \"c-2ebc98a1.0\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
const REST: &str = "Accept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\n";

fn whole_files(mode: Mode) {
    let (_site, server) = serve(mode);
    let mut client = connect(&server);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\n\
         {VALIDATORS}{REST}\r\n"
    );
    let got = ask(&mut client, "GET", "/s/hello.txt", "");
    assert_eq!(got, Answer { head: head.clone(), body: b"hello, world".to_vec() });
    assert_eq!(ask(&mut client, "HEAD", "/s/hello.txt", ""), Answer { head, body: vec![] });
    let got = ask(&mut client, "GET", "/s/big.bin", "");
    assert_eq!(got.header("Content-Length"), Some("3000000"));
    assert_eq!(got.header("Content-Type"), Some("application/octet-stream"));
    assert!(got.body == big());
    assert_eq!(ask(&mut client, "HEAD", "/s/big.bin", "").head, got.head);
    let got = ask(&mut client, "GET", "/s/empty.txt", "");
    assert_eq!((got.status(), got.header("Content-Length")), (200, Some("0")));
    for (path, text) in [
        ("/s/a%20b.txt", "blank"),
        ("/s/%C3%A9.html?x=1", "accent"),
        ("/s/sub/page.html", "<p>page"),
        ("/s/link-in", "hello, world"),
        ("/s/.well-known/here", "known"),
        ("/one", "hello, world"),
        ("/hello", "hello"),
    ] {
        assert_eq!(ask(&mut client, "GET", path, "").text(), text, "{path}");
    }
    for (path, kind) in [
        ("/s/sub/page.html", "text/html; charset=utf-8"),
        ("/s/data.sward", "application/octet-stream"),
        ("/all/data.sward", "text/x-sward"),
        ("/one", "text/plain; charset=utf-8"),
    ] {
        let got = ask(&mut client, "GET", path, "");
        assert_eq!(got.header("Content-Type"), Some(kind), "{path}");
    }
    let got = ask(&mut client, "GET", "/all/hello.txt", "");
    assert_eq!(got.header("Cache-Control"), Some("public, max-age=60"));
}

/// Several in one packet, small and large, are answered in order; an old client is answered and closed.
fn in_order(mode: Mode) {
    let (_site, server) = serve(mode);
    let mut client = connect(&server);
    let paths =
        ["/s/hello.txt", "/s/big.bin", "/hello", "/s/nothing", "/s/big.bin", "/s/empty.txt"];
    let text: String =
        paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).collect();
    client.write_all(text.as_bytes()).unwrap();
    let lengths: Vec<_> = paths.iter().map(|_| answer(&mut client, false).body.len()).collect();
    assert_eq!(lengths, [12, BIG, 5, 9, BIG, 0]);
    let mut client = connect(&server);
    client.write_all(b"GET /s/big.bin HTTP/1.0\r\n\r\n").unwrap();
    let got = answer(&mut client, false);
    assert!(got.body == big() && got.header("Connection") == Some("close"), "{}", got.head);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

fn conditions(mode: Mode) {
    let (site, server) = serve(mode);
    let mut client = connect(&server);
    let mut status = |headers: &str| {
        let got = ask(&mut client, "GET", "/s/hello.txt", headers);
        if got.status() == 304 {
            assert_eq!(got.head, format!("HTTP/1.1 304 Not Modified\r\n{VALIDATORS}\r\n"));
        }
        got.status()
    };
    let (same, before) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:36 GMT");
    for (headers, expected) in [
        (format!("If-None-Match: {ETAG}\r\n"), 304),
        (format!("If-None-Match: \"x\", W/{ETAG}\r\n"), 304),
        (format!("If-None-Match: \"x\"\r\nif-none-match: {ETAG}\r\n"), 304),
        ("If-None-Match: *\r\n".into(), 304),
        ("If-None-Match: \"x\"\r\n".into(), 200),
        (format!("If-Modified-Since: {same}\r\n"), 304),
        (format!("If-Modified-Since: {before}\r\n"), 200),
        (format!("If-Modified-Since: {same}\r\nIf-None-Match: \"x\"\r\n"), 200),
        (format!("If-Match: {ETAG}\r\n"), 200),
        ("If-Match: \"x\"\r\n".into(), 412),
        (format!("If-Match: W/{ETAG}\r\n"), 412),
        (format!("If-Unmodified-Since: {same}\r\n"), 200),
        (format!("If-Unmodified-Since: {before}\r\n"), 412),
        (format!("If-None-Match: {ETAG}\r\nRange: bytes=0-1\r\n"), 304),
    ] {
        assert_eq!(status(&headers), expected, "{headers}");
    }
    // A change makes another state, and one that is too fresh to be sure of.
    site.put("hello.txt", b"hello, moon!");
    site.set_changed("hello.txt", SystemTime::now() + Duration::from_secs(3600));
    assert_eq!(status(&format!("If-None-Match: {ETAG}\r\n")), 200);
    let fresh = ask(&mut client, "GET", "/s/hello.txt", "");
    let etag = fresh.header("ETag").unwrap().to_string();
    assert!(etag.starts_with("W/\"c-"), "{etag}");
    let got = ask(&mut client, "GET", "/s/hello.txt", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!(got.status(), 304);
    let if_range = format!("If-Range: {etag}\r\nRange: bytes=0-1\r\n");
    assert_eq!(ask(&mut client, "GET", "/s/hello.txt", &if_range).status(), 200);
}

fn ranges(mode: Mode) {
    let (_site, server) = serve(mode);
    let mut client = connect(&server);
    let got = ask(&mut client, "GET", "/s/hello.txt", "Range: bytes=7-11\r\n");
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: 5\r\n{VALIDATORS}{REST}Content-Range: bytes 7-11/12\r\n\r\n"
    );
    assert_eq!(got, Answer { head, body: b"world".to_vec() });
    let got = ask(&mut client, "GET", "/s/hello.txt", "Range: bytes=12-\r\n");
    assert_eq!((got.status(), got.header("Content-Range")), (416, Some("bytes */12")));
    for (range, status, body) in [
        ("bytes=-5", 206, "world"),
        ("bytes=7-99", 206, "world"),
        ("bytes=0-", 206, "hello, world"),
        ("bytes=99-, 0-1", 206, "he"),
        ("bytes=1-0", 200, "hello, world"),
        ("bytes=0-11,0-11", 200, "hello, world"),
        ("lines=0-1", 200, "hello, world"),
        ("bytes=0-1\r\nRange: bytes=2-3", 200, "hello, world"),
        (&format!("bytes=0-1\r\nIf-Range: {ETAG}"), 206, "he"),
        ("bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT", 206, "he"),
        ("bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:36 GMT", 200, "hello, world"),
        ("bytes=0-1\r\nIf-Range: \"x\"", 200, "hello, world"),
    ] {
        let got = ask(&mut client, "GET", "/s/hello.txt", &format!("Range: {range}\r\n"));
        assert_eq!((got.status(), got.text()), (status, body), "{range}");
    }
    // A Range is for GET only.
    let got = ask(&mut client, "HEAD", "/s/hello.txt", "Range: bytes=0-1\r\n");
    assert_eq!((got.status(), got.header("Content-Length")), (200, Some("12")));
    // A long one of a large file, which is not read but sent.
    let got = ask(&mut client, "GET", "/s/big.bin", "Range: bytes=1000001-2999998\r\n");
    assert_eq!(got.header("Content-Range"), Some("bytes 1000001-2999998/3000000"));
    assert!(got.body == big()[1_000_001..2_999_999]);
}

fn several_ranges(mode: Mode) {
    let (_site, server) = serve(mode);
    let mut client = connect(&server);
    let got = ask(&mut client, "GET", "/s/hello.txt", "Range: bytes=7-8, 0-0,-1\r\n");
    let kind = got.header("Content-Type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    assert_eq!(boundary.len(), 32);
    let part = |range: &str, body: &str| {
        format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Range: bytes {range}/12\r\n\r\n{body}\r\n"
        )
    };
    let parts = [part("7-8", "wo"), part("0-0", "h"), part("11-11", "d")].concat();
    assert_eq!(got.text(), format!("{parts}--{boundary}--\r\n"));
    assert_eq!((got.status(), got.header("Content-Range")), (206, None));
    let again = ask(&mut client, "GET", "/s/hello.txt", "Range: bytes=7-8, 0-0\r\n");
    assert!(!again.header("Content-Type").unwrap().contains(boundary), "the boundary is known");
    // Large ones, over the connection that goes on to be used.
    let got = ask(&mut client, "GET", "/s/big.bin", "Range: bytes=0-999999,2000000-2999999\r\n");
    let (big, body) = (big(), &got.body);
    let find = |piece: &[u8]| body.windows(32).position(|window| window == &piece[..32]).unwrap();
    let (first, second) = (find(&big), find(&big[2_000_000..]));
    assert!(body[first..first + 1_000_000] == big[..1_000_000]);
    assert!(body[second..second + 1_000_000] == big[2_000_000..]);
    assert!(body.ends_with(b"--\r\n"));
    assert_eq!(ask(&mut client, "GET", "/hello", "").text(), "hello");
    let many = format!("Range: bytes={}\r\n", ["0-0"; 17].join(","));
    assert_eq!(ask(&mut client, "GET", "/s/hello.txt", &many).status(), 200);
}

fn folders(mode: Mode) {
    let (_site, server) = serve(mode);
    let mut client = connect(&server);
    for (path, text) in
        [("/s/", "<p>root"), ("/s/sub/", "<p>sub"), ("/s/sub/?q", "<p>sub"), ("/all/", "<p>root")]
    {
        let got = ask(&mut client, "GET", path, "");
        assert_eq!((got.status(), got.text()), (200, text), "{path}");
        assert_eq!(got.header("Content-Type"), Some("text/html; charset=utf-8"));
    }
    for (path, location) in [
        ("/s", "/s/"),
        ("/s/sub", "/s/sub/"),
        ("/s/sub?q=1&r=%20", "/s/sub/?q=1&r=%20"),
        ("/s/s%75b", "/s/s%75b/"),
        ("/s/list", "/s/list/"),
        ("http://test/s/sub?x", "/s/sub/?x"),
    ] {
        let got = ask(&mut client, "GET", path, "");
        assert_eq!((got.status(), got.header("Location")), (301, Some(location)), "{path}");
    }
    for path in ["/s/list/", "/s/hello.txt/", "/s/nothing/", "/none", "/none/", "/none/x"] {
        assert_eq!(ask(&mut client, "GET", path, "").status(), 404, "{path}");
    }
    for (method, status) in [("POST", 405), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 204)] {
        let got = ask(&mut client, method, "/s/hello.txt", "");
        assert_eq!((got.status(), got.header("Allow")), (status, Some("GET, HEAD, OPTIONS")));
    }
}

fn listings(mode: Mode) {
    let (_site, server) = serve(mode);
    let mut client = connect(&server);
    let got = ask(&mut client, "GET", "/all/list/", "");
    assert_eq!(got.header("Content-Type"), Some("text/html; charset=utf-8"));
    let items: Vec<_> = got.text().lines().filter(|line| line.starts_with("<li>")).collect();
    assert_eq!(
        items,
        [
            "<li><a href=\"../\">../</a>",
            "<li><a href=\"./deep/\">deep/</a>",
            "<li><a href=\"./.hidden\">.hidden</a>",
            "<li><a href=\"./%3Ca%3E.txt\">&lt;a&gt;.txt</a>",
            "<li><a href=\"./b.txt\">b.txt</a>",
        ]
    );
    assert_eq!(ask(&mut client, "GET", "/all/list/%3Ca%3E.txt", "").text(), "a");
}

fn precompressed(mode: Mode) {
    let (site, server) = serve(mode);
    let mut client = connect(&server);
    let mut etags = Vec::new();
    for (accept, body, coding) in [
        ("Accept-Encoding: gzip, deflate, br, zstd\r\n", "brotli", Some("br")),
        ("Accept-Encoding: gzip, zstd\r\n", "zstd", Some("zstd")),
        ("Accept-Encoding: gzip\r\nAccept-Encoding: br;q=0.5\r\n", "gzip", Some("gzip")),
        ("Accept-Encoding: deflate, gzip;q=0\r\n", "plain", None),
        ("", "plain", None),
    ] {
        let got = ask(&mut client, "GET", "/all/app.js", accept);
        assert_eq!((got.text(), got.header("Content-Encoding")), (body, coding), "{accept}");
        assert_eq!(got.header("Content-Type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(got.header("Vary"), Some("Accept-Encoding"));
        etags.push(got.header("ETag").unwrap().to_string());
        let known = format!("{accept}If-None-Match: {}\r\n", etags.last().unwrap());
        let got = ask(&mut client, "GET", "/all/app.js", &known);
        assert_eq!((got.status(), got.header("Vary")), (304, Some("Accept-Encoding")));
    }
    etags.dedup();
    assert_eq!(etags.len(), 4, "{etags:?}");
    // A range is one of the bytes that are sent.
    let headers = "Accept-Encoding: br\r\nRange: bytes=0-1\r\n";
    let got = ask(&mut client, "GET", "/all/app.js", headers);
    assert_eq!((got.text(), got.header("Content-Encoding")), ("br", Some("br")));
    // Older than the file, not there, or not switched on.
    for path in ["/all/old.css", "/all/hello.txt", "/s/app.js"] {
        let got = ask(&mut client, "GET", path, "Accept-Encoding: gzip, br, zstd\r\n");
        assert_eq!((got.status(), got.header("Content-Encoding")), (200, None), "{path}");
    }
    assert_eq!(ask(&mut client, "GET", "/s/app.js", "").header("Vary"), None);
    // By itself it is a file like others.
    let got = ask(&mut client, "GET", "/all/app.js.gz", "");
    assert_eq!(got.header("Content-Type"), Some("application/gzip"));
    fs::remove_file(site.path("app.js.br")).unwrap();
    let got = ask(&mut client, "GET", "/all/app.js", "Accept-Encoding: br\r\n");
    assert_eq!(got.text(), "plain");
}

/// What an attacker or an accident might ask for.
#[rustfmt::skip]
const NOT_SERVED: &[&str] = &[
    "/s/../secret.txt", "/s/%2e%2e/secret.txt", "/s/%2E%2E%2fsecret.txt", "/s/..%2fsecret.txt",
    "/s/..%5csecret.txt", "/s/..\\secret.txt", "/s/sub/../../secret.txt", "/s/./../secret.txt",
    "/s/.%2e/secret.txt", "/s/%252e%252e/secret.txt", "/s/..;/secret.txt",
    "/s/%c0%ae%c0%ae/secret.txt", "/s/%c0%ae%c0%ae%c0%afsecret.txt", "/s/..%00/secret.txt",
    "/s/hello.txt%00", "/s/hello.txt%00.html", "/s//etc/passwd", "/s///etc/passwd",
    "/s/%2fetc/passwd", "/s/%2Fetc%2Fpasswd", "/s/C:/secret.txt", "/s/link-out",
    "/s/folder-out/secret.txt", "/s/folder-out/", "/s/folder-out", "/s/link-abs",
    "/s/folder-out/root/hello.txt", "/s/link-round", "/s/link-round/x", "/s/fifo", "/s/.", "/s/./",
    "/s/..", "/s/../", "/s/sub/..", "/s/sub/./page.html", "/s/sub//page.html", "/s/.hidden",
    "/s/.git/config", "/s/%2egit/config", "/s/.git", "/s/.git/", "/s/list/.hidden",
    "/s/sub/.well-known/x", "/s/%", "/s/%zz", "/s/%2", "/s/hello.txt/", "/s/hello.txt/x", "/s/*",
    "/s/~root", "/s/\u{7f}", "/%2e%2e/s/hello.txt", "/s%2f..%2fsecret.txt",
    "/s/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc/passwd", "/s/proc/self/environ", "/all/../secret.txt",
    "/all/%2e%2e/secret.txt", "/all/..%2fsecret.txt", "/all//etc/passwd", "/all/./hello.txt",
    "/all/fifo", "/all/link-round",
];

fn outside(mode: Mode) {
    let (site, server) = serve(mode);
    let ask = |path: &str| {
        let mut client = connect(&server);
        ask(&mut client, "GET", path, "Connection: close\r\n")
    };
    for path in NOT_SERVED {
        let got = ask(path);
        let text = String::from_utf8_lossy(&got.body);
        assert!(matches!(got.status(), 400 | 404), "{path}: {} {text}", got.head);
        assert!(!text.contains(SECRET) && !text.contains("root:"), "{path}");
    }
    let long = format!("/s/{}", "a".repeat(300));
    let deep = format!("/s/{}", "sub/../".repeat(500));
    for path in [&long, &deep] {
        assert_eq!(ask(path).status(), 404);
    }
    // Unless it is wished for: then the same links are followed.
    assert_eq!(ask("/all/link-out").text(), SECRET);
    assert_eq!(ask("/all/folder-out/secret.txt").text(), SECRET);
    assert_eq!(ask("/all/.hidden").text(), "hidden");
    // Who may not read a file does not hear that it is there. (Root may read everything.)
    let mut rights = fs::metadata(site.path("hello.txt")).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut rights, 0);
    fs::set_permissions(site.path("hello.txt"), rights).unwrap();
    if File::open(site.path("hello.txt")).is_err() {
        assert_eq!(ask("/s/hello.txt").status(), 404);
    }
}

/// Paths put together at random from what attacks consist of: no answer holds what is not below the root.
fn random_paths(mode: Mode) {
    #[rustfmt::skip]
    const PIECES: &[&str] = &[
        "/", "/", "/", "..", ".", "%2e", "%2E", "%2f", "\\", "%5c", "%00", "%", "//", "sub",
        "hello.txt", "secret.txt", "folder-out", "link-out", "link-in", "list", "page.html",
        "index.html", "é", "?", ";", "%252e", "root", "etc/passwd", ".hidden", ".git/config",
        "app.js", ":", "~", "%c0%ae", "link-abs",
    ];
    let (_site, server) = serve(mode);
    let mut client = connect(&server);
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize % below
    };
    let (mut served, mut refused) = (0, 0);
    for _ in 0..4000 {
        let pieces = 1 + next(6);
        let path: String = (0..pieces).map(|_| PIECES[next(PIECES.len())]).collect();
        let path = format!("/s/{path}");
        let got = ask(&mut client, "GET", &path, "");
        let text = String::from_utf8_lossy(&got.body);
        for never in [SECRET, "root:", "hidden"] {
            assert!(!text.contains(never), "{path}: {text}");
        }
        match got.status() {
            200 => served += 1,
            301 => {
                let location = got.header("Location").unwrap();
                assert!(location.starts_with("/s/") && location.len() >= path.len(), "{location}");
            }
            404 => refused += 1,
            400 => client = connect(&server),
            other => panic!("{path}: {other}"),
        }
    }
    assert!(served > 20 && refused > 1000, "{served} served, {refused} refused");
}

/// Clients that take nothing wait for themselves only: there are more of them than workers.
fn slow_readers(mode: Mode) {
    let (site, server) = serve(mode);
    let huge = File::create(site.path("huge.bin")).unwrap();
    huge.set_len(1 << 30).unwrap();
    let count = if mode == Mode::Green { 8 } else { 2 };
    let slow: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut client = connect(&server);
            client.write_all(b"GET /s/huge.bin HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
            let mut some = [0; 64];
            client.read_exact(&mut some).unwrap();
            client
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let mut client = connect(&server);
    for _ in 0..20 {
        assert_eq!(ask(&mut client, "GET", "/s/hello.txt", "").text(), "hello, world");
    }
    // Nor is it read into memory for them.
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kib: u64 = rss.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 400 << 10, "{kib} KiB");
    drop(slow);
    drop(client);
    eventually("no connection", || server.handle.connections() == 0);
}

fn slow_reader_is_cut(mode: Mode) {
    support::alarm();
    let site = Site::new();
    File::create(site.path("huge.bin")).unwrap().set_len(1 << 30).unwrap();
    let mut config = Config::default();
    config.write_timeout = Duration::from_millis(300);
    let server = start(mode, config, app(&site));
    let mut client = connect(&server);
    client.write_all(b"GET /s/huge.bin HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    eventually("a connection", || server.handle.connections() == 1);
    eventually("no connection", || server.handle.connections() == 0);
    let mut got = Vec::new();
    let _ = client.read_to_end(&mut got);
    assert!(got.len() < 1 << 30);
}

/// What follows a long file is answered at its own time: its Date, and the time-out for sending it, do not count from
/// before the file.
fn time_goes_on(mode: Mode) {
    let (site, server) = serve(mode);
    let length = 64 << 20;
    File::create(site.path("huge.bin")).unwrap().set_len(length).unwrap();
    let mut client = connect(&server);
    let text: String = ["/s/huge.bin", "/hello"]
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: keep-alive\r\n\r\n"))
        .concat();
    client.write_all(text.as_bytes()).unwrap();
    // Most of the file does not fit anywhere between us.
    std::thread::sleep(Duration::from_millis(1500));
    let mut date_of = |skip: u64| {
        let head = http_support::Client(client.try_clone().unwrap()).until("\r\n\r\n");
        std::io::copy(&mut (&mut client).take(skip), &mut std::io::sink()).unwrap();
        head.lines().find_map(|line| line.strip_prefix("Date: ")).unwrap()[17..25].to_string()
    };
    assert_ne!(date_of(length), date_of(5), "the same second");
}

/// A file that becomes shorter, or is replaced, while it is on its way.
fn changing_files(mode: Mode) {
    let (site, server) = serve(mode);
    let length = 256 << 20;
    for shorter in [true, false] {
        let file = File::create(site.path("huge.bin")).unwrap();
        file.set_len(length).unwrap();
        let mut client = connect(&server);
        client.write_all(b"GET /s/huge.bin HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        let mut got = 0;
        let mut some = vec![0; 64 << 10];
        client.read_exact(&mut some[..100]).unwrap();
        assert!(some.starts_with(b"HTTP/1.1 200"));
        if shorter {
            file.set_len(1000).unwrap();
        } else {
            fs::write(site.path("new"), "new").unwrap();
            fs::rename(site.path("new"), site.path("huge.bin")).unwrap();
        }
        loop {
            match client.read(&mut some) {
                Ok(0) => break,
                Ok(n) => got += n as u64,
                Err(error) if shorter => {
                    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                    break;
                }
                Err(error) => panic!("{error}"),
            }
            if got + 100 > length {
                break;
            }
        }
        if shorter {
            assert!(got < length, "the client could not see it");
        } else {
            assert!(got + 100 > length, "{got}");
        }
    }
    assert_eq!(ask(&mut connect(&server), "GET", "/s/huge.bin", "").text(), "new");
}

/// The root may be a link that moves from one release to the next.
fn root_that_moves(mode: Mode) {
    support::alarm();
    let site = Site::new();
    site.put("one/x.txt", b"1");
    site.put("two/x.txt", b"2");
    let link = site.path("current");
    std::os::unix::fs::symlink("one", &link).unwrap();
    let server = start(mode, Config::default(), Router::new().mount("/", ServeDir::new(&link)));
    let mut client = connect(&server);
    assert_eq!(ask(&mut client, "GET", "/x.txt", "").text(), "1");
    std::os::unix::fs::symlink("two", site.path("next")).unwrap();
    fs::rename(site.path("next"), &link).unwrap();
    assert_eq!(ask(&mut client, "GET", "/x.txt", "").text(), "2");
    assert_eq!(ask(&mut client, "GET", "//x.txt", "").status(), 404);
}

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

/// A client that goes away in the middle of a file ends its download, and never the process, though sendfile raises
/// SIGPIPE where the program has set that back to its default.
#[test]
fn broken_pipe() {
    const CHILD: &str = "SWARD_TEST_BROKEN_PIPE";
    if std::env::var_os(CHILD).is_none() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "broken_pipe"]).env(CHILD, "1");
        let status = child.status().unwrap();
        assert!(status.success(), "{status}");
        return;
    }
    const SIGPIPE: i32 = 13;
    // SAFETY: 0 is SIG_DFL; nothing else in this process cares.
    unsafe { signal(SIGPIPE, 0) };
    for mode in [Mode::Green, Mode::Threads, Mode::Pool(4)] {
        let (site, server) = serve(mode);
        File::create(site.path("huge.bin")).unwrap().set_len(1 << 30).unwrap();
        for _ in 0..8 {
            let mut client = connect(&server);
            client.write_all(b"GET /s/huge.bin HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
            client.read_exact(&mut [0; 5000]).unwrap();
        }
        eventually("no connection", || server.handle.connections() == 0);
        let mut client = connect(&server);
        assert!(ask(&mut client, "GET", "/s/big.bin", "").body == big());
        assert_eq!(ask(&mut client, "GET", "/s/hello.txt", "").text(), "hello, world");
    }
}

in_each_mode! {
    whole_files in_order conditions ranges several_ranges folders listings precompressed outside
    random_paths slow_readers slow_reader_is_cut time_goes_on changing_files root_that_moves
}
