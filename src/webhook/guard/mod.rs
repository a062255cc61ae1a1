//! [`Guard`]: to which addresses webhooks may be sent. The URLs are other people's, and our network is ours.
//!
//! The address that is dialled is what counts. Names are resolved once per connection, what they resolve to is judged, and
//! what was judged is dialled: a name that changes its mind between the two has no moment for it. Redirects are not
//! followed.
//!
//! What it is not: a firewall. It does not know which global addresses are yours; [`Guard::refuse`] tells it.
//!
//! To read on: `network.rs` is prefixes, `special.rs` the list of what is not global, `url.rs` reads URLs.

#![forbid(unsafe_code)]

mod network;
mod special;
mod url;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use self::network::BadNetwork;
use self::network::Network;
pub use self::url::{Host, Target};

/// Which addresses may be dialled. By default: global unicast, and nothing else.
///
/// What is refused: loopback, private and link-local networks, carrier-grade NAT, multicast, broadcast, everything that is
/// reserved for documentation, benchmarks and protocols, and everything that no registry has given out. An IPv4 address in an
/// IPv6 one (`::ffff:10.0.0.1`) is judged as itself. Other forms that hide one, NAT64 (`64:ff9b::/96`), 6to4, Teredo, ISATAP
/// and IPv4-compatible addresses, are refused whatever they hide; where one of them is allowed, what it hides is judged too.
///
/// ```
/// use sward::webhook::Guard;
///
/// let guard = Guard::default();
/// assert!(guard.check("93.184.215.14".parse().unwrap()).is_ok());
/// assert!(guard.check("10.0.0.1".parse().unwrap()).is_err());
///
/// let guard = guard.allow("10.1.0.0/16").unwrap();
/// assert!(guard.check("10.1.2.3".parse().unwrap()).is_ok());
/// assert!(guard.check("10.2.2.3".parse().unwrap()).is_err());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Vec<Network>,
    refused: Vec<Network>,
}

/// Why a URL or an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The URL is not one to post to.
    Url(&'static str),
    /// The address is not to be dialled. (What is shown of this leaves the address out: the owner of a URL need not learn
    /// what our names resolve to.)
    Address {
        /// It.
        address: IpAddr,
        /// What it is.
        why: &'static str,
    },
}

impl Guard {
    /// Allows a network, `10.0.0.0/8`, or an address. Addresses at which clouds tell machines their credentials stay refused
    /// (169.254.169.254, `fd00:ec2::254` and their like), unless they are allowed by themselves.
    ///
    /// # Errors
    /// If it is none: the bits after the prefix must be zero.
    pub fn allow(mut self, network: &str) -> Result<Guard, BadNetwork> {
        self.allowed.push(network.parse()?);
        Ok(self)
    }

    /// Allows loopback: for tests, and for receivers on this machine.
    #[must_use]
    pub fn allow_loopback(mut self) -> Guard {
        self.allowed.extend([special::LOOPBACK_V4, special::LOOPBACK_V6]);
        self
    }

    /// Allows loopback and every private and link-local network, for tests and where nobody else chooses URLs.
    #[must_use]
    pub fn allow_all_private() -> Guard {
        let mut guard = Guard::default().allow_loopback();
        guard.allowed.extend(special::PRIVATE);
        guard
    }

    /// Refuses a network, whatever is allowed: your own global addresses, say, or your network's NAT64 prefix.
    ///
    /// # Errors
    /// As [`Guard::allow`].
    pub fn refuse(mut self, network: &str) -> Result<Guard, BadNetwork> {
        self.refused.push(network.parse()?);
        Ok(self)
    }

    /// Whether this address may be dialled.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        // ::ffff:a.b.c.d is another way to write a.b.c.d: the connection goes there.
        let address = address.to_canonical();
        let refused = |why| Err(Refused::Address { address, why });
        if self.refused.iter().any(|network| network.contains(address)) {
            return refused("refused here");
        }
        if special::is_metadata(address) {
            if self.allowed.iter().any(|network| network.is_just(address)) {
                return Ok(());
            }
            return refused("a cloud's metadata service");
        }
        if !self.allowed.iter().any(|network| network.contains(address))
            && let Some(why) = special::why_not_global(address)
        {
            return refused(why);
        }
        let IpAddr::V6(v6) = address else { return Ok(()) };
        match hidden_v4(v6).map(|hidden| self.check(hidden.into())) {
            Some(Err(Refused::Address { why, .. })) => refused(why),
            _ => Ok(()),
        }
    }

    /// Whether this is a URL to post to: `http` or `https`, no user and no fragment, a host; if the host is an address, in
    /// whatever spelling, or `localhost`, that address is checked. A name is checked when it is resolved.
    ///
    /// # Errors
    /// Why not.
    ///
    /// ```
    /// use sward::webhook::Guard;
    ///
    /// let guard = Guard::default();
    /// assert!(guard.check_url("https://example.com/hook").is_ok());
    /// for url in ["ftp://example.com/", "http://me@example.com/", "http://2130706433/", "http://localhost:8080/"] {
    ///     assert!(guard.check_url(url).is_err(), "{url}");
    /// }
    /// ```
    pub fn check_url(&self, url: &str) -> Result<Target, Refused> {
        let target = Target::parse(url).map_err(Refused::Url)?;
        match target.host() {
            Host::Address(address) => self.check(*address)?,
            // By RFC 6761 it is nothing else.
            Host::Name(name) if name == "localhost" || name.ends_with(".localhost") => {
                self.check(Ipv4Addr::LOCALHOST.into())?;
            }
            Host::Name(_) => {}
        }
        Ok(target)
    }
}

/// The IPv4 address that ends up as the destination, of forms in which it stands openly.
fn hidden_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match s {
        // Loopback and unspecified are themselves.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // IPv4-compatible, NAT64.
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(v4(high, low))
        }
        // 6to4.
        [0x2002, high, low, ..] => Some(v4(high, low)),
        // Teredo, which turns the bits around.
        [0x2001, 0, .., high, low] => Some(v4(!high, !low)),
        // ISATAP.
        [.., 0 | 0x200, 0x5efe, high, low] => Some(v4(high, low)),
        _ => None,
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Url(why) => f.write_str(why),
            Refused::Address { why, .. } => write!(f, "the address is not allowed: {why}"),
        }
    }
}

impl std::error::Error for Refused {}
