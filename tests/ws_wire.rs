//! WebSockets on the wire, byte by byte: each test runs in every mode. What goes wrong over time is in `ws_life.rs`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;
mod ws_support;

use std::time::Duration;

use http_support::{Running, get, get_once, start, status_of, without_date};
use sward::http::middleware::{Compression, Next, TimeLimit};
use sward::http::ws::{self, Message, Origins};
use sward::http::{Config, Mode, Request, Response, Router, StatusCode, WebSocket};
use ws_support::{ACCEPT, KEY, Ws, close, frame, handshake, text};

fn echo(ws: &mut WebSocket<'_>) -> std::io::Result<()> {
    while let Some(message) = ws.read()? {
        ws.send(message)?;
    }
    Ok(())
}

fn app() -> Router {
    let mut small = ws::Config::default();
    (small.max_message, small.max_frame) = (1000, 600);
    let mut chat = ws::Config::default();
    chat.protocols = vec!["chat.v2".into(), "chat.v1".into()];
    chat.origins = Origins::Listed(vec!["https://friend.example".into()]);
    let mut packed = ws::Config::default();
    packed.deflate = true;
    Router::new()
        .get("/", |_: &mut Request| "hello")
        .get("/echo", |req: &mut Request| WebSocket::upgrade(req, echo))
        .get("/small", move |req: &mut Request| WebSocket::upgrade_with(&small, req, echo))
        .get("/packed", move |req: &mut Request| WebSocket::upgrade_with(&packed, req, echo))
        .post("/echo", |req: &mut Request| WebSocket::upgrade(req, echo))
        .get("/chat", move |req: &mut Request| {
            WebSocket::upgrade_with(&chat, req, |ws: &mut WebSocket| {
                let protocol = ws.protocol().unwrap_or("none").to_string();
                ws.send_text(protocol)
            })
        })
        .get("/greet", |req: &mut Request| {
            let name: String = req.query("name")?.unwrap_or_default();
            Ok::<_, sward::http::Error>(WebSocket::upgrade(req, move |ws: &mut WebSocket| {
                ws.send_text(format!("hello, {name}"))?;
                ws.send_binary([0xff, 0])?;
                ws.send_raw(Message::from("twice").encode().repeat(2))?;
                ws.close(4001, "that is all")?;
                assert!(ws.send_text("more").is_err(), "nothing follows a Close");
                while let Some(message) = ws.read()? {
                    assert_eq!(message.as_text(), Some("late"));
                }
                assert_eq!(ws.closed().and_then(|close| close.code), Some(4001));
                Ok(())
            }))
        })
        .get("/changed", |req: &mut Request| -> Response {
            // What middleware may do with an answer.
            WebSocket::upgrade(req, echo).with_status(StatusCode::FORBIDDEN)
        })
}

fn serve(mode: Mode) -> Running {
    support::alarm();
    start(mode, Config::default(), app())
}

fn opening(mode: Mode) {
    let server = serve(mode);
    let mut client = server.client();
    // After a request on the same connection, in the same packet.
    client.send(get("/") + &handshake("/echo", ""));
    assert_eq!(client.response().1, "hello");
    let head = without_date(&client.until("\r\n\r\n"));
    assert_eq!(
        head,
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{ACCEPT}\r\n"
        )
    );
    let mut ws = Ws(client);
    ws.send(text("hi"));
    ws.expect_text("hi");

    // With frames behind the handshake, cut at any place.
    let bytes = [handshake("/echo", "").as_bytes(), &text("one"), &text("two")].concat();
    for at in [1, bytes.len() - 17, bytes.len() - 9, bytes.len() - 8, bytes.len() - 1, bytes.len()]
    {
        let mut client = server.client();
        client.send(&bytes[..at]);
        client.send(&bytes[at..]);
        client.until("\r\n\r\n");
        let mut ws = Ws(client);
        ws.expect_text("one");
        ws.expect_text("two");
    }
}

