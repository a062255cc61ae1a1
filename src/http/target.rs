//! The request target and its host: text in, borrowed parts out. `head.rs` asks; what a path means is the router's
//! business.

#![forbid(unsafe_code)]

use http::{Method, StatusCode};

use super::head::{Refused, bad, refuse};
use super::token::letters_digits_and;

/// `host [":" port]` (RFC 3986, 3.2; user names are not for requests). An empty one too, as in `Host:`.
pub(crate) fn is_authority(value: &[u8]) -> bool {
    // Every request has a Host, and most names end the loop here or at a port.
    let Some(at) = value.iter().position(|&b| !is_name_byte(b)) else {
        return true;
    };
    let port = match value[at] {
        b':' => &value[at..],
        b'[' if at == 0 => {
            let Some(end) = value.iter().position(|&b| b == b']') else {
                return false;
            };
            let is_inside = |&b: &u8| b.is_ascii_hexdigit() || b == b':' || b == b'.';
            if end < 3 || !value[1..end].iter().all(is_inside) {
                return false;
            }
            &value[end + 1..]
        }
        _ => return false,
    };
    match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Whether a byte may stand in the name of a host. A table, since every request has a Host.
fn is_name_byte(b: u8) -> bool {
    // No comma, though names may have one: that would be two hosts to somebody.
    const TABLE: [bool; 256] = letters_digits_and(b"-._~%!$&'()*+;=");
    TABLE[usize::from(b)]
}

/// The parts of a request target (RFC 9112, 3.2).
pub(crate) struct Target<'b> {
    /// Still encoded; `*` for `OPTIONS *`.
    pub(crate) path: &'b str,
    /// What follows the `?`.
    pub(crate) query: Option<&'b str>,
    /// Of the absolute form only.
    pub(crate) host: Option<Authority<'b>>,
}

/// The host of an absolute target.
pub(crate) struct Authority<'b> {
    name: &'b str,
    /// What a client may leave away in the Host, or in the target.
    default_port: &'static str,
}

impl Authority<'_> {
    /// Whether the Host says the same: two servers in a row must not serve different sites for one request.
    pub(crate) fn is(&self, header: &[u8]) -> bool {
        let port = self.default_port.as_bytes();
        let name = self.name.as_bytes();
        let name = name.strip_suffix(port).unwrap_or(name);
        name.eq_ignore_ascii_case(header.strip_suffix(port).unwrap_or(header))
    }
}

impl<'b> Target<'b> {
    pub(crate) fn parse(method: &Method, target: &'b str) -> Result<Target<'b>, Refused> {
        if *method == Method::CONNECT {
            return Err(refuse(StatusCode::NOT_IMPLEMENTED, "this is not a proxy"));
        }
        if target.starts_with('/') {
            return Target::origin(target, None);
        }
        if target == "*" && *method == Method::OPTIONS {
            return Ok(Target { path: target, query: None, host: None });
        }
        // The absolute form, as sent to proxies; a server must accept it too.
        let (rest, default_port) = [("http://", ":80"), ("https://", ":443")]
            .iter()
            .find_map(|&(scheme, port)| {
                let (start, rest) = target.split_at_checked(scheme.len())?;
                start.eq_ignore_ascii_case(scheme).then_some((rest, port))
            })
            .ok_or(bad("the request target is not a path"))?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (name, origin) = rest.split_at(end);
        if name.is_empty() || name.starts_with(':') || !is_authority(name.as_bytes()) {
            return Err(bad("the request target has no host"));
        }
        Target::origin(origin, Some(Authority { name, default_port }))
    }

    /// A path and perhaps a query. An absolute target may lack the path.
    fn origin(origin: &'b str, host: Option<Authority<'b>>) -> Result<Target<'b>, Refused> {
        // By a table, as this runs for every byte of every path.
        const ENDS: [bool; 256] = {
            let mut table = [false; 256];
            table[b'?' as usize] = true;
            table[b'#' as usize] = true;
            table
        };
        let (path, query) = match origin.bytes().position(|b| ENDS[usize::from(b)]) {
            None => (origin, None),
            Some(at) if !origin[at..].contains('#') => (&origin[..at], Some(&origin[at + 1..])),
            Some(_) => return Err(bad("a fragment in the request target")),
        };
        Ok(Target { path: if path.is_empty() { "/" } else { path }, query, host })
    }
}
