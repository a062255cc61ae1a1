//! Which addresses are dialled and which are not: every form, in a test each (what does not fit is named by its line).

use std::net::IpAddr;

use sward::webhook::{Guard, Host, Refused};

fn why(guard: &Guard, address: &str) -> Option<&'static str> {
    let address: IpAddr = address.parse().unwrap();
    match guard.check(address) {
        Ok(()) => None,
        Err(Refused::Address { address: shown, why }) => {
            assert_eq!(shown, address.to_canonical());
            Some(why)
        }
        Err(other) => panic!("{other}"),
    }
}

macro_rules! refused {
    ($($name:ident: $why:literal, $($address:literal)+;)*) => {
        $(
            #[test]
            fn $name() {
                for address in [$($address),+] {
                    assert_eq!(why(&Guard::default(), address), Some($why), "{address}");
                    // The same in a URL, before anybody is asked for anything.
                    let host = Host::Address(address.parse().unwrap());
                    for url in [format!("http://{host}/"), format!("https://{host}:8443/x?y")] {
                        let refused = Guard::default().check_url(&url).unwrap_err();
                        assert!(matches!(refused, Refused::Address { why: $why, .. }), "{url}");
                    }
                }
            }
        )*
    };
}

refused! {
    this_network: "this network", "0.0.0.0" "0.0.0.1" "0.255.255.255";
    private_10: "private", "10.0.0.0" "10.255.255.255";
    private_172: "private", "172.16.0.0" "172.31.255.255";
    private_192: "private", "192.168.0.0" "192.168.255.255";
    carrier_grade_nat: "carrier-grade NAT", "100.64.0.0" "100.127.255.255";
    loopback_v4: "loopback", "127.0.0.0" "127.0.0.1" "127.255.255.255";
    link_local_v4: "link-local", "169.254.0.0" "169.254.169.253" "169.254.255.255";
    protocols_v4: "for protocols", "192.0.0.0" "192.0.0.255";
    documentation_v4: "for documentation", "192.0.2.0" "192.0.2.255" "198.51.100.7" "203.0.113.7";
    relays_of_6to4: "6to4 relays", "192.88.99.0" "192.88.99.255";
    benchmarks_v4: "for benchmarks", "198.18.0.0" "198.19.255.255";
    multicast_v4: "multicast", "224.0.0.0" "239.255.255.255";
    reserved_v4: "reserved", "240.0.0.0" "255.255.255.254";
    broadcast: "broadcast", "255.255.255.255";

    unspecified_v6: "unspecified", "::";
    loopback_v6: "loopback", "::1";
    compatible: "IPv4-compatible", "::127.0.0.1" "::8.8.8.8" "::2" "::ffff:ffff";
    mapped_loopback: "loopback", "::ffff:127.0.0.1";
    mapped_private: "private", "::ffff:10.0.0.1" "::ffff:172.16.0.1" "::ffff:192.168.0.1";
    mapped_link_local: "link-local", "::ffff:169.254.1.1";
    mapped_unspecified: "this network", "::ffff:0.0.0.0";
    translated: "not given out", "::ffff:0:127.0.0.1" "::ffff:0:8.8.8.8";
    nat64: "NAT64", "64:ff9b::" "64:ff9b::127.0.0.1" "64:ff9b::8.8.8.8" "64:ff9b::255.255.255.255";
    nat64_local: "NAT64", "64:ff9b:1::" "64:ff9b:1:ffff:ffff:ffff:127.0.0.1";
    discard: "to be discarded", "100::" "100::ffff:ffff:ffff:ffff";
    teredo: "Teredo", "2001::" "2001:0:53aa:64c:0:7f:80ff:fffe" "2001:0:ffff:ffff:ffff:ffff:ffff:ffff";
    benchmarks_v6: "for benchmarks", "2001:2::" "2001:2:0:ffff::1";
    orchid: "ORCHID", "2001:10::" "2001:1f:ffff::" "2001:20::" "2001:2f:ffff::1";
    protocols_v6: "for protocols", "2001:1::1" "2001:3::1" "2001:4:112::1" "2001:1ff:ffff::";
    documentation_v6: "for documentation", "2001:db8::" "2001:db8:ffff::1" "3fff::" "3fff:fff:ffff::1";
    sixtofour: "6to4", "2002::" "2002:7f00:1::" "2002:808:808::1" "2002:ffff:ffff::";
    former_test_network: "the former test network", "3ffe::1";
    segment_routing: "segment routing", "5f00::" "5f00:ffff::1";
    unique_local: "private", "fc00::" "fdff:ffff::1";
    link_local_v6: "link-local", "fe80::" "fe80::1" "febf:ffff::1";
    site_local: "site-local", "fec0::" "feff:ffff::1";
    multicast_v6: "multicast", "ff00::" "ff02::1" "ffff::";
    isatap: "ISATAP", "2600::5efe:127.0.0.1" "2600:1:2:3:200:5efe:8.8.8.8";
    not_given_out: "not given out", "1::1" "200::1" "1fff:ffff::1" "4000::1" "8000::1" "e000::1" "fe00::1";
    metadata: "a cloud's metadata service", "169.254.169.254" "169.254.170.2" "100.100.100.200" "168.63.129.16"
        "192.0.0.192" "fd00:ec2::254" "fd20:ce::254";
}

