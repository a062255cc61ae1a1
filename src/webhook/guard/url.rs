//! [`Target`]: the parts of a URL to post to. Strict: what two readers might read differently is refused.

#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::uri::PathAndQuery;

/// The longest URL, in bytes.
const LONGEST: usize = 2048;

/// The parts of a URL to post to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    https: bool,
    host: Host,
    port: u16,
    path: String,
}

/// The host of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name, in lower case, without a dot at its end.
    Name(String),
    /// An address, however it was spelled.
    Address(IpAddr),
}

impl Target {
    /// The parts of `url`; else what is wrong with it.
    pub(super) fn parse(url: &str) -> Result<Target, &'static str> {
        if url.len() > LONGEST {
            return Err("the URL is longer than 2048 bytes");
        }
        // A backslash is a slash to browsers. Whatever else is not graphic ASCII is to be percent-encoded, in a host by
        // Punycode: then nobody has to guess what it becomes.
        if !url.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err("the URL has characters that must be encoded");
        }
        let (scheme, rest) = url.split_once("://").ok_or("the URL has no scheme")?;
        let https = match &*scheme.to_ascii_lowercase() {
            "http" => false,
            "https" => true,
            _ => return Err("the URL is neither http nor https"),
        };
        if rest.contains('#') {
            return Err("the URL has a fragment");
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("the URL has a user in it");
        }
        let (host, port) = split_port(authority)?;
        let port = port.unwrap_or(if https { 443 } else { 80 });
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if path.parse::<PathAndQuery>().is_err() {
            return Err("the URL's path has characters that must be encoded");
        }
        Ok(Target { https, host: Host::parse(host)?, port, path })
    }

    /// Whether it is `https`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, 80 or 443 if none is given.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path with its query. Begins with a slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// As the `Host` header has it, without the port that goes without saying.
impl Target {
    pub(crate) fn authority(&self) -> String {
        match self.port {
            80 if !self.https => self.host.to_string(),
            443 if self.https => self.host.to_string(),
            port => format!("{}:{port}", self.host),
        }
    }
}

/// An IPv6 address stands in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => address.fmt(f),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Host and port.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => 2 + rest.find(']').ok_or("the host has no closing bracket")?,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(end);
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        Some(digits) if digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0).ok_or("the port is none")?)
        }
        _ => return Err("the port is none"),
    };
    Ok((host, port))
}

impl Host {
    fn parse(host: &str) -> Result<Host, &'static str> {
        const NEITHER: &str = "the host is neither a name nor an address";
        if let Some(inside) = host.strip_prefix('[') {
            let address: Ipv6Addr =
                inside.strip_suffix(']').and_then(|text| text.parse().ok()).ok_or(NEITHER)?;
            return Ok(Host::Address(address.to_canonical()));
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if host.is_empty() {
            return Err("the URL has no host");
        }
        let fine = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if host.len() > 253 || !host.split('.').all(fine) {
            return Err(NEITHER);
        }
        // No name ends with a number, by the rules of URLs; the system's resolver reads one that does as an address.
        let last = host.rsplit('.').next().unwrap_or("");
        let hex = last.strip_prefix("0x").map(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        if hex.unwrap_or_else(|| last.bytes().all(|b| b.is_ascii_digit())) {
            return ipv4(&host).map(|address| Host::Address(address.into())).ok_or(NEITHER);
        }
        Ok(Host::Name(host))
    }
}

/// An IPv4 address as C has always read it: one to four numbers, decimal, octal or hexadecimal, the last of which fills
/// what is left.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let numbers = text.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (&last, first) = numbers.split_last()?;
    let left = 4usize.checked_sub(first.len()).filter(|left| *left > 0)?;
    if left < 4 && last >> (8 * left) != 0 {
        return None;
    }
    let mut bits = last;
    for (at, &number) in first.iter().enumerate() {
        bits |= u32::from(u8::try_from(number).ok()?) << (24 - 8 * at);
    }
    Some(Ipv4Addr::from(bits))
}

