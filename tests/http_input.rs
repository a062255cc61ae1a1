//! What handlers read of requests beyond paths and plain bodies: cookies, forms with files, typed paths and queries.
//! Over sockets, in every mode.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;

use std::io::{Read, Write};

use http_support::{Running, body_of, get_once, start, status_of};
use sward::http::{Config, Cookie, Error, Mode, Request, Response, Router};

fn serve(mode: Mode, app: Router) -> Running {
    support::alarm();
    start(mode, Config::default(), app)
}

fn cookies(mode: Mode) {
    let app = Router::new()
        .get("/", |req: &mut Request| {
            format!("{:?} {:?}", req.cookie("b"), req.cookies().collect::<Vec<_>>())
        })
        .get("/set", |_: &mut Request| {
            let two = Cookie::new("two", "2").same_site(sward::http::SameSite::Strict);
            Response::text("set").cookie(Cookie::new("one", "1")).cookie(two)
        });
    let server = serve(mode, app);
    let ask = |lines: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{lines}\r\n");
        body_of(&server.exchange(request)).to_string()
    };
    assert_eq!(ask(""), "None []");
    assert_eq!(ask("Cookie: a=1; b=2=3\r\n"), r#"Some("2=3") [("a", "1"), ("b", "2=3")]"#);
    assert_eq!(
        ask("Cookie: b=\"x\";=y;z\r\nCookie: b=2\r\n"),
        r#"Some("x") [("b", "x"), ("b", "2")]"#
    );
    let text = server.exchange(get_once("/set"));
    let one = "Set-Cookie: one=1; Path=/; HttpOnly; Secure; SameSite=Lax\r\n";
    let two = "Set-Cookie: two=2; Path=/; HttpOnly; Secure; SameSite=Strict\r\n";
    assert!(text.contains(&(one.to_string() + two)), "{text}");
}

/// Heads of up to 256 bytes, with fewer lines than there is room for on the stack and with more; and two at once.
fn short_heads(mode: Mode) {
    let app = Router::new().get("/", |req: &mut Request| {
        let all: Vec<_> = req.headers().map(|(name, _)| name.to_string()).collect();
        format!("{}.", all.join(" "))
    });
    let server = serve(mode, app);
    for lines in [0, 1, 7, 8, 9, 23, 24, 25, 40] {
        let names: Vec<String> = (0..lines).map(|n| format!("h{n}")).collect();
        let lines: String = names.iter().map(|name| format!("{name}:\r\n")).collect();
        let head = |last| format!("GET / HTTP/1.1\r\nHost:h\r\n{last}{lines}\r\n");
        let text = server.exchange(head("") + &head("Connection:close\r\n"));
        let wanted = [vec!["Host"], vec!["Host", "Connection"]];
        for mut wanted in wanted {
            wanted.extend(names.iter().map(String::as_str));
            assert!(text.contains(&format!("\r\n\r\n{}.", wanted.join(" "))), "{text}");
        }
    }
}

#[derive(serde::Deserialize, Debug)]
#[allow(dead_code, reason = "printed")]
struct Place {
    team: String,
    number: u32,
}

#[derive(serde::Deserialize, Debug)]
#[allow(dead_code, reason = "printed")]
struct Search {
    q: String,
    #[serde(default)]
    page: u32,
    sort: Option<String>,
}

