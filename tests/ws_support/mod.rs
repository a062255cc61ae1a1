//! A WebSocket client that speaks in bytes: it sends any frame, a wrong one too, and shows each frame that comes.
#![allow(dead_code, reason = "each test uses a part")]

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use crate::http_support::{Client, Running};

/// The handshake's key and its answer are those of RFC 6455, section 1.3.
pub(crate) const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
pub(crate) const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// A handshake with these header lines in addition.
pub(crate) fn handshake(path: &str, extra: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\n{KEY}{extra}\r\n"
    )
}

/// A frame as a client sends it: its first byte, and the payload masked.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let payload = payload.as_ref();
    let mut bytes = vec![first];
    match payload.len() {
        n @ 0..=125 => bytes.push(0x80 | n as u8),
        n @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    frame(0x81, text)
}

/// A Close with this code.
pub(crate) fn close(code: u16) -> Vec<u8> {
    frame(0x88, code.to_be_bytes())
}

/// An open WebSocket.
pub(crate) struct Ws(pub(crate) Client);

impl Ws {
    pub(crate) fn open(server: &Running, path: &str) -> Ws {
        Ws::open_with(server, path, "").0
    }

    /// Gives the answer's head too.
    pub(crate) fn open_with(server: &Running, path: &str, extra: &str) -> (Ws, String) {
        let mut client = server.client();
        client.send(handshake(path, extra));
        let head = client.until("\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT), "{head}");
        (Ws(client), head)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.send(bytes);
    }

    /// To a server in another process, from a page of another site.
    pub(crate) fn connect(addr: &str, path: &str) -> Ws {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut client = Client(stream);
        client.send(handshake(path, "Origin: http://elsewhere.example\r\n"));
        let head = client.until("\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT), "{head}");
        Ws(client)
    }

    /// The next frame: its first byte and its payload.
    pub(crate) fn next(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.0.read_exact(&mut head).unwrap();
        let len = match head[1] {
            126 => {
                let mut len = [0; 2];
                self.0.0.read_exact(&mut len).unwrap();
                usize::from(u16::from_be_bytes(len))
            }
            127 => {
                let mut len = [0; 8];
                self.0.0.read_exact(&mut len).unwrap();
                u64::from_be_bytes(len) as usize
            }
            len => {
                assert!(len < 126, "a server does not mask");
                usize::from(len)
            }
        };
        let mut payload = vec![0; len];
        self.0.0.read_exact(&mut payload).unwrap();
        (head[0], payload)
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        let (came, bytes) = self.next();
        let (shown, payload) = (String::from_utf8_lossy(&bytes), payload.as_ref());
        assert_eq!(came, first, "with {shown:?}");
        assert!(bytes == payload, "{shown:?}, not {:?}", String::from_utf8_lossy(payload));
    }

    #[track_caller]
    pub(crate) fn expect_text(&mut self, text: &str) {
        self.expect(0x81, text);
    }

    /// A Close with this code comes, and the end after ours.
    #[track_caller]
    pub(crate) fn expect_close(&mut self, code: u16) {
        let (first, payload) = self.next();
        assert_eq!(first, 0x88);
        assert_eq!(payload.get(..2), Some(&code.to_be_bytes()[..]), "{payload:?}");
    }

    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        assert!(self.0.is_closed(), "something follows");
    }
}
