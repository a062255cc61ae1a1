//! The middleware that comes with the server, over sockets, in every mode. Each rule by what goes over the wire.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_support::{Running, body_of, eventually, get, get_once, start, status_of, without_date};
use sward::http::middleware::{
    AccessLog, BasicAuth, BearerAuth, ConcurrencyLimit, Cors, Metrics, RequestId, RequestIds,
    TimeLimit, TrustedProxies, User,
};
use sward::http::{BodyWriter, Config, Method, Mode, Request, Response, Router, StatusCode};
use sward::thread::sleep;

fn serve(mode: Mode, app: Router) -> Running {
    support::alarm();
    start(mode, Config::default(), app)
}

/// A request with more headers, after which the connection closes.
fn with(line: &str, headers: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n")
}

fn header<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let head = text.split("\r\n\r\n").next()?;
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A log that the test can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(log: impl sward::http::Middleware) -> Router {
    Router::new()
        .with(TrustedProxies::x_forwarded_for(["127.0.0.1"]))
        .with(log)
        .with(RequestIds::new())
        .get("/users/{id}", |req: &mut Request| {
            req.extensions_mut().insert(User("a b".into()));
            "hello"
        })
        .get("/stream", |_: &mut Request| Response::stream(|_: &mut BodyWriter| Ok(())))
        .get("/panic", |_: &mut Request| -> () { panic!("on purpose") })
}

fn common_log(mode: Mode) {
    let log = Log::default();
    let server = serve(mode, logged(AccessLog::common(log.clone())));
    for request in [
        get_once("/users/7?x=%22\"\\"),
        with("HEAD /users/7", "X-Forwarded-For: 9.9.9.9\r\n"),
        get_once("/stream"),
        get_once("/nowhere"),
        get("/panic"),
        "GET /nowhere HTTP/1.0\r\n\r\n".into(),
    ] {
        server.exchange(request);
    }
    let text = log.text();
    // Without what is between the brackets.
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let (before, rest) = line.split_once(" [").unwrap();
            let (time, after) = rest.split_once("] ").unwrap();
            assert_eq!(time.len(), "06/Nov/1994:08:49:37 +0000".len(), "{time}");
            format!("{before} {after}")
        })
        .collect();
    assert_eq!(
        lines,
        [
            r#"127.0.0.1 - a_b "GET /users/7?x=%22\"\\ HTTP/1.1" 200 5"#,
            r#"9.9.9.9 - a_b "HEAD /users/7 HTTP/1.1" 200 -"#,
            r#"127.0.0.1 - - "GET /stream HTTP/1.1" 200 -"#,
            r#"127.0.0.1 - - "GET /nowhere HTTP/1.1" 404 9"#,
            r#"127.0.0.1 - - "GET /panic HTTP/1.1" 500 -"#,
            r#"127.0.0.1 - - "GET /nowhere HTTP/1.0" 404 9"#,
        ]
    );
}

fn json_log(mode: Mode) {
    let log = Log::default();
    let server = serve(mode, logged(AccessLog::json(log.clone())));
    server.exchange(with("GET /users/7?q", "User-Agent: a\"b\r\nX-Request-Id: id-1\r\n"));
    server.exchange(get_once("/panic"));
    let text = log.text();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [first, second] = &lines[..] else { panic!("{text}") };
    for (name, value) in [
        ("client", "127.0.0.1"),
        ("user", "a b"),
        ("method", "GET"),
        ("uri", "/users/7?q"),
        ("version", "1.1"),
        ("route", "/users/{id}"),
        ("user_agent", "a\"b"),
        ("request_id", "id-1"),
    ] {
        assert_eq!(first[name], value, "{name}");
    }
    assert_eq!((&first["status"], &first["bytes"]), (&200.into(), &5.into()));
    assert!(first["duration_us"].is_u64() && first["time"].as_str().unwrap().ends_with('Z'));
    assert!(first.get("referer").is_none(), "{first}");
    assert_eq!((&second["status"], second.get("bytes")), (&500.into(), None));
}

fn request_ids(mode: Mode) {
    let app = || {
        Router::new().get("/", |req: &mut Request| {
            req.extensions().get::<RequestId>().map(|id| id.to_string())
        })
    };
    let server = serve(mode, app().with(RequestIds::new()));
    let ask = |server: &Running, id: &str| {
        let text = server.exchange(with("GET /", &format!("X-Request-Id: {id}\r\n")));
        let sent = header(&text, "X-Request-Id").unwrap().to_string();
        assert_eq!(body_of(&text), sent, "the handler sees the same");
        sent
    };
    assert_eq!(ask(&server, "client-7/a:b"), "client-7/a:b");
    let long = "x".repeat(129);
    let made: Vec<String> = ["", "a b", "a\"b", &long].map(|id| ask(&server, id)).into();
    for (at, id) in made.iter().enumerate() {
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        assert!(!made[..at].contains(id), "{id} twice");
    }
    let wary = serve(mode, app().with(RequestIds::new().trust(false)));
    assert_ne!(ask(&wary, "client-7"), "client-7");
}

