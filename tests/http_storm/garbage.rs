//! Garbage by the thousand: whatever comes, the answer is well-formed HTTP or the end of the connection.
//!
//! `SWARD_SEED=17 cargo test --test http_storm garbage` takes other garbage; what fails says its seed and its number.

use std::io::Write;
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::clients::{Latency, connect, rest};
use crate::server::{Case, Stormed};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

const VALID: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET http://h/add/1/2?x=%41&y HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"GET /add/250/9 HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nCookie: a=b; c=\"d\"\r\nX: \xc3\xa4\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world",
    b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /json HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"a\":[1,2,null]}",
    b"POST /form HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\na=b&c=%41",
    b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n\
      \x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
];

/// Bytes and lines that parsers trip over.
const ODD: &[&[u8]] = &[
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b"\x7f",
    b"\xff",
    b"%",
    b"%0",
    b"../",
    b";",
    b",",
    b"Content-Length: 1\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: x\r\n",
    b" folded\r\n",
    b"Host: other\r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\n",
    b"HTTP/1.1",
    b"99999999999999999999",
    b"ffffffffffffffff\r\n",
    b"Range: bytes=0-0,1-\r\n",
    b"Expect: x\r\n",
];

const FOREIGN: &[&[u8]] = &[
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", // a TLS ClientHello
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x05\x01\x00",
    b"EHLO there\r\n",
    b"\x1f\x8b\x08\x00",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"\r\n\r\n\r\n\r\n",
];

fn mutated(random: &mut Random) -> Vec<u8> {
    let mut bytes = random.pick(VALID).to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(12)).min(bytes.len());
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 => {
                let odd = random.pick(ODD);
                bytes.splice(at..at, odd.iter().copied());
            }
            // Where a header may stand.
            _ => {
                let line = bytes.windows(2).position(|two| two == b"\r\n").map_or(at, |n| n + 2);
                let odd = random.pick(ODD);
                bytes.splice(line..line, odd.iter().copied());
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

fn huge(random: &mut Random) -> Vec<u8> {
    let long = vec![b'a' + random.below(26) as u8; 1000 + random.below(60_000)];
    let parts: &[&[u8]] = match random.below(4) {
        0 => &[b"GET /", &long, b" HTTP/1.1\r\nHost: h\r\n\r\n"],
        1 => &[b"GET / HTTP/1.1\r\nHost: h\r\nX: ", &long, b"\r\n\r\n"],
        2 => &[&long],
        _ => &[b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;", &long],
    };
    if random.below(8) == 0 {
        let many = b"A: b\r\n".repeat(50 + random.below(300));
        return [b"GET / HTTP/1.1\r\nHost: h\r\n", &many[..], b"\r\n"].concat();
    }
    parts.concat()
}

fn input(random: &mut Random) -> Vec<u8> {
    match random.below(10) {
        0 => {
            let len = 1 + random.below(300);
            random.bytes(len)
        }
        1 => {
            let whole = random.pick(VALID);
            whole[..random.below(whole.len() + 1)].to_vec()
        }
        2 => {
            let rest = random.below(200);
            [random.pick(FOREIGN), &random.bytes(rest)].concat()
        }
        3 if random.below(5) == 0 => huge(random),
        4 => {
            [random.pick(VALID), random.pick(VALID), &mutated(random), random.pick(VALID)].concat()
        }
        5 => {
            let len = random.below(100);
            [random.pick(VALID), &random.bytes(len)].concat()
        }
        _ => mutated(random),
    }
}

/// The statuses of the responses in `bytes`, or what is wrong with them.
fn responses(input: &[u8], mut bytes: &[u8]) -> Result<Vec<u16>, String> {
    // Which of several answers is the one to HEAD, only the server knows.
    let to_head = input.windows(5).any(|five| five == b"HEAD ");
    let mut statuses = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or("half a head")?;
        let (head, after) = (&bytes[..end], &bytes[end + 4..]);
        let head = std::str::from_utf8(head).map_err(|_| "a head that is no text")?;
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or("");
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next());
        let status: u16 = status.and_then(|s| s.parse().ok()).ok_or("no status line")?;
        let (mut length, mut chunked) = (None, false);
        for line in lines {
            let (name, value) = line.split_once(": ").ok_or("a line that is no header")?;
            let token = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
            if name.is_empty() || !name.bytes().all(token) || value.contains(['\r', '\n', '\0']) {
                return Err(format!("the header {line:?}"));
            }
            if name == "Content-Length" {
                let n: usize = value.parse().map_err(|_| "the length")?;
                if length.replace(n).is_some() {
                    return Err("two lengths".into());
                }
            }
            chunked |= name == "Transfer-Encoding";
        }
        statuses.push(status);
        match (status, length) {
            (101, _) => break, // frames from here on
            (100 | 204 | 304, None) => bytes = after,
            _ if chunked => return Err("chunked, and no route here streams".into()),
            (_, None) => return Err("a body without a length".into()),
            (_, Some(_)) if to_head && (after.is_empty() || after.starts_with(b"HTTP/1.1 ")) => {
                bytes = after;
            }
            (_, Some(n)) => bytes = after.get(n..).ok_or("half a body")?,
        }
    }
    Ok(statuses)
}

