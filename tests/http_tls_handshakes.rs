//! Handshakes: whose certificate is shown, whose is wanted, new ones while the server runs; and all that is no handshake,
//! or none that comes to an end.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;
mod tls_support;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use http_support::{Client, body_of, eventually, get, get_once, status_of};
use sward::http::rustls::{self, AlertDescription};
use sward::http::{Config, Listener, Mode, Request, Router, Server, Tls};
use tls_support::{Running, Secure, Wishes, certificate, client_config, file, server_tls, start};

in_each_mode! {
    by_name
    by_protocol
    client_certificates
    optional_client_certificates
    certificates_are_reloaded
    plain_http_is_answered
    no_tls_is_refused
    half_a_hello
    a_handshake_is_not_endless
    connected_and_silent
    a_stop_in_the_middle
    one_listener_of_two
    behind_a_proxy_that_announces
}

fn app() -> Router {
    Router::new()
        .get("/", |_: &mut Request| "hello")
        .get("/name", |req: &mut Request| {
            req.tls().and_then(|tls| tls.server_name()).unwrap_or("none").to_string()
        })
        .get("/certificates", |req: &mut Request| req.client_certificates().len().to_string())
        .get("/green-threads", |_: &mut Request| sward::stats().green_threads.to_string())
}

/// What rustls says is wrong, as a client sees it: in the handshake, or (1.3) in the first answer.
#[track_caller]
fn refusal(mut client: Secure) -> rustls::Error {
    let failed = client.shake().and_then(|()| {
        client.0.write_all(get("/").as_bytes())?;
        client.0.read(&mut [0]).map(drop)
    });
    let error = failed.expect_err("it was let in");
    let inner = error.into_inner().expect("an error of TLS");
    *inner.downcast().expect("an error of TLS")
}

/// The certificate that a client is shown.
fn shown(client: &mut Secure) -> rustls::pki_types::CertificateDer<'static> {
    client.shake().unwrap();
    client.0.conn.peer_certificates().unwrap()[0].clone()
}

fn by_name(mode: Mode) {
    support::alarm();
    let (cert, key) = (file("hosts.pem"), file("hosts.key"));
    let tls = server_tls().add_host("One.test", &cert, &key).unwrap();
    let tls = tls.add_host("*.many.test", &cert, &key).unwrap();
    let server = start(mode, tls, Config::default(), app());
    let config = client_config(&Wishes::default());
    for name in ["one.test", "a.many.test", "b.many.test"] {
        let mut client = server.client_by(&config, name);
        assert_eq!(shown(&mut client), certificate("hosts.pem"), "{name}");
        assert_eq!(client.get("/name"), name);
    }
    // No name, and a name that nothing is known of: the first certificate, which may or may not do.
    assert_eq!(shown(&mut server.client_by(&config, "127.0.0.1")), certificate("server.pem"));
    assert_eq!(shown(&mut server.client_by(&config, "localhost")), certificate("server.pem"));
    let error = refusal(server.client_by(&config, "unknown.test"));
    assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error}");
}

fn by_protocol(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    let by =
        |alpn| server.client_by(&client_config(&Wishes { alpn, ..Wishes::default() }), "localhost");
    assert_eq!(
        refusal(by(&[b"h2"])),
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
    );
    let mut client = by(&[b"h2", b"http/1.1"]);
    assert_eq!(client.get("/"), "hello");
    assert_eq!(client.0.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(server.client().get("/"), "hello");
}

fn shows(server: &Running, own: Option<&'static str>, only_tls12: bool) -> Secure {
    let wishes = Wishes { own, only_tls12, ..Wishes::default() };
    server.client_by(&client_config(&wishes), "localhost")
}

fn client_certificates(mode: Mode) {
    support::alarm();
    let tls = server_tls().require_client_certificates(file("authority.pem")).unwrap();
    let server = start(mode, tls, Config::default(), app());
    for only_tls12 in [false, true] {
        let mut client = shows(&server, Some("client"), only_tls12);
        assert_eq!(client.get("/certificates"), "1");
        let alert = rustls::Error::AlertReceived;
        let without = refusal(shows(&server, None, only_tls12));
        let wanted = [AlertDescription::CertificateRequired, AlertDescription::HandshakeFailure];
        assert!(wanted.map(alert).contains(&without), "{without}");
        let forged = refusal(shows(&server, Some("forged"), only_tls12));
        let unknown = [AlertDescription::UnknownCA, AlertDescription::DecryptError];
        assert!(unknown.map(alert).contains(&forged), "{forged}");
    }
    // By a ticket the second time; the certificate is still known.
    let config = client_config(&Wishes { own: Some("client"), ..Wishes::default() });
    for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let mut client = server.client_by(&config, "localhost");
        assert_eq!(client.get("/certificates"), "1");
        assert_eq!(client.0.conn.handshake_kind(), Some(kind));
    }
}

