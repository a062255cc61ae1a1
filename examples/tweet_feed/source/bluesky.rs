//! Bluesky's Jetstream: every public post, as JSON messages over a WebSocket, without an account. The WebSocket is
//! tungstenite's, an ordinary blocking library, over sward's sockets; TLS is rustls, likewise.
//!
//! A cursor (the time of the last message in microseconds) makes up for what was missed between two connections. It goes
//! back some seconds further, as servers' clocks differ; what comes twice is dropped by its id. JSON only: the stream can
//! be had compressed, with a dictionary of its own, which we do not ask for.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use sward::net::{TcpStream, ToSocketAddrs};
use tungstenite::http::Uri;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use crate::backoff::{Failure, Policy};
use crate::parse;
use crate::post::Post;
use crate::reader::Upstream;
use crate::source::wanted;

/// The public servers. They send the same, so after a failure the next one is asked.
pub(crate) const PUBLIC: [&str; 4] = [
    "wss://jetstream2.us-east.bsky.network/subscribe",
    "wss://jetstream1.us-east.bsky.network/subscribe",
    "wss://jetstream2.us-west.bsky.network/subscribe",
    "wss://jetstream1.us-west.bsky.network/subscribe",
];

/// How far a cursor goes back behind the last message.
const REWIND_US: i64 = 5_000_000;
const CONNECT: Duration = Duration::from_secs(10);
/// So many names are remembered; then the notebook is thrown away.
const HANDLES: usize = 10_000;
/// A post is a few hundred bytes; a message that is larger than this is not one.
const LONGEST: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Jetstream {
    servers: Vec<String>,
    /// The one to ask next.
    server: usize,
    track: Vec<String>,
    silence: Duration,
    tls: Arc<ClientConfig>,
    /// The time of the last message, once there was one.
    seen_us: Option<i64>,
    /// Posts say who wrote them by an id; its name comes now and then in a message of its own.
    handles: HashMap<String, String>,
    malformed: u64,
}

