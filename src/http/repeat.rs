//! Heads that come again, byte for byte, are not parsed again. Programs that poll, proxies that check, clients on a
//! connection that they keep: what differs between their requests is in the body, if anywhere.
//!
//! Each OS thread remembers one head: that which came twice in a row. Parsing looks at nothing but the bytes and three limits,
//! so the same bytes under the same limits are the same head. A head that is new costs a comparison, which ends
//! at its first difference, and a copy.
//!
//! Heads with `Authorization`, `Proxy-Authorization` or `Cookie` are not remembered. A secret elsewhere, in a query or a header
//! of the program's own, may stay until another head comes twice, as it may in any buffer. Whether an answer took the short
//! way tells only whoever has sent all of the same bytes.
//!
//! It is no cache of answers: the handler runs each time.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::rc::Rc;

use httparse::Header;
use self_cell::self_cell;

use super::config::Config;
use super::head::{self, Head, Parsed};

/// Longer ones are not remembered.
const LONGEST: usize = 1 << 10;

self_cell! {
    /// Bytes, and what the parser found in them.
    struct Lines {
        owner: Box<[u8]>,
        #[covariant]
        dependent: Found,
    }
}

struct Found<'b> {
    headers: Box<[Header<'b>]>,
    /// All but these.
    rest: Head<'b, 'b>,
}

type Whole<'l> = Head<'l, 'l>;

self_cell! {
    /// Put together once more, so that it is there as a whole.
    pub(crate) struct Known {
        owner: Lines,
        #[covariant]
        dependent: Whole,
    }
}

/// What the parser looks at beside the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    head: usize,
    line: usize,
    headers: usize,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Limits {
        Limits { head: config.max_head, line: config.max_line, headers: config.max_headers }
    }
}

#[derive(Default)]
struct Memory {
    /// What came twice, and under which limits.
    known: Option<(Rc<Known>, Limits)>,
    /// What came last and was not known.
    last: Vec<u8>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = const { RefCell::new(Memory { known: None, last: Vec::new() }) };
}

/// The head that `bytes` begin with, if it is known.
#[inline]
pub(crate) fn known(bytes: &[u8], config: &Config) -> Option<Rc<Known>> {
    MEMORY.with_borrow(|memory| {
        let (known, limits) = memory.known.as_ref()?;
        let is_it = bytes.starts_with(known.bytes()) && *limits == Limits::from(config);
        is_it.then(|| known.clone())
    })
}

impl Known {
    /// What was parsed.
    #[inline]
    pub(crate) fn head(&self) -> &Head<'_, '_> {
        self.borrow_dependent()
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.borrow_owner().borrow_owner()
    }
}

/// `head`, which is what `bytes` are, was not known: it is from the second time on.
pub(crate) fn note(bytes: &[u8], head: &Head<'_, '_>, config: &Config) {
    if head.is_private || bytes.len() > LONGEST {
        return;
    }
    MEMORY.with_borrow_mut(|memory| {
        if memory.last != bytes {
            memory.last.clear();
            memory.last.extend_from_slice(bytes);
            return;
        }
        let known = remember(bytes, head.headers.len(), config);
        memory.known = known.map(|known| (Rc::new(known), Limits::from(config)));
    });
}

/// Parses a copy of it, which the head can stay with.
#[cold]
fn remember(bytes: &[u8], lines: usize, config: &Config) -> Option<Known> {
    let lines = Lines::try_new(bytes.into(), |bytes| {
        let mut slots = vec![MaybeUninit::uninit(); lines];
        match head::parse(bytes, &mut slots, config) {
            Ok(Parsed::Head(head)) => {
                Ok(Found { headers: head.headers.into(), rest: head.with_headers(&[]) })
            }
            _ => Err(()),
        }
    });
    Some(Known::new(lines.ok()?, |lines| {
        let Found { headers, rest } = lines.borrow_dependent();
        rest.with_headers(headers)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses as a connection does. The second value: it was known.
    fn read(bytes: &[u8], config: &Config) -> (String, bool) {
        if let Some(known) = known(bytes, config) {
            return (format!("{:?}", known.head()), true);
        }
        let mut slots = [const { MaybeUninit::uninit() }; head::SLOTS];
        match head::parse(bytes, &mut slots, config) {
            Ok(Parsed::Head(head)) => {
                note(&bytes[..head.len], &head, config);
                (format!("{head:?}"), false)
            }
            other => (format!("{other:?}"), false),
        }
    }

    fn forget() {
        MEMORY.set(Memory::default());
    }

    #[test]
    fn what_comes_again_is_what_was_parsed() {
        let config = Config::default();
        for head in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n",
            b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET http://a HTTP/1.1\r\nHost: a\r\nX: \xff\xfe\r\nX: 2\r\n\r\n",
            b"BREW /pot HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        ] {
            forget();
            let first = read(head, &config);
            assert!(!first.1 && first.0.starts_with("Head"), "{first:?}");
            assert_eq!(read(head, &config), first, "twice: from now on it is known");
            for after in [&b""[..], b"7 bytes", head] {
                assert_eq!(read(&[head, after].concat(), &config), (first.0.clone(), true));
            }
            // Whoever sends less, or something else, is not taken for it, at no byte.
            for at in 0..head.len() {
                assert!(!read(&head[..at], &config).1, "{at}");
                let mut other = head.to_vec();
                other[at] ^= 1;
                assert!(!read(&other, &config).1, "{at}");
            }
            assert!(read(head, &config).1, "what came only once has not taken its place");
        }
    }

    #[test]
    fn what_is_refused_is_refused_each_time() {
        forget();
        let config = Config::default();
        for _ in 0..4 {
            let (refused, known) = read(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", &config);
            assert!(refused.contains("Err(Refused") && !known, "{refused}");
        }
    }

    #[test]
    fn credentials_are_not_remembered() {
        let config = Config::default();
        for line in ["Authorization: Basic YTpi", "cookie: id=7", "Proxy-Authorization: x"] {
            forget();
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
            for _ in 0..4 {
                assert!(!read(head.as_bytes(), &config).1, "{line}");
            }
            assert!(MEMORY.with_borrow(|memory| memory.last.is_empty()), "{line}");
        }
    }

    #[test]
    fn long_heads_are_not_remembered() {
        forget();
        let head = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(LONGEST));
        for _ in 0..4 {
            assert!(!read(head.as_bytes(), &Config::default()).1);
        }
    }

    #[test]
    fn other_limits_judge_for_themselves() {
        forget();
        let head = b"GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
        let config = Config::default();
        for _ in 0..3 {
            read(head, &config);
        }
        assert!(read(head, &config).1);
        for strict in [
            Config { max_headers: 1, ..config.clone() },
            Config { max_head: 20, ..config.clone() },
            Config { max_line: 10, ..config.clone() },
        ] {
            let (refused, known) = read(head, &strict);
            assert!(refused.contains("Err(Refused") && !known, "{refused}");
        }
    }
}