fn cors(mode: Mode) {
    let app = |cors| Router::new().post("/", |_: &mut Request| "done").with(cors);
    let strict = Cors::new()
        .origins(["https://a.example"])
        .methods([Method::PUT, Method::POST])
        .headers(["X-One", "X-Two"])
        .expose(["X-Three"])
        .credentials(true)
        .max_age(Duration::from_secs(600));
    let server = serve(mode, app(strict));
    let preflight = |origin: &str| {
        let headers = format!("Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n");
        without_date(&server.exchange(with("OPTIONS /", &headers)))
    };
    let vary =
        "Vary: Origin\r\nVary: Access-Control-Request-Method, Access-Control-Request-Headers\r\n";
    let lines = [
        "HTTP/1.1 204 No Content",
        "Vary: Origin",
        "Access-Control-Allow-Origin: https://a.example",
        "Access-Control-Allow-Credentials: true",
        "Vary: Access-Control-Request-Method, Access-Control-Request-Headers",
        "Access-Control-Allow-Methods: PUT, POST",
        "Access-Control-Allow-Headers: X-One, X-Two",
        "Access-Control-Max-Age: 600",
        "Connection: close",
        "\r\n",
    ];
    assert_eq!(preflight("https://a.example"), lines.join("\r\n"));
    for foreign in ["https://b.example", "https://a.example.b", "http://a.example", "null"] {
        let refused = format!("HTTP/1.1 204 No Content\r\n{vary}Connection: close\r\n\r\n");
        assert_eq!(preflight(foreign), refused);
    }
    // The request itself: answered in any case, readable for the origin only.
    let text = server.exchange(with("POST /", "Origin: https://a.example\r\n"));
    assert_eq!(header(&text, "Access-Control-Allow-Origin"), Some("https://a.example"));
    assert_eq!(header(&text, "Access-Control-Expose-Headers"), Some("X-Three"));
    assert_eq!((header(&text, "Vary"), body_of(&text)), (Some("Origin"), "done"));
    for origin in ["Origin: https://b.example\r\n", ""] {
        let text = server.exchange(with("POST /", origin));
        assert!(!text.contains("Access-Control"), "{text}");
        assert_eq!((header(&text, "Vary"), body_of(&text)), (Some("Origin"), "done"));
    }
    // An OPTIONS that is no preflight goes on to the routes; so does an error's answer come out readable.
    let text = server.exchange(with("OPTIONS /", "Origin: https://a.example\r\n"));
    assert_eq!(header(&text, "Allow"), Some("OPTIONS, POST"));
    let text = server.exchange(with("POST /nowhere", "Origin: https://a.example\r\n"));
    assert_eq!(status_of(&text), "404");
    assert_eq!(header(&text, "Access-Control-Allow-Origin"), Some("https://a.example"));

    let server = serve(mode, app(Cors::new().any_origin().any_header()));
    let asks = "Origin: x://y\r\nAccess-Control-Request-Method: POST\r\n\
                Access-Control-Request-Headers: x-a, x-b\r\n";
    let text = server.exchange(with("OPTIONS /", asks));
    assert_eq!(header(&text, "Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(header(&text, "Access-Control-Allow-Methods"), Some("GET, HEAD, POST"));
    assert_eq!(header(&text, "Access-Control-Allow-Headers"), Some("x-a, x-b"));
    assert!(!text.contains("Credentials") && !text.contains("Max-Age"), "{text}");
}

#[test]
fn cors_for_everybody_has_no_credentials() {
    let both = || Cors::new().any_origin().credentials(true);
    assert!(std::panic::catch_unwind(both).is_err());
    let both = || Cors::new().credentials(true).any_origin();
    assert!(std::panic::catch_unwind(both).is_err());
}

fn time_limit(mode: Mode) {
    let cleaned = Arc::new(AtomicBool::new(false));
    struct SetOnDrop(Arc<AtomicBool>);
    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let witness = cleaned.clone();
    let app = Router::new()
        .get("/quick", |_: &mut Request| "quick")
        .get("/sleep", move |_: &mut Request| {
            let _on_drop = SetOnDrop(witness.clone());
            sleep(Duration::from_secs(60));
        })
        .post("/body", |req: &mut Request| req.bytes())
        .get("/own", |_: &mut Request| {
            let waited = sward::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.accept());
            waited.map_or_else(|e| format!("{:?}", e.kind()), |_| "connected".into())
        })
        .get("/fails", |_: &mut Request| StatusCode::INTERNAL_SERVER_ERROR)
        .with(TimeLimit::new(Duration::from_millis(100)).status(StatusCode::GATEWAY_TIMEOUT));
    let server = serve(mode, app);
    assert_eq!(body_of(&server.exchange(get_once("/quick"))), "quick");
    assert_eq!(status_of(&server.exchange(get_once("/fails"))), "500");
    let start = Instant::now();
    assert_eq!(status_of(&server.exchange(get_once("/sleep"))), "504");
    assert!(start.elapsed() >= Duration::from_millis(100), "{:?}", start.elapsed());
    assert!(cleaned.load(Ordering::SeqCst), "destructors ran");
    // I/O returns an error, which becomes a 500, which is the limit's; or what the handler makes of it.
    let mut client = server.client();
    client.send("POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
    let (head, _) = client.response();
    assert!(status_of(&head) == "504" && head.contains("Connection: close"), "{head}");
    assert_eq!(body_of(&server.exchange(get_once("/own"))), "TimedOut");

    let app = Router::new()
        .get("/", |_: &mut Request| sleep(Duration::from_secs(60)))
        .with(TimeLimit::new(Duration::from_millis(10)));
    assert_eq!(status_of(&serve(mode, app).exchange(get_once("/"))), "503");
}

fn concurrency(mode: Mode) {
    let go = Arc::new(AtomicBool::new(false));
    let until = |go: Arc<AtomicBool>| {
        while !go.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(1));
        }
    };
    let started = Arc::new(AtomicUsize::new(0));
    let (wait, count, held) = (go.clone(), started.clone(), go.clone());
    let app = Router::new()
        .get("/wait", move |_: &mut Request| {
            count.fetch_add(1, Ordering::SeqCst);
            until(wait.clone());
            "waited"
        })
        .get("/stream", move |_: &mut Request| {
            let held = held.clone();
            Response::stream(move |w: &mut BodyWriter| {
                w.write_all(b"begun")?;
                w.flush()?;
                until(held);
                Ok(())
            })
        })
        .get("/panic", |_: &mut Request| -> () { panic!("on purpose") })
        .with(ConcurrencyLimit::new(2).retry_after(Duration::from_millis(1500)));
    let server = serve(mode, app);
    let mut waits = server.client();
    waits.send(get_once("/wait"));
    eventually("it waits", || started.load(Ordering::SeqCst) == 1);
    for _ in 0..3 {
        assert_eq!(status_of(&server.exchange(get("/panic"))), "500", "is counted no longer");
    }
    let mut streams = server.client();
    streams.send(get_once("/stream"));
    streams.until("begun");
    let text = server.exchange(get_once("/wait"));
    assert_eq!((status_of(&text), header(&text, "Retry-After")), ("503", Some("2")));
    go.store(true, Ordering::SeqCst);
    assert_eq!(body_of(&waits.rest()), "waited");
    streams.rest();
    // What is counted is let go of with the response, which the client may have a moment earlier.
    eventually("room again", || status_of(&server.exchange(get_once("/wait"))) == "200");
}