fn refused_handshakes(mode: Mode) {
    let server = serve(mode);
    let good = handshake("/echo", "Connection: close\r\n");
    let without = |line: &str| {
        assert!(good.contains(line), "{line}");
        good.replacen(line, "", 1)
    };
    let with = |line: &str| good.replacen("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"), 1);
    for (request, status) in [
        (get_once("/echo"), "426"),
        (without("Upgrade: websocket\r\n"), "426"),
        (without("Connection: Upgrade\r\n"), "426"),
        (good.replace("Upgrade: websocket", "Upgrade: h2c"), "426"),
        (without("Sec-WebSocket-Version: 13\r\n"), "426"),
        (good.replace("Version: 13", "Version: 8"), "426"),
        (without(KEY), "400"),
        (good.replace("ZQ==", "ZQ="), "400"),
        (with(KEY.trim_end()), "400"),
        (with("Sec-WebSocket-Version: 13"), "400"),
        (with("Sec-WebSocket-Extensions: a; b=\"c"), "400"),
        (with("Content-Length: 5") + "12345", "400"),
        (with("Origin: http://other.example"), "403"),
        (with("Origin: null"), "403"),
        (with("Origin: http://test\r\nOrigin: http://test"), "400"),
        (good.replace("GET ", "POST "), "405"),
        (good.replace("GET ", "HEAD "), "405"),
        (good.replace("HTTP/1.1", "HTTP/1.0"), "400"),
        (good.replace("/echo", "/nowhere"), "404"),
        (good.replace("/echo", "/changed"), "403"),
    ] {
        let answer = server.exchange(&request);
        assert_eq!(status_of(&answer), status, "{request}{answer}");
        if status == "426" {
            assert!(answer.contains("\r\nUpgrade: websocket\r\n"), "{answer}");
        }
    }
    let old = server.exchange(good.replace("Version: 13", "Version: 8"));
    assert!(old.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{old}");
    // The connection can go on as HTTP.
    let mut client = server.client();
    client.send(handshake("/echo", "Origin: http://other.example\r\n") + &get("/"));
    assert_eq!(status_of(&client.response().0), "403");
    assert_eq!(client.response().1, "hello");
}

fn origins_and_protocols(mode: Mode) {
    let server = serve(mode);
    for origin in ["http://test", "https://TEST:443", "https://friend.example"] {
        let (mut ws, head) = Ws::open_with(&server, "/chat", &format!("Origin: {origin}\r\n"));
        assert!(!head.contains("Sec-WebSocket-Protocol"), "{head}");
        ws.expect_text("none");
        ws.expect_close(1000);
    }
    for (offered, chosen) in [
        ("chat.v1", "chat.v1"),
        ("other, chat.v1 ,chat.v2", "chat.v1"),
        ("other\r\nSec-WebSocket-Protocol: chat.v2", "chat.v2"),
    ] {
        let extra = format!("Sec-WebSocket-Protocol: {offered}\r\n");
        let (mut ws, head) = Ws::open_with(&server, "/chat", &extra);
        assert!(head.contains(&format!("\r\nSec-WebSocket-Protocol: {chosen}\r\n")), "{head}");
        ws.expect_text(chosen);
    }
}

fn messages(mode: Mode) {
    let server = serve(mode);
    let mut ws = Ws::open(&server, "/echo");
    for len in [0, 1, 125, 126, 127, 8000, 65_535, 65_536, 300_000] {
        let payload = vec![b'x'; len];
        ws.send(frame(0x82, &payload));
        ws.expect(0x82, &payload);
    }
    ws.send(text("κόσμε"));
    ws.expect_text("κόσμε");
    // Many in one packet, and one in many.
    ws.send((0..50).flat_map(|n| text(&n.to_string())).collect::<Vec<_>>());
    (0..50).for_each(|n| ws.expect_text(&n.to_string()));
    for byte in text("byte by byte") {
        ws.send([byte]);
    }
    ws.expect_text("byte by byte");
    // Pieces, with a ping between them that is answered at once.
    ws.send([frame(0x01, "a\u{e9}".as_bytes().split_at(2).0), frame(0x89, "now")].concat());
    ws.expect(0x8a, "now");
    ws.send([frame(0x00, "\u{e9}".as_bytes().split_at(1).1), frame(0x80, "")].concat());
    ws.expect_text("aé");
    // A pong that nobody asked for.
    ws.send([frame(0x8a, "?"), text("on")].concat());
    ws.expect_text("on");
}

fn closing(mode: Mode) {
    let server = serve(mode);
    for (sent, answered) in [
        (frame(0x88, ""), vec![]),
        (close(1000), vec![0x03, 0xe8]),
        (frame(0x88, b"\x03\xe9left"), vec![0x03, 0xe9]),
        (close(4999), 4999_u16.to_be_bytes().to_vec()),
    ] {
        let mut ws = Ws::open(&server, "/echo");
        // What follows a Close is not looked at.
        ws.send([text("last"), sent, text("too late")].concat());
        ws.expect_text("last");
        ws.expect(0x88, answered);
        ws.expect_end();
    }
    let mut ws = Ws::open(&server, "/greet?name=eve");
    ws.expect_text("hello, eve");
    ws.expect(0x82, [0xff, 0]);
    ws.expect_text("twice");
    ws.expect_text("twice");
    ws.expect(0x88, [&4001_u16.to_be_bytes()[..], b"that is all"].concat());
    ws.send([text("late"), close(4001)].concat());
    ws.expect_end();
}