fn number(text: &str) -> Option<u32> {
    let digits = |text: &str, radix| {
        // `from_str_radix` would take a plus sign.
        text.chars().all(|c| c.is_digit(radix)).then(|| u32::from_str_radix(text, radix).ok())?
    };
    match text.strip_prefix("0x") {
        Some("") => Some(0),
        Some(hex) => digits(hex, 16),
        None if text.len() > 1 && text.starts_with('0') => digits(text, 8),
        None => digits(text, 10),
    }
}

#[cfg(test)]
mod tests {
    use super::{Host, Target};

    #[test]
    fn parts() {
        for (url, https, host, port, path, authority) in [
            ("http://example.com", false, "example.com", 80, "/", "example.com"),
            (
                "HTTPS://Example.COM.:8443/a/b?c=d",
                true,
                "example.com",
                8443,
                "/a/b?c=d",
                "example.com:8443",
            ),
            ("https://example.com?x", true, "example.com", 443, "/?x", "example.com"),
            ("https://example.com:443/", true, "example.com", 443, "/", "example.com"),
            ("http://example.com:443/", false, "example.com", 443, "/", "example.com:443"),
            (
                "http://[2606:4700::1111]:81/",
                false,
                "[2606:4700::1111]",
                81,
                "/",
                "[2606:4700::1111]:81",
            ),
            (
                "http://a_b.xn--bcher-kva.example/@:",
                false,
                "a_b.xn--bcher-kva.example",
                80,
                "/@:",
                "a_b.xn--bcher-kva.example",
            ),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!(target.is_https(), https, "{url}");
            assert_eq!(target.host().to_string(), host, "{url}");
            assert_eq!((target.port(), target.path()), (port, path), "{url}");
            assert_eq!(target.authority(), authority, "{url}");
        }
    }

    #[test]
    fn spellings_of_addresses() {
        for (host, address) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("127.0.1", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("0177.0.0.1", "127.0.0.1"),
            ("0x7f.0.0.1", "127.0.0.1"),
            ("0X7F000001", "127.0.0.1"),
            ("017700000001", "127.0.0.1"),
            ("0", "0.0.0.0"),
            ("0x", "0.0.0.0"),
            ("10.65535", "10.0.255.255"),
            ("[::ffff:127.0.0.1]", "127.0.0.1"),
            ("[::ffff:7f00:1]", "127.0.0.1"),
            ("[::1]", "::1"),
        ] {
            let target = Target::parse(&format!("http://{host}/")).unwrap();
            assert_eq!(*target.host(), Host::Address(address.parse().unwrap()), "{host}");
        }
    }

    #[test]
    fn what_is_no_url_to_post_to_is_refused() {
        for url in [
            "",
            "example.com",
            "//example.com/",
            "http:/example.com/",
            "http:example.com",
            "ftp://example.com/",
            "file:///etc/passwd",
            "http:///path",
            "http://",
            "http://:80/",
            "http://.",
            "http://a..b/",
            "http://user@example.com/",
            "http://user:password@example.com/",
            "http://example.com#@127.0.0.1/",
            "http://example.com/#fragment",
            "http://example.com\\@127.0.0.1/",
            "http://exam ple.com/",
            "http://example.com/a b",
            "http://example.com/\r\nhost: other",
            "http://example.com/\0",
            "http://%31%32%37.0.0.1/",
            "http://127.0.0.1%00.example.com/",
            "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
            "http://\u{2460}.example/",
            "http://b\u{fc}cher.example/",
            "http://example.com:0/",
            "http://example.com:65536/",
            "http://example.com:+80/",
            "http://example.com:/",
            "http://example.com:80:80/",
            "http://::1/",
            "http://[::1/",
            "http://[::1]x/",
            "http://[fe80::1%25eth0]/",
            "http://[127.0.0.1]/",
            "http://256.1.1.1/",
            "http://1.2.3.4.5/",
            "http://127.0.0.256/",
            "http://127.0x100.1/",
            "http://4294967296/",
            "http://08.1.1.1/",
            "http://example.0x7f/",
            "http://example.1/",
            &format!("http://{}.example/", "a".repeat(64)),
            &format!("http://example.com/{}", "a".repeat(2048)),
        ] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
