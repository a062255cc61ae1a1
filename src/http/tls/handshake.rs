//! A handshake, step by step: what to do with the bytes that came. Nothing is allocated for a client before its first
//! bytes, which may also be a request by somebody who does not know that this port speaks TLS.

#![forbid(unsafe_code)]

use std::io;

use super::Tls;
use super::session::Session;

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shaken {
    /// More has to come.
    More,
    /// Requests may come.
    Done,
    /// It failed, and the client was told why.
    Refused,
    /// It failed, and nobody is there.
    Gone,
}

/// For who speaks HTTP without TLS.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 36\r\nConnection: close\r\n\r\nthis port speaks TLS: use https://\r\n";

/// Takes what came. `session` is made by the first bytes.
pub(super) fn step(
    tls: &Tls,
    session: &mut Option<Box<Session>>,
    received: &mut [u8],
    send: impl FnOnce(&[u8]) -> io::Result<()>,
) -> Shaken {
    let session = match session {
        Some(session) => session,
        // A record of a handshake begins with 22, a request with its method.
        None if received.first().is_some_and(u8::is_ascii_uppercase) => {
            return if send(PLAIN).is_ok() { Shaken::Refused } else { Shaken::Gone };
        }
        None => match Session::new(tls.current()) {
            Ok(new) => session.insert(Box::new(new)),
            Err(_) => return Shaken::Gone,
        },
    };
    let shaken = session.shake(received);
    let outgoing = session.take_outgoing();
    let sent = if outgoing.is_empty() { Ok(()) } else { send(&outgoing) };
    match (shaken, sent) {
        (_, Err(_)) => Shaken::Gone,
        (Err(_), Ok(())) => Shaken::Refused,
        (Ok(true), Ok(())) => Shaken::Done,
        (Ok(false), Ok(())) => Shaken::More,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_length_is_right() {
        let text = std::str::from_utf8(super::PLAIN).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