fn faults(mode: Mode) {
    let server = serve(mode);
    for (bytes, code) in [
        (vec![0x81, 5, b'h', b'e', b'l', b'l', b'o'], 1002), // not masked
        (frame(0x83, ""), 1002),                             // reserved
        (frame(0xc1, "x"), 1002),                            // no extension was agreed on
        (frame(0x80, "x"), 1002),                            // continues nothing
        (frame(0x89, [0; 126]), 1002),
        (frame(0x09, ""), 1002),
        ([frame(0x01, "x"), text("y")].concat(), 1002),
        (close(1005), 1002),
        (frame(0x88, "x"), 1002),
        (frame(0x81, [0xff]), 1007),
        (frame(0x01, [0xf8]), 1007), // before the message is complete
        (frame(0x88, b"\x03\xe8\xff"), 1007),
        (vec![0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0], 1009),
    ] {
        let mut ws = Ws::open(&server, "/echo");
        ws.send([&text("fine")[..], &bytes, &text("too late")].concat());
        ws.expect_text("fine");
        ws.expect_close(code);
        ws.expect_end();
    }
}

fn limits(mode: Mode) {
    let server = serve(mode);
    let mut ws = Ws::open(&server, "/small");
    ws.send([frame(0x02, [7; 600]), frame(0x80, [7; 400])].concat());
    ws.expect(0x82, [7; 1000]);
    ws.send(frame(0x82, [7; 601]));
    ws.expect_close(1009);
    let mut ws = Ws::open(&server, "/small");
    ws.send([frame(0x02, [7; 600]), frame(0x80, [7; 401])].concat());
    ws.expect_close(1009);
}

fn compression(mode: Mode) {
    let server = serve(mode);
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]; // RFC 7692, 7.2.3.1
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let (mut ws, head) = Ws::open_with(&server, "/packed", offer);
    let terms = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert!(head.contains(&format!("\r\nSec-WebSocket-Extensions: {terms}\r\n")), "{head}");
    ws.send(frame(0xc1, hello));
    ws.expect_text("Hello"); // short: not worth it
    let long = "once upon a time ".repeat(500);
    ws.send(text(&long));
    let (first, packed) = ws.next();
    assert_eq!(first, 0xc1, "compressed");
    assert!(packed.len() < long.len() / 5, "{}", packed.len());
    // Our own compression is one that we understand, and so are its pieces.
    let (begin, end) = packed.split_at(packed.len() / 2);
    ws.send([frame(0x41, begin), frame(0x80, end)].concat());
    assert_eq!(ws.next(), (0xc1, packed));
    ws.send(frame(0xc1, [0xff; 9]));
    ws.expect_close(1007);

    // A client that did not offer, and a server that does not want.
    for path in ["/packed", "/echo"] {
        let (_, head) = Ws::open_with(&server, path, if path == "/echo" { offer } else { "" });
        assert!(!head.contains("Extensions"), "{head}");
    }
    // 2 MiB of zeros in 13 KiB.
    let (mut ws, _) = Ws::open_with(&server, "/packed", offer);
    let bomb = deflate_bomb();
    assert!(bomb.len() < 20_000);
    ws.send(frame(0xc2, bomb));
    ws.expect_close(1009);
}

/// DEFLATE by hand: a zero, then many times "258 bytes, distance 1", in one block with fixed codes.
fn deflate_bomb() -> Vec<u8> {
    let mut bits: Vec<bool> = vec![false, true, false]; // not the last block; fixed codes
    let mut code = |value: u32, n: u32| bits.extend((0..n).rev().map(|at| value >> at & 1 == 1));
    code(0b0011_0000, 8); // the byte 0
    for _ in 0..(2 << 20) / 258 {
        code(0b1100_0101, 8); // length 258
        code(0, 5); // distance 1
    }
    code(0, 7); // the end of the block
    code(0, 3); // an empty stored block follows
    bits.chunks(8)
        .map(|byte| byte.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit)))
        .collect()
}

fn behind_middleware(mode: Mode) {
    support::alarm();
    let app = Router::new()
        .get("/echo", |req: &mut Request| WebSocket::upgrade(req, echo))
        .with(|req: &mut Request, next: Next| {
            let refuse = req.header("x-refuse").is_some();
            let response = next.run(req).header("X-Seen", "yes");
            if refuse { response.with_status(StatusCode::FORBIDDEN) } else { response }
        })
        .with(TimeLimit::new(Duration::from_millis(100)))
        .with(Compression::new());
    let server = start(mode, Config::default(), app);
    let (mut ws, head) = Ws::open_with(&server, "/echo", "Accept-Encoding: gzip\r\n");
    assert!(head.contains("\r\nX-Seen: yes\r\n") && !head.contains("gzip"), "{head}");
    // The time limit was the handler's, which has returned.
    std::thread::sleep(Duration::from_millis(200));
    ws.send(text("on"));
    ws.expect_text("on");
    let mut client = server.client();
    client.send(handshake("/echo", "X-Refuse: 1\r\n") + &get("/echo"));
    assert_eq!(status_of(&client.response().0), "403");
    assert_eq!(status_of(&client.response().0), "426", "still HTTP");
}

in_each_mode! {
    opening refused_handshakes origins_and_protocols messages closing faults limits compression
    behind_middleware
}