impl Jetstream {
    /// `server` is a `ws://` or `wss://` address; without one the public servers take turns.
    pub(crate) fn new(server: Option<&str>, track: &[String], policy: Policy) -> Jetstream {
        let servers: &[&str] = server.as_ref().map_or(&PUBLIC, std::slice::from_ref);
        Jetstream {
            servers: servers.iter().map(|server| (*server).to_owned()).collect(),
            server: 0,
            track: track.iter().map(|phrase| phrase.to_lowercase()).collect(),
            // After half of it we ask whether anybody is there.
            silence: policy.stall / 2,
            tls: Arc::new(trusting(RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            })),
            seen_us: None,
            handles: HashMap::new(),
            malformed: 0,
        }
    }

    fn open(&self) -> Result<Messages, Failure> {
        let mut url = format!("{}?wantedCollections={}", self.servers[self.server], parse::POSTS);
        if let Some(seen) = self.seen_us {
            url += &format!("&cursor={}", seen - REWIND_US);
        }
        let uri: Uri = url.parse().map_err(|e| Failure::Network(format!("{url}: {e}")))?;
        let stream = self.dial(&uri).map_err(|e| failed(&e))?;
        let mut config = tungstenite::protocol::WebSocketConfig::default();
        config.max_message_size = Some(LONGEST);
        match tungstenite::client::client_with_config(uri, stream, Some(config)) {
            Ok((socket, _)) => Ok(Messages { socket, line: Vec::new(), at: 0, asked: false }),
            Err(HandshakeError::Interrupted(_)) => Err(Failure::Stall),
            Err(HandshakeError::Failure(Error::Http(answer))) => {
                let said = answer.body().as_deref().unwrap_or_default();
                let said = String::from_utf8_lossy(said).chars().take(200).collect();
                Err(Failure::Http(answer.status().as_u16(), said))
            }
            Err(HandshakeError::Failure(error)) => Err(Failure::Network(error.to_string())),
        }
    }

    fn dial(&self, uri: &Uri) -> io::Result<Box<dyn Duplex>> {
        let host = uri.host().ok_or(io::ErrorKind::InvalidInput)?;
        let secure = uri.scheme_str() == Some("wss");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for addr in (host.trim_matches(['[', ']']), port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&addr, CONNECT) {
                Ok(tcp) => {
                    tcp.set_nodelay(true)?;
                    tcp.set_read_timeout(Some(self.silence))?;
                    tcp.set_write_timeout(Some(self.silence))?;
                    if !secure {
                        return Ok(Box::new(tcp));
                    }
                    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
                    let tls = ClientConnection::new(self.tls.clone(), name);
                    return Ok(Box::new(StreamOwned::new(tls.map_err(io::Error::other)?, tcp)));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// TLS to servers whose certificates lead to one of these.
fn trusting(roots: RootCertStore) -> ClientConfig {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring has all of them")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

impl Upstream for Jetstream {
    fn connect(&mut self) -> Result<Box<dyn Read>, Failure> {
        let opened = self.open();
        if opened.is_err() {
            self.server = (self.server + 1) % self.servers.len();
        }
        Ok(Box::new(opened?))
    }

    fn line(&mut self, line: &str) -> Result<Option<Post>, String> {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            self.malformed += 1;
            let shown = line.escape_debug().to_string();
            return Err(format!("not JSON, number {}: {shown:.60}", self.malformed));
        };
        if let Some(time) = message["time_us"].as_i64() {
            self.seen_us = Some(time);
        }
        let identity = &message["identity"];
        if let (Some(did), Some(handle)) = (identity["did"].as_str(), identity["handle"].as_str()) {
            if self.handles.len() >= HANDLES {
                self.handles.clear();
            }
            self.handles.insert(did.to_owned(), handle.to_owned());
        }
        let handle = message["did"].as_str().and_then(|did| self.handles.get(did));
        let post = parse::jetstream(&message, handle.map(String::as_str));
        Ok(post.filter(|post| wanted(&self.track, post)))
    }
}

/// A connection, with TLS or without.
trait Duplex: Read + Write {}
impl<S: Read + Write> Duplex for S {}

/// The messages of a WebSocket as lines: JSON has no line breaks of its own.
struct Messages {
    socket: WebSocket<Box<dyn Duplex>>,
    /// The message that is being read.
    line: Vec<u8>,
    at: usize,
    /// Nothing came for a while, and we sent a ping.
    asked: bool,
}

impl Messages {
    /// The next text. Pings of the other side are answered by tungstenite while it reads.
    fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    self.asked = false;
                    return Ok(Some(text.replace(['\r', '\n'], " ")));
                }
                Ok(_) => self.asked = false,
                Err(Error::Io(error)) if is_timeout(&error) && !self.asked => {
                    self.asked = true;
                    self.socket.send(Message::Ping(Vec::new().into())).map_err(io::Error::other)?;
                }
                Err(Error::Io(error)) if is_timeout(&error) => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(Error::Io(error)) => return Err(error),
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(None),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

impl Read for Messages {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at == self.line.len() {
            let Some(text) = self.next()? else {
                return Ok(0);
            };
            self.line = text.into_bytes();
            self.line.push(b'\n');
            self.at = 0;
        }
        let n = (&self.line[self.at..]).read(buf)?;
        self.at += n;
        Ok(n)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

fn failed(error: &io::Error) -> Failure {
    if is_timeout(error) { Failure::Stall } else { Failure::Network(error.to_string()) }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use sward::http::{Request, Router, Server, Tls};
    use sward::thread;

    use super::*;

    const POST: &str = r#"{"did":"did:plc:abc","time_us":1767261600000000,"kind":"commit","commit":{"rev":"3k",
        "operation":"create","collection":"app.bsky.feed.post","rkey":"3kx","cid":"bafy","record":{
        "$type":"app.bsky.feed.post","text":"green tea","createdAt":"2026-01-01T10:00:00.000Z","langs":["en"]}}}"#;

    fn stream(track: &[&str]) -> Jetstream {
        let track: Vec<String> = track.iter().map(|phrase| (*phrase).to_owned()).collect();
        Jetstream::new(Some("ws://127.0.0.1:1/subscribe"), &track, Policy::bluesky())
    }

    #[test]
    fn names_come_apart() {
        let mut stream = stream(&[]);
        let handle = |stream: &mut Jetstream| stream.line(POST).unwrap().unwrap().user.handle;
        assert_eq!(handle(&mut stream), "did:plc:abc");
        let named = r#"{"did":"did:plc:abc","time_us":1,"kind":"identity","identity":{"did":"did:plc:abc",
            "handle":"ada.bsky.social","seq":1,"time":"2026-01-01T10:00:00.000Z"}}"#;
        assert_eq!(stream.line(named), Ok(None));
        assert_eq!(handle(&mut stream), "ada.bsky.social");
        assert_eq!(stream.seen_us, Some(1_767_261_600_000_000));
    }

    #[test]
    fn garbage_is_counted() {
        let mut stream = stream(&[]);
        assert!(stream.line("<html>").unwrap_err().contains("number 1: <html>"));
        assert!(stream.line("").unwrap_err().contains("number 2"));
        for other in ["[]", "7", "{}", r#"{"time_us":"x","commit":[]}"#] {
            assert_eq!(stream.line(other), Ok(None), "{other}");
        }
        assert_eq!(stream.seen_us, None);
    }

    /// Messages come over TLS too, and only from whom the certificates vouch for.
    #[test]
    fn over_tls() {
        let file = |name| format!("{}/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"));
        sward::run(|| {
            let tls = Tls::from_pem_files(file("server.pem"), file("server.key")).unwrap();
            let server = Server::bind("127.0.0.1:0").unwrap().tls(tls);
            let (addr, handle) = (server.local_addr().unwrap(), server.handle());
            let talk = |ws: &mut sward::http::WebSocket<'_>| ws.send_text(POST);
            let answer = move |req: &mut Request| sward::http::WebSocket::upgrade(req, talk);
            let app = Router::new().get("/subscribe", answer);
            let served = thread::spawn(move || server.serve(app));

            let url = format!("wss://127.0.0.1:{}/subscribe", addr.port());
            let mut stream = Jetstream::new(Some(&url), &[], Policy::bluesky());
            let refused = stream.connect().err().unwrap().to_string();
            assert!(refused.contains("UnknownIssuer"), "{refused}");
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(file("authority.pem")).unwrap()).unwrap();
            stream.tls = Arc::new(trusting(roots));
            let mut text = String::new();
            stream.connect().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text.replace(' ', ""), POST.replace([' ', '\n'], "") + "\n");
            handle.shutdown();
            served.join().unwrap().unwrap();
        });
    }

    #[test]
    fn track_words() {
        assert!(stream(&["coffee", "TEA green"]).line(POST).unwrap().is_some());
        assert!(stream(&["coffee"]).line(POST).unwrap().is_none());
    }
}