fn optional_client_certificates(mode: Mode) {
    support::alarm();
    let tls = server_tls().allow_client_certificates(file("authority.pem")).unwrap();
    let server = start(mode, tls, Config::default(), app());
    assert_eq!(shows(&server, Some("client"), false).get("/certificates"), "1");
    assert_eq!(shows(&server, None, false).get("/certificates"), "0");
    refusal(shows(&server, Some("forged"), false));
}

/// A directory of this test's own.
fn directory(name: &str) -> PathBuf {
    let name = format!("sward-{}-{}", name.replace(':', "-"), std::process::id());
    let path = std::env::temp_dir().join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

fn certificates_are_reloaded(mode: Mode) {
    support::alarm();
    let dir = directory(&format!("reload-{mode}"));
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    let put = |name: &str| {
        fs::copy(file(&format!("{name}.pem")), &cert).unwrap();
        fs::copy(file(&format!("{name}.key")), &key).unwrap();
    };
    put("server");
    let tls = Tls::from_pem_files(&cert, &key).unwrap();
    let server = start(mode, tls.clone(), Config::default(), app());
    let mut before = server.client();
    assert_eq!(shown(&mut before), certificate("server.pem"));

    // Half of it, nonsense, nothing: the old one stays.
    fs::copy(file("renewed.pem"), &cert).unwrap();
    let error = tls.reload().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("key.pem: the key does not belong to"), "{error}");
    fs::write(&cert, "-----BEGIN CERTIFICATE-----\nAAAA").unwrap();
    tls.reload().unwrap_err();
    fs::remove_file(&cert).unwrap();
    assert_eq!(tls.reload().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(shown(&mut server.client()), certificate("server.pem"));

    put("renewed");
    assert_eq!(shown(&mut server.client()), certificate("server.pem"), "nobody has said so");
    tls.reload().unwrap();
    assert_eq!(shown(&mut server.client()), certificate("renewed.pem"));
    assert_eq!(before.get("/"), "hello");

    // The same by looking. The error of the first look is told, the next look mends it.
    let (told, errors) = mpsc::channel();
    tls.watch(Duration::from_millis(5), move |error| drop(told.send(error.to_string())));
    fs::write(&cert, "nothing").unwrap();
    let error = errors.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(error.contains("cert.pem: no certificate in it"), "{error}");
    assert_eq!(shown(&mut server.client()), certificate("renewed.pem"));
    put("server");
    eventually("the watch has seen it", || {
        shown(&mut server.client()) == certificate("server.pem")
    });
    drop((server, before));
    fs::remove_dir_all(dir).unwrap();
}

fn plain_http_is_answered(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    for request in [get("/"), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_string()] {
        let mut stream = server.tcp();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(status_of(&text), "400");
        assert_eq!(body_of(&text), "this port speaks TLS: use https://\r\n");
    }
    drop(server.tcp());
    eventually("all are closed", || server.handle.connections() == 0);
}

/// All that comes, to the end or a reset.
fn all_of(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // OK to ignore: a reset may overtake what was sent last, but not the first bytes, here.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

fn no_tls_is_refused(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    const ALERT: u8 = 21;
    let hello = hello();
    let mut wrong_body = hello.clone();
    wrong_body[20..40].fill(0xff);
    wrong_body[43] = 0xee;
    let mut cases: Vec<(&str, Vec<u8>)> = vec![
        ("a record of application data", b"\x17\x03\x03\x00\x05hello".to_vec()),
        ("an unknown kind of record", b"\x7f\x03\x03\x00\x05hello".to_vec()),
        ("another version's record", b"\x16\x0a\x03\x00\x05hello".to_vec()),
        ("a record that is too long", b"\x16\x03\x01\xff\xff".to_vec()),
        ("SSL 2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80\x02".to_vec()),
        ("a hello whose lengths are wrong", wrong_body),
        ("a finished before anything", b"\x16\x03\x03\x00\x04\x14\x00\x00\x00".to_vec()),
    ];
    let mut seed = 7_u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    for _ in 0..20 {
        // No letter first, and enough for any length in it.
        let mut bytes: Vec<u8> = (0..70_000).map(|_| noise()).collect();
        bytes[0] |= 0x80;
        cases.push(("noise", bytes));
    }
    // A hello that is still not whole after 64 KiB.
    let mut record = vec![22, 3, 1, 0, 9, 1, 0, 0xff, 0xff];
    record.resize(5 + 9, 0);
    record.extend([22, 3, 1, 0, 1, 0].repeat(20_000));
    cases.push(("noise", record));
    for (what, bytes) in cases {
        let began = Instant::now();
        let mut stream = server.tcp();
        // OK to ignore: the server may have heard enough.
        let _ = stream.write_all(&bytes);
        let answer = all_of(stream);
        let alert = answer.first() == Some(&ALERT) && answer.len() == 7;
        // What waits unread when the server closes resets the connection, with the alert in it.
        assert!(alert || (what == "noise" && answer.is_empty()), "{what}: {answer:?}");
        assert!(began.elapsed() < Duration::from_secs(8), "{what} is not waited out");
    }
    eventually("all are closed", || server.handle.connections() == 0);
    assert_eq!(server.client().get("/"), "hello");
}

/// A ClientHello, as a client sends it.
fn hello() -> Vec<u8> {
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let config = client_config(&Wishes::default());
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// Each beginning of it, and then the end.
fn half_a_hello(mode: Mode) {
    support::alarm();
    let server = start(mode, server_tls(), Config::default(), app());
    let hello = hello();
    for len in (0..hello.len()).step_by(7) {
        let mut stream = server.tcp();
        stream.write_all(&hello[..len]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(all_of(stream), b"", "{len} bytes");
    }
    eventually("all are closed", || server.handle.connections() == 0);
    assert_eq!(server.client().get("/"), "hello");
}

/// Whether the server closes it in about `limit`.
#[track_caller]
fn closes_in(mut stream: TcpStream, limit: Duration, began: Instant) {
    let mut byte = [0];
    assert!(matches!(stream.read(&mut byte), Ok(0)), "closed without a word");
    let took = began.elapsed();
    assert!(took >= limit && took < limit + Duration::from_secs(8), "{took:?}");
}

fn a_handshake_is_not_endless(mode: Mode) {
    support::alarm();
    let limit = Duration::from_millis(400);
    let mut config = Config::default();
    config.tls_handshake_timeout = limit;
    let server = start(mode, server_tls(), config, app());
    let hello = hello();
    // Half of it, all of it but nothing more, and a byte now and then.
    let began = Instant::now();
    let mut half = server.tcp();
    half.write_all(&hello[..hello.len() / 2]).unwrap();
    closes_in(half, limit, began);
    let began = Instant::now();
    let mut stream = server.tcp();
    stream.write_all(&hello).unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    assert!(text.len() > 500 && began.elapsed() >= limit, "the server's part comes");
    let began = Instant::now();
    let mut slow = server.tcp();
    for byte in &hello {
        if slow.write_all(&[*byte]).is_err() || began.elapsed() > limit * 10 {
            break;
        }
        std::thread::sleep(limit / 20);
    }
    assert!(began.elapsed() < limit * 10, "it was let go on");
    assert!(began.elapsed() >= limit);
    // The deadline is that of the handshake only.
    let mut client = server.client();
    assert_eq!(client.get("/"), "hello");
    std::thread::sleep(limit * 2);
    assert_eq!(client.get("/"), "hello");
}

fn connected_and_silent(mode: Mode) {
    support::alarm();
    let limit = Duration::from_millis(300);
    let mut config = Config::default();
    config.tls_handshake_timeout = limit;
    let server = start(mode, server_tls(), config, app());
    let began = Instant::now();
    closes_in(server.tcp(), limit, began);
    assert_eq!(server.client().get("/"), "hello");
}

fn a_stop_in_the_middle(mode: Mode) {
    support::alarm();
    let mut server = start(mode, server_tls(), Config::default(), app());
    let hello = hello();
    let mut half = server.tcp();
    half.write_all(&hello[..100]).unwrap();
    let mut idle = server.client();
    assert_eq!(idle.get("/"), "hello");
    let began = Instant::now();
    server.handle.shutdown();
    server.join();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(all_of(half), b"");
}

fn one_listener_of_two(mode: Mode) {
    support::alarm();
    let tls = Listener::bind("127.0.0.1:0").unwrap().tls(server_tls());
    let tls_addr = tls.local_addr().unwrap();
    let server = Server::bind("127.0.0.1:0").unwrap().listen(tls).mode(mode);
    let (addr, handle) = (server.local_addr().unwrap(), server.handle());
    let app = Router::new().get("/", |req: &mut Request| format!("{}", req.is_tls()));
    let serve = move || sward::Builder::new().workers(2).run(move || server.serve(app));
    let serving = std::thread::spawn(serve);
    let mut plain = TcpStream::connect(addr).unwrap();
    plain.write_all(get_once("/").as_bytes()).unwrap();
    let mut text = String::new();
    plain.read_to_string(&mut text).unwrap();
    assert_eq!(body_of(&text), "false");
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let config = client_config(&Wishes::default());
    let connection = rustls::ClientConnection::new(config, name).unwrap();
    let stream = TcpStream::connect(tls_addr).unwrap();
    assert_eq!(Client(rustls::StreamOwned::new(connection, stream)).get("/"), "true");
    handle.shutdown();
    serving.join().unwrap().unwrap();
}

/// The announcement comes first, in the clear; one byte of it at a time, or with the handshake right behind it.
fn behind_a_proxy_that_announces(mode: Mode) {
    support::alarm();
    let listener = Listener::bind("127.0.0.1:0").unwrap().tls(server_tls());
    let listener = listener.proxy_protocol(["127.0.0.1"]);
    let addr = listener.local_addr().unwrap();
    let server = Server::new().listen(listener).mode(mode);
    let handle = server.handle();
    let app = Router::new().get("/", |req: &mut Request| format!("{}", req.peer_addr()));
    let serve = move || sward::Builder::new().workers(2).run(move || server.serve(app));
    let serving = std::thread::spawn(serve);
    let announcement = b"PROXY TCP6 2001:db8::1 ::1 80 443\r\n";
    for piece in [1, announcement.len()] {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in announcement.chunks(piece) {
            stream.write_all(piece).unwrap();
        }
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let config = client_config(&Wishes::default());
        let connection = rustls::ClientConnection::new(config, name).unwrap();
        let mut client = Client(rustls::StreamOwned::new(connection, stream));
        for _ in 0..2 {
            assert_eq!(client.get("/"), "[2001:db8::1]:80");
        }
    }
    handle.shutdown();
    serving.join().unwrap().unwrap();
}

/// They hold no green thread, and others are served; later they are gone.
#[test]
fn two_thousand_half_finished() {
    support::alarm();
    let mut config = Config::default();
    config.tls_handshake_timeout = Duration::from_secs(20);
    let server = start(Mode::Green, server_tls(), config, app());
    let hello = hello();
    let half: Vec<TcpStream> = (0..2000)
        .map(|n| {
            let mut stream = server.tcp();
            // Some are before their hello's end, some wait for ours to be answered.
            let len = if n % 4 == 0 { hello.len() } else { hello.len() * (n % 4) / 4 };
            stream.write_all(&hello[..len]).unwrap();
            stream
        })
        .collect();
    let mut client = server.client();
    assert_eq!(client.get("/"), "hello");
    eventually("all are waiting", || server.handle.connections() == 2001);
    eventually("none of them has a green thread", || {
        client.get("/green-threads").parse::<u64>().unwrap() < 20
    });
    assert_eq!(server.client().get("/"), "hello");
    drop(half);
    eventually("they are gone", || server.handle.connections() == 1);
}

/// Each error says which file it is, and what to do.
#[test]
fn errors_are_clear() {
    let dir = directory("errors");
    let put = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (good, key) = (file("server.pem"), file("server.key"));
    let empty = put("empty.pem", "");
    let encrypted = put(
        "enc.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let broken =
        put("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
    let nonsense =
        put("nonsense.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let cases = [
        (dir.join("missing.pem"), key.clone(), "missing.pem: No such file"),
        (good.clone(), dir.join("missing.key"), "missing.key: No such file"),
        (empty.clone(), key.clone(), "empty.pem: no certificate in it"),
        (key.clone(), key.clone(), "server.key: no certificate in it"),
        (good.clone(), good.clone(), "server.pem: no private key in it"),
        (good.clone(), encrypted, "enc.key: the key in it is encrypted: decrypt it"),
        (broken, key.clone(), "broken.pem: not proper PEM"),
        (nonsense, key.clone(), "nonsense.pem: the first certificate in it is invalid"),
        (good.clone(), file("renewed.key"), "renewed.key: the key does not belong to the first"),
    ];
    for (cert, key, wanted) in cases {
        let error = Tls::from_pem_files(&cert, &key).unwrap_err().to_string();
        assert!(error.starts_with("TLS: ") && error.contains(wanted), "{error}");
    }
    let add = |name: &str| {
        let added = server_tls().add_host(name, file("hosts.pem"), file("hosts.key"));
        added.map(drop).map_err(|error| error.to_string())
    };
    add("one.test").unwrap();
    add("*.many.test").unwrap();
    assert!(
        add("two.test").unwrap_err().contains("hosts.pem: its certificate is not for two.test")
    );
    assert!(add("*.one.test").unwrap_err().contains("not for *.one.test"));
    assert!(add("no host").unwrap_err().contains("is not a host name"));
    let error = server_tls().require_client_certificates(&empty).unwrap_err();
    assert!(error.to_string().contains("empty.pem: no certificate in it"), "{error}");
    fs::remove_dir_all(dir).unwrap();

    // From memory there are no names, and keys are never shown.
    let (cert, secret) = (fs::read(&good).unwrap(), fs::read(&key).unwrap());
    let tls = Tls::from_pem(&cert, &secret).unwrap();
    tls.reload().unwrap();
    assert!(!format!("{tls:?}").contains("PRIVATE"), "{tls:?}");
    let error = Tls::from_pem(&cert, &cert).unwrap_err();
    assert!(error.to_string().contains("the given PEM: no private key"), "{error}");
}

/// A configuration of the program's own.
#[test]
fn all_of_rustls() {
    support::alarm();
    let config = |name: &str| {
        use rustls::pki_types::PrivateKeyDer;
        use rustls::pki_types::pem::PemObject;
        let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let mut config = rustls::ServerConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate(&format!("{name}.pem"))], key)
            .unwrap();
        config.max_early_data_size = 16 << 10;
        std::sync::Arc::new(config)
    };
    let tls = Tls::from_config(config("server"));
    let server = start(Mode::Green, tls.clone(), Config::default(), app());
    assert_eq!(server.client().get("/name"), "localhost");
    refusal(shows(&server, None, true));
    assert_eq!(tls.reload().unwrap_err().kind(), ErrorKind::Unsupported);
    let error = tls.clone().add_host("one.test", file("hosts.pem"), file("hosts.key")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    tls.set_config(config("renewed"));
    assert_eq!(shown(&mut server.client()), certificate("renewed.pem"));
    // Early data would be served twice if it were replayed: it is not taken.
    let mut early = (*client_config(&Wishes::default())).clone();
    early.enable_early_data = true;
    let early = std::sync::Arc::new(early);
    server.client_by(&early, "localhost").get("/");
    let mut client = server.client_by(&early, "localhost");
    assert!(client.0.conn.early_data().is_none());
    assert_eq!(client.get("/"), "hello");
}