#[test]
fn global_unicast_is_allowed() {
    for address in [
        "1.0.0.0",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "2000::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2003::1",
        "2600::5eff:127.0.0.1",
        "2606:4700::1111",
        "3ffd::1",
        "3fff:1000::1",
    ] {
        assert_eq!(why(&Guard::default(), address), None, "{address}");
    }
}

#[test]
fn spellings_of_refused_addresses_are_refused() {
    for host in [
        "2130706433",
        "0177.0.0.1",
        "017700000001",
        "0x7f.0.0.1",
        "0x7f000001",
        "0X7F.1",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "0",
        "0x0",
        "10.1",
        "0xa9.16689662",
        "[::ffff:127.0.0.1]",
        "[::FFFF:7F00:1]",
        "[0:0:0:0:0:0:0:1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "a.b.LocalHost.",
    ] {
        let refused = Guard::default().check_url(&format!("https://{host}:444/"));
        assert!(matches!(refused, Err(Refused::Address { .. })), "{host}: {refused:?}");
    }
    // No spelling at all: encoded, fullwidth, circled, with a zone, with a user before it.
    for host in [
        "%31%32%37.0.0.1",
        "127%2e0.0.1",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
        "127\u{3002}0\u{3002}0\u{3002}1",
        "\u{2460}\u{2461}\u{2466}.0.0.1",
        "[fe80::1%25eth0]",
        "example.com@127.0.0.1",
        "127.0.0.1\\@example.com",
        "127.0.0.1%00.example.com",
        "127.0.0.1 .example.com",
        "127.0.0.1\t",
        "256.0.0.1",
        "0x1ffffffff",
    ] {
        let refused = Guard::default().check_url(&format!("https://{host}/"));
        assert!(matches!(refused, Err(Refused::Url(_))), "{host}: {refused:?}");
    }
    // Names that say that they are private say nothing of the address: they are judged when they are resolved.
    for host in [
        "db.internal",
        "printer.local",
        "intranet",
        "127.0.0.1.nip.example",
        "localhost.example.com",
    ] {
        assert!(Guard::default().check_url(&format!("https://{host}/")).is_ok(), "{host}");
    }
}

#[test]
fn networks_can_be_allowed() {
    let guard = Guard::default().allow("10.1.0.0/16").unwrap().allow("fd12:3456::/32").unwrap();
    for (address, expected) in [
        ("10.1.2.3", None),
        ("::ffff:10.1.2.3", None),
        ("10.2.2.3", Some("private")),
        ("::ffff:10.2.2.3", Some("private")),
        ("fd12:3456::1", None),
        ("fd12:3457::1", Some("private")),
        ("127.0.0.1", Some("loopback")),
        ("8.8.8.8", None),
    ] {
        assert_eq!(why(&guard, address), expected, "{address}");
    }
    assert!(guard.check_url("http://0xa010203/").is_ok());

    let local = Guard::default().allow_loopback();
    assert!(local.check_url("http://localhost:8080/").is_ok());
    for (address, expected) in [("127.9.9.9", None), ("::1", None), ("10.0.0.1", Some("private"))] {
        assert_eq!(why(&local, address), expected, "{address}");
    }
    let private = Guard::allow_all_private();
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "172.20.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.1.1",
        "fd00::1",
        "fe80::1",
    ] {
        assert_eq!(why(&private, address), None, "{address}");
    }
    for address in [
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "ff02::1",
        "2001:db8::1",
        "64:ff9b::10.0.0.1",
    ] {
        assert!(why(&private, address).is_some(), "{address}");
    }
}

#[test]
fn an_allowed_form_does_not_hide_what_is_in_it() {
    let guard = Guard::default().allow("::/0").unwrap();
    for (address, expected) in [
        ("64:ff9b::8.8.8.8", None),
        ("64:ff9b::127.0.0.1", Some("loopback")),
        ("64:ff9b::169.254.169.254", Some("a cloud's metadata service")),
        ("2002:808:808::1", None),
        ("2002:a00:1::1", Some("private")),
        ("::10.0.0.1", Some("private")),
        ("2001:0:1:2:3:4:f5ff:fffe", Some("private")), // 10.0.0.1, inverted
        ("2600::5efe:10.0.0.1", Some("private")),
        ("::ffff:10.0.0.1", Some("private")),
        ("::1", None),
        ("fd00::1", None),
    ] {
        assert_eq!(why(&guard, address), expected, "{address}");
    }
}

