//! The opening handshake (RFC 6455, section 4.2): a request in; what was agreed on, or why not, out. It moves no
//! bytes.

#![forbid(unsafe_code)]

use http::{Method, StatusCode, Version};
use sha1_smol::Sha1;

use super::config::Config;
use super::extension::{self, Deflate};
use crate::http::into_response::IntoResponse;
use crate::http::request::Request;
use crate::http::response::Response;

/// What was agreed on.
#[derive(Debug)]
pub(crate) struct Agreed {
    /// The answer to the client's key.
    pub(crate) accept: String,
    /// The chosen subprotocol.
    pub(crate) protocol: Option<String>,
    /// Compression.
    pub(crate) deflate: Option<Deflate>,
}

/// Looks at a request to become a WebSocket.
pub(crate) fn agree(request: &Request<'_>, config: &Config) -> Result<Agreed, Response> {
    let bad = |why: &'static str| (StatusCode::BAD_REQUEST, why).into_response();
    let host = request.header("host").unwrap_or("");
    let mut offer = Offer::default();
    for (name, value) in request.headers() {
        offer.add(name, value).map_err(bad)?;
    }
    if !offer.upgrade || !offer.connection {
        let answer = (StatusCode::UPGRADE_REQUIRED, "this is a WebSocket").into_response();
        return Err(answer.header("Upgrade", "websocket").header("Connection", "Upgrade"));
    }
    if *request.method() != Method::GET {
        let answer = (StatusCode::METHOD_NOT_ALLOWED, "a WebSocket is opened with GET");
        return Err(answer.into_response().header("Allow", "GET"));
    }
    if request.version() != Version::HTTP_11 {
        return Err(bad("a WebSocket needs HTTP/1.1"));
    }
    if offer.has_body {
        return Err(bad("a handshake has no body"));
    }
    if offer.version != Some(b"13") {
        let answer = (StatusCode::UPGRADE_REQUIRED, "the version spoken here is 13");
        let answer = answer.into_response().header("Sec-WebSocket-Version", "13");
        return Err(answer.header("Upgrade", "websocket").header("Connection", "Upgrade"));
    }
    let key = offer.key.filter(|key| is_key(key));
    let key = key.ok_or_else(|| bad("the Sec-WebSocket-Key is not a key"))?;
    if let Some(origin) = offer.origin
        && !config.origins.allow(origin, host)
    {
        return Err((StatusCode::FORBIDDEN, "pages of other sites may not connect").into_response());
    }
    let spoken = |name: &&&str| config.protocols.iter().any(|known| known == **name);
    let protocol = offer.protocols.iter().find(spoken).map(ToString::to_string);
    let extensions = offer.extensions.join(",");
    let deflate = extension::negotiate(&extensions)
        .map_err(|()| bad("the Sec-WebSocket-Extensions are malformed"))?
        .filter(|_| config.deflate);
    Ok(Agreed { accept: accept(key), protocol, deflate })
}

/// What the headers say that matters here.
#[derive(Default)]
struct Offer<'r> {
    upgrade: bool,
    connection: bool,
    has_body: bool,
    version: Option<&'r [u8]>,
    key: Option<&'r [u8]>,
    origin: Option<&'r str>,
    protocols: Vec<&'r str>,
    extensions: Vec<&'r str>,
}

impl<'r> Offer<'r> {
    fn add(&mut self, name: &str, value: &'r [u8]) -> Result<(), &'static str> {
        let is = |other| name.eq_ignore_ascii_case(other);
        let text =
            || std::str::from_utf8(value).map_err(|_| "a header of the handshake is not text");
        if is("upgrade") {
            self.upgrade |= has_token(value, b"websocket");
        } else if is("connection") {
            self.connection |= has_token(value, b"upgrade");
        } else if is("content-length") {
            self.has_body |= value.iter().any(|&digit| digit != b'0');
        } else if is("transfer-encoding") {
            self.has_body = true;
        } else if is("sec-websocket-version") {
            if self.version.replace(value).is_some() {
                return Err("more than one Sec-WebSocket-Version");
            }
        } else if is("sec-websocket-key") {
            if self.key.replace(value).is_some() {
                return Err("more than one Sec-WebSocket-Key");
            }
        } else if is("origin") {
            if self.origin.replace(text()?).is_some() {
                return Err("more than one Origin");
            }
        } else if is("sec-websocket-protocol") {
            self.protocols.extend(text()?.split(',').map(str::trim).filter(|p| !p.is_empty()));
        } else if is("sec-websocket-extensions") {
            self.extensions.push(text()?);
        }
        Ok(())
    }
}

fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|&b| b == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

/// 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let Some((digits, b"==")) = key.split_at_checked(22) else {
        return false;
    };
    digits.iter().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(b))
}

/// Proves to the client that we speak the protocol (RFC 6455, 4.2.2).
fn accept(key: &[u8]) -> String {
    const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(MAGIC);
    base64(&hash.digest().bytes())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn base64_digits() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn keys() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ==") && is_key(b"++++++++++++++////////=="));
        for bad in
            ["", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25j!Q=="]
        {
            assert!(!is_key(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn tokens() {
        for (list, has) in [
            ("upgrade", true),
            ("keep-alive, Upgrade", true),
            ("upgraded", false),
            ("", false),
            ("keep-alive", false),
        ] {
            assert_eq!(has_token(list.as_bytes(), b"upgrade"), has, "{list}");
        }
    }
}