/// Counts of answers by their hundreds, and of connections without one.
#[derive(Default)]
struct Seen([AtomicUsize; 6]);

fn throw(case: Case, server: std::net::SocketAddr, seed: u64, number: usize, seen: &Seen) {
    let mut random = Random(seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
    let input = input(&mut random);
    let mut stream = connect(server);
    // OK to ignore: it may have heard enough before the end.
    let _ = stream.write_all(&input);
    if random.below(8) == 0 {
        return; // gone without reading
    }
    let _ = stream.shutdown(Shutdown::Write);
    let (bytes, ended) = rest(&mut stream);
    let fault = |what: &str| -> ! {
        panic!(
            "{}, SWARD_SEED={seed}, number {number}: {what}\ninput: {}\nanswer: {}",
            case.name,
            input.escape_ascii(),
            bytes.escape_ascii()
        )
    };
    if !ended {
        fault("neither an answer nor an end");
    }
    match responses(&input, &bytes) {
        Err(what) => fault(&what),
        Ok(statuses) if statuses.contains(&500) => fault("a handler failed"),
        Ok(statuses) => {
            for status in &statuses {
                seen.0[usize::from(status / 100)].fetch_add(1, Ordering::Relaxed);
            }
            if statuses.is_empty() {
                seen.0[0].fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

pub(crate) fn garbage(case: Case) {
    let seed = std::env::var("SWARD_SEED").map_or(1, |text| text.parse().expect("a number"));
    let mut server = Stormed::start(case, |_| {});
    let calm = Latency::measure(server.addr);
    let (addr, count, seen) = (server.addr, case.many(20_000, 4000), Seen::default());
    let all = |numbers: std::ops::Range<usize>, seen: &Seen| {
        let next = AtomicUsize::new(numbers.start);
        std::thread::scope(|scope| {
            let throwing: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        loop {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            if number >= numbers.end {
                                break;
                            }
                            throw(case, addr, seed, number, seen);
                        }
                    })
                })
                .collect();
            let is_over = || throwing.iter().all(|thread| thread.is_finished());
            Latency::measure_until(addr, 100, is_over)
        })
    };
    all(0..count / 4, &seen);
    server.settle();
    let base = server.steady_memory();
    all(count / 4..count, &seen).assert_like(calm, case.name);
    let seen = seen.0.map(AtomicUsize::into_inner);
    println!("{}: {count} inputs; no answer, 1xx to 5xx: {seen:?}", case.name);
    // Neither all refused nor all let through.
    assert!(seen[0] > 0 && seen[2] > count / 10 && seen[4] > count / 10, "{seen:?}");
    server.settle_memory(base);
    server.stop();
}