fn basic_auth(mode: Mode) {
    let auth = BasicAuth::new("back \"office\"")
        .user("Aladdin", "open sesame")
        .user("ann", "a:b")
        .check(|name, password| name == "bob" && password == "from a database");
    let app = Router::new()
        .get("/", |req: &mut Request| req.extensions().get::<User>().map(|user| user.0.clone()))
        .with(auth);
    let server = serve(mode, app);
    let ask = |header: &str| server.exchange(with("GET /", header));
    for (credentials, name) in [
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin"),
        ("basic YW5uOmE6Yg==", "ann"),
        ("Basic Ym9iOmZyb20gYSBkYXRhYmFzZQ==", "bob"),
    ] {
        assert_eq!(body_of(&ask(&format!("Authorization: {credentials}\r\n"))), name);
    }
    let good = "Authorization: Basic YW5uOmE6Yg==\r\n";
    for header_lines in [
        "",
        "Authorization: Basic\r\n",
        "Authorization: Basic YW5uOmE6Yw==\r\n",
        "Authorization: Basic YW5uOmE=\r\n",
        "Authorization: Basic YW5u\r\n",
        "Authorization: Basic Y:W5u\r\n",
        "Authorization: Basic /////w==\r\n",
        "Authorization: Bearer YW5uOmE6Yg==\r\n",
        // One is right, but which did a proxy look at?
        &good.repeat(2),
    ] {
        let text = ask(header_lines);
        assert_eq!(status_of(&text), "401", "{header_lines}");
        let challenge = header(&text, "WWW-Authenticate");
        assert_eq!(challenge, Some(r#"Basic realm="back \"office\"", charset="UTF-8""#));
    }
}

fn bearer_auth(mode: Mode) {
    let auth = BearerAuth::new("api")
        .token("importer", "d41d8cd9")
        .check(|token| token.strip_prefix("signed:").map(String::from));
    let app = Router::new()
        .get("/", |req: &mut Request| req.extensions().get::<User>().map(|user| user.0.clone()))
        .with(auth);
    let server = serve(mode, app);
    let ask = |value: &str| server.exchange(with("GET /", &format!("Authorization: {value}\r\n")));
    assert_eq!(body_of(&ask("Bearer d41d8cd9")), "importer");
    assert_eq!(body_of(&ask("bearer  signed:eve ")), "eve");
    for (value, challenge) in [
        ("Bearer d41d8cd", r#"Bearer realm="api", error="invalid_token""#),
        ("Bearer d41d8cd9d41d8cd9", r#"Bearer realm="api", error="invalid_token""#),
        ("Basic d41d8cd9", r#"Bearer realm="api""#),
        ("", r#"Bearer realm="api""#),
    ] {
        let text = ask(value);
        assert_eq!(
            (status_of(&text), header(&text, "WWW-Authenticate")),
            ("401", Some(challenge)),
            "{value}"
        );
    }
}

fn trusted_proxies(mode: Mode) {
    let app = |proxies| {
        Router::new()
            .get("/", |req: &mut Request| format!("{} {}", req.client_addr(), req.peer_addr().ip()))
            .with(proxies)
    };
    let forwarded =
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.1.1.1\r\nForwarded: for=2.2.2.2\r\n";
    for (proxies, client) in [
        (TrustedProxies::x_forwarded_for(["127.0.0.0/8"]), "1.1.1.1"),
        (TrustedProxies::x_forwarded_for(["10.0.0.0/8"]), "127.0.0.1"),
        (TrustedProxies::forwarded(["127.0.0.1"]), "2.2.2.2"),
    ] {
        let server = serve(mode, app(proxies));
        let text = server.exchange(with("GET /", forwarded));
        assert_eq!(body_of(&text), format!("{client} 127.0.0.1"));
        assert_eq!(body_of(&server.exchange(get_once("/"))), "127.0.0.1 127.0.0.1");
    }
}

fn metrics(mode: Mode) {
    let metrics = Metrics::new();
    let app = Router::new()
        .get("/users/{id}", |_: &mut Request| "hello")
        .get("/slow", |_: &mut Request| sleep(Duration::from_millis(30)))
        .get("/panic", |_: &mut Request| -> () { panic!("on purpose") })
        .get("/metrics", metrics.page())
        .with(metrics.clone());
    let server = serve(mode, app);
    metrics.server(server.handle.clone());
    for path in ["/users/1", "/users/2", "/nowhere", "/elsewhere", "/panic", "/slow"] {
        server.exchange(get_once(path));
    }
    server.exchange(with("INVENTED /users/1", ""));
    let text = server.exchange(get_once("/metrics"));
    assert_eq!(header(&text, "Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let lines: Vec<&str> = body_of(&text).lines().collect();
    for line in [
        "# TYPE http_requests_total counter",
        r#"http_requests_total{method="GET",route="/users/{id}",status="2xx"} 2"#,
        r#"http_requests_total{method="GET",route="",status="4xx"} 2"#,
        r#"http_requests_total{method="GET",route="/panic",status="5xx"} 1"#,
        r#"http_requests_total{method="other",route="/users/{id}",status="4xx"} 1"#,
        "# TYPE http_request_duration_seconds histogram",
        r#"http_request_duration_seconds_bucket{method="GET",route="/slow",le="0.025"} 0"#,
        r#"http_request_duration_seconds_bucket{method="GET",route="/slow",le="10"} 1"#,
        r#"http_request_duration_seconds_bucket{method="GET",route="/slow",le="+Inf"} 1"#,
        r#"http_request_duration_seconds_count{method="GET",route="/users/{id}"} 2"#,
        "http_requests_in_flight 1",
        "# TYPE sward_green_threads gauge",
        "sward_pins_total 0",
    ] {
        assert!(lines.contains(&line), "{line} is not in\n{}", body_of(&text));
    }
    let sum = r#"http_request_duration_seconds_sum{method="GET",route="/slow"} "#;
    let sum = lines.iter().find_map(|line| line.strip_prefix(sum)).unwrap();
    assert!((0.03..30.0).contains(&sum.parse::<f64>().unwrap()), "{sum}");
    assert!(lines.iter().any(|line| line.starts_with("http_connections ")), "{text}");
    eventually("none in flight", || metrics.render().contains("http_requests_in_flight 0\n"));
}

in_each_mode! {
    common_log json_log request_ids cors time_limit concurrency basic_auth bearer_auth
    trusted_proxies metrics
}
