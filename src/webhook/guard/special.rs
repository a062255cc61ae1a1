//! What is not global unicast: the registries of special-purpose addresses (RFC 6890 and its successors), by name.

#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::network::Network;

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u32) -> Network {
    Network::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits)
}

/// By its first four groups.
const fn v6(a: u16, b: u16, c: u16, d: u16, bits: u32) -> Network {
    Network::new(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)), bits)
}

pub(super) const LOOPBACK_V4: Network = v4(127, 0, 0, 0, 8);
pub(super) const LOOPBACK_V6: Network = Network::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 128);

/// Networks of one's own, beside loopback.
pub(super) const PRIVATE: [Network; 7] = [
    v4(10, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 168, 0, 0, 16),
    v4(100, 64, 0, 0, 10),
    v4(169, 254, 0, 0, 16),
    v6(0xfc00, 0, 0, 0, 7),
    v6(0xfe80, 0, 0, 0, 10),
];

/// Everything else in IPv4 is somebody's.
const SPECIAL_V4: [(Network, &str); 16] = [
    (v4(0, 0, 0, 0, 8), "this network"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "carrier-grade NAT"),
    (LOOPBACK_V4, "loopback"),
    (v4(169, 254, 0, 0, 16), "link-local"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "for protocols"),
    (v4(192, 0, 2, 0, 24), "for documentation"),
    (v4(192, 88, 99, 0, 24), "6to4 relays"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(198, 18, 0, 0, 15), "for benchmarks"),
    (v4(198, 51, 100, 0, 24), "for documentation"),
    (v4(203, 0, 113, 0, 24), "for documentation"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(255, 255, 255, 255, 32), "broadcast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
];

/// In IPv6 only 2000::/3 is given out, with exceptions; the others are here for their names. The first that fits counts.
const SPECIAL_V6: [(Network, &str); 21] = [
    (Network::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 128), "unspecified"),
    (LOOPBACK_V6, "loopback"),
    (v6(0, 0, 0, 0, 96), "IPv4-compatible"),
    (v6(0x64, 0xff9b, 0, 0, 96), "NAT64"),
    (v6(0x64, 0xff9b, 1, 0, 48), "NAT64"),
    (v6(0x100, 0, 0, 0, 64), "to be discarded"),
    (v6(0x2001, 0, 0, 0, 32), "Teredo"),
    (v6(0x2001, 2, 0, 0, 48), "for benchmarks"),
    (v6(0x2001, 0x10, 0, 0, 28), "ORCHID"),
    (v6(0x2001, 0x20, 0, 0, 28), "ORCHID"),
    (v6(0x2001, 0, 0, 0, 23), "for protocols"),
    (v6(0x2001, 0xdb8, 0, 0, 32), "for documentation"),
    (v6(0x2002, 0, 0, 0, 16), "6to4"),
    (v6(0x3ffe, 0, 0, 0, 16), "the former test network"),
    (v6(0x3fff, 0, 0, 0, 20), "for documentation"),
    (v6(0x5f00, 0, 0, 0, 16), "segment routing"),
    (v6(0xfc00, 0, 0, 0, 7), "private"),
    (v6(0xfe80, 0, 0, 0, 10), "link-local"),
    (v6(0xfec0, 0, 0, 0, 10), "site-local"),
    (v6(0xff00, 0, 0, 0, 8), "multicast"),
    (v6(0x4000, 0, 0, 0, 2), "not given out"),
];

const GIVEN_OUT: Network = v6(0x2000, 0, 0, 0, 3);

/// Where a machine in a cloud asks for its credentials: AWS, and what has taken its address (GCP, Azure, ...); its
/// containers; Alibaba; Oracle; Azure's host; GCP.
const METADATA: [IpAddr; 9] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

pub(super) fn is_metadata(address: IpAddr) -> bool {
    METADATA.contains(&address)
}

/// What this address is, if it is not global unicast.
pub(super) fn why_not_global(address: IpAddr) -> Option<&'static str> {
    let list: &[_] = if address.is_ipv4() { &SPECIAL_V4 } else { &SPECIAL_V6 };
    if let Some((_, why)) = list.iter().find(|(network, _)| network.contains(address)) {
        return Some(why);
    }
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(_) if !GIVEN_OUT.contains(address) => Some("not given out"),
        // The interface's half of an ISATAP address, in whatever network.
        IpAddr::V6(v6) => {
            matches!(v6.segments(), [.., 0 | 0x200, 0x5efe, _, _]).then_some("ISATAP")
        }
    }
}