#[test]
fn metadata_is_allowed_by_name_only() {
    let wide = Guard::allow_all_private().allow("0.0.0.0/0").unwrap().allow("::/0").unwrap();
    for address in [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
    ] {
        assert_eq!(why(&wide, address), Some("a cloud's metadata service"), "{address}");
    }
    let named =
        Guard::default().allow("169.254.169.254").unwrap().allow("fd00:ec2::254/128").unwrap();
    assert_eq!(why(&named, "169.254.169.254"), None);
    assert_eq!(why(&named, "fd00:ec2::254"), None);
    assert_eq!(why(&named, "169.254.169.253"), Some("link-local"));
}

#[test]
fn what_is_refused_here_stays_refused() {
    let guard = Guard::default().refuse("8.8.8.0/24").unwrap().allow("8.8.8.8").unwrap();
    assert_eq!(why(&guard, "8.8.8.8"), Some("refused here"));
    assert_eq!(why(&guard, "::ffff:8.8.8.8"), Some("refused here"));
    assert_eq!(why(&guard, "8.8.9.8"), None);
    // Also inside of what is allowed.
    let guard = guard.allow("64:ff9b::/96").unwrap();
    assert_eq!(why(&guard, "64:ff9b::8.8.8.8"), Some("refused here"));
}

#[test]
fn what_is_no_network_is_said() {
    let error = Guard::default().allow("10.0.0.1/8").unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"10.0.0.1/8\" is neither a network, such as 10.0.0.0/8, nor an address"
    );
}

#[test]
fn the_reason_leaves_the_address_out() {
    let refused = Guard::default().check("10.1.2.3".parse().unwrap()).unwrap_err();
    assert_eq!(refused.to_string(), "the address is not allowed: private");
}

/// What the system's resolver makes of `host` without asking anybody: an address, if it reads one.
fn read_by_the_system(host: &str) -> Option<IpAddr> {
    let host = std::ffi::CString::new(host).unwrap();
    // SAFETY: all zeros are hints.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_flags = libc::AI_NUMERICHOST;
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut found = std::ptr::null_mut();
    // SAFETY: the strings end with a zero, and `found` is written on success.
    let code = unsafe { libc::getaddrinfo(host.as_ptr(), std::ptr::null(), &hints, &mut found) };
    if code != 0 {
        return None;
    }
    // SAFETY: it succeeded, so there is one.
    let first = unsafe { &*found };
    let (family, addr) = (first.ai_family, first.ai_addr);
    let address = if family == libc::AF_INET {
        // SAFETY: the family says what it is.
        let addr = unsafe { addr.cast::<libc::sockaddr_in>().read_unaligned() };
        IpAddr::from(addr.sin_addr.s_addr.to_ne_bytes())
    } else {
        // SAFETY: as above.
        let addr = unsafe { addr.cast::<libc::sockaddr_in6>().read_unaligned() };
        IpAddr::from(addr.sin6_addr.s6_addr)
    };
    // SAFETY: it is ours to free, once.
    unsafe { libc::freeaddrinfo(found) };
    Some(address)
}

/// No spelling that the system reads as an address passes as a name, and none is read as another address.
#[test]
fn the_system_reads_no_other_address_than_we_do() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let pieces = [
        "0",
        "1",
        "7",
        "8",
        "127",
        "255",
        "256",
        "0177",
        "0x7f",
        "0X7F",
        "0x",
        "00",
        "010",
        "4294967295",
        "4294967296",
        "65535",
        "16777215",
        "a",
        "f",
        "x",
        ".",
        ".",
        ".",
        ".",
        "..",
        "-",
        "_",
    ];
    let (mut addresses, mut names) = (0, 0);
    for _ in 0..50_000 {
        let host: String = (0..=next(8)).map(|_| pieces[next(pieces.len())]).collect();
        let theirs = read_by_the_system(&host);
        let ours = match Guard::default().check_url(&format!("http://{host}/")) {
            Ok(target) => match target.host() {
                Host::Address(address) => Some(*address),
                Host::Name(_) => {
                    names += 1;
                    None
                }
            },
            Err(Refused::Address { address, .. }) => Some(address),
            // Nobody asks the system for it.
            Err(_) => continue,
        };
        addresses += usize::from(ours.is_some());
        // More is an address to us than to the system: a dot at the end, `0x`.
        assert!(theirs.is_none_or(|theirs| ours == Some(theirs)), "{host}: {ours:?}, {theirs:?}");
    }
    assert!(addresses > 1_000 && names > 1_000, "{addresses} {names}");
}
