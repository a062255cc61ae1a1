//! The Accept-Encoding header (RFC 9110, 12.5.3): which content codings a client takes, and which it likes best. Bytes
//! only.

#![forbid(unsafe_code)]

use super::request::Request;

/// A content coding that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    /// The best first, if the client likes all the same.
    pub(crate) const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    /// As it stands in Content-Encoding.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// What a file in this coding is called after the dot.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstd => "zst",
            Coding::Gzip => "gz",
        }
    }
}

/// How much a client wants each coding, in thousandths; 0: not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// In the order of [`Coding::ALL`].
    weights: [u16; 3],
    /// Of sending it as it is.
    identity: u16,
}

impl Accepted {
    /// What the client of this request takes.
    pub(crate) fn of(request: &Request<'_>) -> Accepted {
        let named =
            request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("accept-encoding"));
        Accepted::parse(named.map(|(_, value)| value))
    }

    /// From the values of all Accept-Encoding headers. Without one, only what needs no coding.
    pub(crate) fn parse<'v>(values: impl Iterator<Item = &'v [u8]>) -> Accepted {
        let (mut weights, mut identity, mut other) = ([None; 3], None, None);
        for item in values.flat_map(|value| value.split(|&b| b == b',')) {
            let mut parts = item.split(|&b| b == b';').map(|part| part.trim_ascii());
            let name = parts.next().unwrap_or_default();
            // A malformed weight says no: sending less than it could is never wrong.
            let weight = parts.next().map_or(Some(1000), weight).unwrap_or(0);
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            match Coding::ALL.iter().position(|coding| is(coding.name())) {
                Some(at) => weights[at] = Some(weight),
                None if is("x-gzip") => weights[2] = Some(weight),
                None if is("identity") => identity = Some(weight),
                None if is("*") => other = Some(weight),
                None => {}
            }
        }
        // What is not named is as `*` says; identity is fine unless somebody says no, but least wanted.
        let identity = identity.unwrap_or(if other == Some(0) { 0 } else { 1 });
        Accepted { weights: weights.map(|weight| weight.or(other).unwrap_or(0)), identity }
    }

    /// The best of `offered` for this client. `None`: send it as it is.
    pub(crate) fn best(&self, offered: impl Iterator<Item = Coding>) -> Option<Coding> {
        let weight = |coding: Coding| self.weights[coding as usize];
        let wanted =
            offered.filter(|&coding| weight(coding) > 0 && weight(coding) >= self.identity);
        wanted.reduce(|best, next| if weight(next) > weight(best) { next } else { best })
    }
}

/// `q=0.5`, in thousandths.
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', rest @ ..] = parameter else {
        return None;
    };
    let value = std::str::from_utf8(rest.trim_ascii().strip_prefix(b"=")?).ok()?.trim();
    let plain = value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let value: f32 = value.parse().ok().filter(|_| plain && value.len() <= 5)?;
    (value <= 1.0).then_some((value * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(value: &str) -> &'static str {
        let accepted = Accepted::parse([value.as_bytes()].into_iter());
        accepted.best(Coding::ALL.into_iter()).map_or("identity", Coding::name)
    }

    #[test]
    fn the_best_one() {
        for (value, coding) in [
            ("", "identity"),
            ("gzip", "gzip"),
            ("x-gzip", "gzip"),
            ("GZIP", "gzip"),
            ("gzip, deflate, br, zstd", "br"),
            ("gzip, zstd", "zstd"),
            ("gzip;q=1.0, br;q=0.5", "gzip"),
            ("gzip;q=0.5 , br; q=0.501", "br"),
            ("br;q=0.000, gzip;q=0.001", "gzip"),
            ("*", "br"),
            ("*, br;q=0", "zstd"),
            ("gzip, *;q=0", "gzip"),
            ("*;q=0", "identity"),
            ("br;q=0.1, *;q=0.2", "zstd"),
            ("deflate", "identity"),
            ("identity", "identity"),
            ("identity;q=1, gzip;q=0.5", "identity"),
            ("identity;q=0.5, gzip;q=0.5", "gzip"),
            ("identity;q=0, gzip;q=0.1", "gzip"),
            ("gzip;q=0", "identity"),
            ("gzip;q=2", "identity"),
            ("gzip;q=-1", "identity"),
            ("gzip;q=nan", "identity"),
            ("gzip;q=", "identity"),
            ("gzip;x=1", "identity"),
            (",, ;q=1,gzip", "gzip"),
        ] {
            assert_eq!(best(value), coding, "{value}");
        }
        let none = Accepted::parse(std::iter::empty());
        assert_eq!(none.best(Coding::ALL.into_iter()), None);
        let two = Accepted::parse([&b"gzip"[..], b"br;q=0.3"].into_iter());
        assert_eq!(two.best(Coding::ALL.into_iter()), Some(Coding::Gzip));
        assert_eq!(two.best([Coding::Brotli].into_iter()), Some(Coding::Brotli));
    }
}
