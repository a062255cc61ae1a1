//! The PROXY protocol's headers: good ones, bad ones, all of them cut at every byte, and garbage.

#![forbid(unsafe_code)]

use super::*;

/// A header of version 2.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([0x20 | command, family]);
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

const V4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0xDC, 0x04, 1, 187];

fn at(text: &str) -> Client {
    Client::At(text.parse().unwrap())
}

fn good() -> Vec<(Vec<u8>, Client)> {
    let mut v6 = [0; 36];
    v6[..16].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
    v6[32..34].copy_from_slice(&80u16.to_be_bytes());
    let mut noted = V4.to_vec();
    noted.extend([4, 0, 3, 1, 2, 3, 0xEA, 0, 0]);
    let mut summed = V4.to_vec();
    summed.extend([3, 0, 4, 0, 0, 0, 0, 4, 0, 0]);
    let mut sum = v2(1, 0x11, &summed);
    let crc = crc32c(sum.iter().copied());
    sum[31..35].copy_from_slice(&crc.to_be_bytes());
    let one = "192.0.2.1:56324";
    vec![
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n".to_vec(), at(one)),
        (b"PROXY TCP6 2001:db8::1 ::1 80 443\r\n".to_vec(), at("[2001:db8::1]:80")),
        (b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n".to_vec(), at("255.255.255.255:65535")),
        (b"PROXY UNKNOWN\r\n".to_vec(), Client::Unknown),
        (b"PROXY UNKNOWN ffff:: what ever\r\n".to_vec(), Client::Unknown),
        (v2(1, 0x11, &V4), at(one)),
        (v2(1, 0x11, &noted), at(one)),
        (sum, at(one)),
        (v2(1, 0x21, &v6), at("[2001:db8::1]:80")),
        (v2(1, 0x31, &[0; 216]), Client::OnUnix),
        (v2(1, 0x00, b"anything"), Client::Unknown),
        (v2(0, 0x00, b""), Client::Unknown),
        (v2(0, 0x11, &V4), Client::Unknown),
        (v2(0, 0x11, b"short"), Client::Unknown),
        (v2(0, 0x77, b"for itself"), Client::Unknown),
    ]
}

#[test]
fn good_ones_cut_at_every_byte() {
    for (bytes, client) in good() {
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut} of {:?}", bytes.escape_ascii());
        }
        let whole = Ok(Some((client, bytes.len())));
        assert_eq!(parse(&bytes), whole, "{:?}", bytes.escape_ascii());
        let mut more = bytes.clone();
        more.extend(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(parse(&more), whole, "what follows is not its");
    }
}

#[test]
fn bad_ones() {
    let lines = [
        "GET / HTTP/1.1\r\n",
        "proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n",
        "PROXY TCP4 01.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY TCP4 ::1 ::1 1 1\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "\r\n\r\n\0\r\nquit\n",
    ];
    for line in lines {
        assert_eq!(parse(line.as_bytes()), Err(NotOne), "{line:?}");
    }
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE));
    assert_eq!(parse(long.as_bytes()), Err(NotOne));
    assert_eq!(parse(&long.as_bytes()[..LONGEST_LINE]), Err(NotOne), "no line end in time");

    let mut wrong_version = v2(1, 0x11, &V4);
    wrong_version[12] = 0x11;
    let mut wrong_sum = V4.to_vec();
    wrong_sum.extend([3, 0, 4, 1, 2, 3, 4]);
    let mut short_sum = V4.to_vec();
    short_sum.extend([3, 0, 2, 1, 2]);
    let mut cut_note = V4.to_vec();
    cut_note.extend([4, 0, 9, 1]);
    let mut cut_kind = V4.to_vec();
    cut_kind.push(4);
    for bytes in [
        wrong_version,
        v2(2, 0x11, &V4),
        v2(1, 0x12, &V4),
        v2(1, 0x41, &V4),
        v2(1, 0x11, &V4[..11]),
        v2(1, 0x21, &V4),
        v2(1, 0x31, &V4),
        v2(1, 0x11, &wrong_sum),
        v2(1, 0x11, &short_sum),
        v2(1, 0x11, &cut_note),
        v2(1, 0x11, &cut_kind),
        v2(1, 0x00, &[0; LONGEST]),
    ] {
        assert_eq!(parse(&bytes), Err(NotOne), "{:?}", bytes.escape_ascii());
    }
}

#[test]
fn the_checksum_is_castagnolis() {
    assert_eq!(crc32c(b"123456789".iter().copied()), 0xE306_9283);
}

/// Good headers with bytes changed: no panic, and never longer than what is there.
#[test]
fn garbage() {
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 33) as usize % below
    };
    let good = good();
    for _ in 0..50_000 {
        let mut bytes = good[random(good.len())].0.clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes.insert(at, random(256) as u8),
                _ => bytes[at] = random(256) as u8,
            }
        }
        if let Ok(Some((_, length))) = parse(&bytes) {
            assert!(length <= bytes.len() && length <= LONGEST);
            assert_eq!(
                parse(&bytes[..length - 1]),
                Ok(None),
                "all before its end is its beginning"
            );
        }
    }
}