fn typed(mode: Mode) {
    let place = |req: &mut Request<'_>| req.params_as::<Place>().map(|place| format!("{place:?}"));
    let app = Router::new()
        .nest("/teams/{team}", Router::new().get("/{number}", place).get("/", place))
        .get("/search", |req: &mut Request| -> Result<String, Error> {
            Ok(format!("{:?}", req.query_as::<Search>()?))
        });
    let server = serve(mode, app);
    for (path, status, body) in [
        ("/teams/a%20%26b/7", "200", r#"Place { team: "a &b", number: 7 }"#),
        ("/teams/a/x", "400", "the path is not what was expected: invalid digit found in string"),
        ("/teams/a", "400", "the path is not what was expected: missing field `number`"),
        ("/search?q=a+b%26", "200", r#"Search { q: "a b&", page: 0, sort: None }"#),
        ("/search?q=&sort=x&page=2", "200", r#"Search { q: "", page: 2, sort: Some("x") }"#),
        ("/search", "400", "the query is not what was expected: missing field `q`"),
        (
            "/search?q=a&page=-1",
            "400",
            "the query is not what was expected: invalid digit found in string",
        ),
    ] {
        let text = server.exchange(get_once(path));
        assert_eq!((status_of(&text), body_of(&text)), (status, body), "{path}");
    }
}

fn multipart(mode: Mode) {
    let app = Router::new().post("/", |req: &mut Request| -> Result<String, Error> {
        req.set_body_limit(300_000);
        let mut form = req.multipart()?.max_part(200_000);
        let mut found = String::new();
        while let Some(mut part) = form.next_part()? {
            let about = format!("{} {:?} {:?}", part.name(), part.file_name(), part.content_type());
            let what = match part.name() {
                "unread" => "unread".into(),
                "first" => {
                    let mut byte = [0];
                    part.read_exact(&mut byte)?;
                    format!("{byte:?}")
                }
                "long" => part.data()?.len().to_string(),
                _ => part.text()?,
            };
            found += &format!("{about}: {what}\n");
        }
        Ok(found)
    });
    let server = serve(mode, app);
    let post = |mime: &str, body: &str| {
        let length = body.len();
        server.exchange(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: {mime}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    };
    let part = |head: &str, data: &str| {
        format!("------x\r\nContent-Disposition: form-data; {head}\r\n\r\n{data}\r\n")
    };
    let long = "x".repeat(150_000);
    let body = part("name=\"a\"", "é")
        + &part("name=\"f\"; filename=\"ü.txt\"\r\nContent-Type: text/plain", "line\r\n--")
        + &part("name=unread", &long[..40_000])
        + &part("name=first", "abc")
        + &part("name=long", &long)
        + "------x--\r\n";
    let form = "multipart/form-data; boundary=----x";
    let text = post(form, &body);
    let expected = "a None None: é\nf Some(\"ü.txt\") Some(\"text/plain\"): line\r\n--\n\
                    unread None None: unread\nfirst None None: [97]\nlong None None: 150000\n";
    assert_eq!(body_of(&text), expected);
    // The same in chunks, with the boundary in quotes.
    let mut chunked =
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
                       Content-Type: Multipart/Form-Data; charset=x; boundary=\"----x\"\r\n\r\n"
            .to_string()
            .into_bytes();
    for piece in body.as_bytes().chunks(1009) {
        chunked.extend(format!("{:x}\r\n", piece.len()).bytes());
        chunked.extend(piece);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    assert_eq!(body_of(&server.exchange(chunked)), expected);

    for (mime, body, status) in [
        ("text/plain", "------x--", "415"),
        ("multipart/form-data", "------x--", "400"),
        ("multipart/form-data; boundary=\"\"", "----", "400"),
        (form, &body[..200], "400"),
        (form, &part("name=\"a\"", "no end"), "400"),
        (form, &(part("name=long", &"x".repeat(200_001)) + "------x--"), "413"),
        (form, &(part("name=a", &long) + &part("name=b", &long) + "------x--"), "413"),
        (form, "------x--", "200"),
    ] {
        assert_eq!(status_of(&post(mime, body)), status, "{mime} {body:.50}");
    }
    // Cut off by the client.
    let mut client = server.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Type: {form}\r\nContent-Length: 99\r\n\r\n------x\r\n"));
    client.finish();
    assert_eq!(status_of(&client.rest()), "400");
}

/// A client that says that it closes and then sends more is not read any further, which makes the kernel reset the connection. By
/// then the answer is on its way.
fn more_than_was_said(mode: Mode) {
    let app = Router::new().get("/", |_: &mut Request| {
        sward::thread::sleep(std::time::Duration::from_millis(60)); // until the rest is here
        "answered"
    });
    let server = serve(mode, app);
    for rest in [0, 1, 100_000] {
        let mut client = std::net::TcpStream::connect(server.addr).unwrap();
        client.write_all(get_once("/").as_bytes()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        client.write_all(&vec![b'x'; rest]).unwrap();
        let mut answer = Vec::new();
        let end = client.read_to_end(&mut answer);
        assert!(answer.ends_with(b"answered"), "{rest}: {} {end:?}", answer.escape_ascii());
        assert!(end.is_ok() || rest > 0, "{end:?}");
    }
}

/// Many clients send a request in two parts, and by Nagle's algorithm the second only when the first is acknowledged. That must
/// not wait for the kernel's 40 ms, on a fresh connection or later. Of ten requests the quickest tells: the machine may be busy.
fn requests_in_two_parts(mode: Mode) {
    let app = Router::new().post("/", |req: &mut Request| req.text());
    let server = serve(mode, app);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    for (name, first, second) in [
        ("head and body", head.to_string(), "body".to_string()),
        ("a head", head[..20].to_string(), head[20..].to_string() + "body"),
    ] {
        let mut quickest = [std::time::Duration::MAX; 3];
        for _ in 0..10 {
            let mut client = std::net::TcpStream::connect(server.addr).unwrap();
            for quickest in &mut quickest {
                let began = std::time::Instant::now();
                client.write_all(first.as_bytes()).unwrap();
                client.write_all(second.as_bytes()).unwrap();
                let mut answer = Vec::new();
                while !answer.ends_with(b"\r\n\r\nbody") {
                    let mut bytes = [0; 500];
                    let n = client.read(&mut bytes).unwrap();
                    assert!(n > 0, "{name}: {}", answer.escape_ascii());
                    answer.extend_from_slice(&bytes[..n]);
                }
                *quickest = began.elapsed().min(*quickest);
            }
        }
        assert!(quickest.iter().all(|it| it.as_millis() < 25), "{name}: {quickest:?}");
    }
}

in_each_mode! { requests_in_two_parts cookies typed multipart short_heads more_than_was_said }
