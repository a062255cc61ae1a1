//! [`Network`]: a prefix of addresses, `10.0.0.0/8`.

#![forbid(unsafe_code)]

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The addresses that begin with the first `bits` bits of `base`. Those of IPv4 and of IPv6 are never in each other's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    base: IpAddr,
    bits: u32,
}

/// A text is not a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadNetwork(String);

impl Network {
    pub(super) const fn new(base: IpAddr, bits: u32) -> Network {
        Network { base, bits }
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                (base.to_bits() ^ address.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                (base.to_bits() ^ address.to_bits()).leading_zeros() >= self.bits
            }
            _ => false,
        }
    }

    /// Whether it is this one address.
    pub(super) fn is_just(&self, address: IpAddr) -> bool {
        self.bits == width(address) && self.base == address
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Network, BadNetwork> {
        let bad = || BadNetwork(text.to_owned());
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| bad())?;
        let bits = match bits {
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().map_err(|_| bad())?
            }
            Some(_) => return Err(bad()),
            None => width(base),
        };
        let rest = match base {
            IpAddr::V4(base) => u128::from(base.to_bits().checked_shl(bits).unwrap_or(0)),
            IpAddr::V6(base) => base.to_bits().checked_shl(bits).unwrap_or(0),
        };
        if bits > width(base) || rest != 0 {
            return Err(bad());
        }
        // What is checked is never of this form: it would allow nothing.
        if base.to_canonical() != base {
            return Err(bad());
        }
        Ok(Network { base, bits })
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl fmt::Display for BadNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is neither a network, such as 10.0.0.0/8, nor an address", self.0)
    }
}

impl std::error::Error for BadNetwork {}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Network;

    #[test]
    fn prefixes_contain_what_begins_with_them() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("172.16.0.0/12", "172.31.0.1", "172.32.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "255.255.255.255", "::"),
            ("fc00::/7", "fdff::1", "fe00::"),
            ("::1", "::1", "::"),
            ("::/0", "ffff::", "0.0.0.0"),
        ] {
            let (network, text): (Network, _) = (network.parse().unwrap(), network);
            let contains = |address: &str| network.contains(address.parse::<IpAddr>().unwrap());
            assert!(contains(inside) && !contains(outside), "{text}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "::/129",
            "1::/8",
            "::ffff:10.0.0.0/104",
            "example.com",
            "010.0.0.0/8",
            "10.0.0.0/99999999999",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
