//! Chunked bodies: cut anywhere they are the same body, and it is the one that a plain reading of RFC 9112, 7.1 finds.

use sward::http::fuzzing::{self, Chunked};

pub fn check(bytes: &[u8]) {
    let whole = fuzzing::chunked(&[bytes]);
    crate::cut_up(bytes, |pieces| assert_eq!(fuzzing::chunked(pieces), whole, "in pieces"));
    match (&whole, plain(bytes)) {
        (Some(found), Some((data, rest))) => {
            assert!(found.done, "a whole body is not done");
            assert_eq!((found.data.as_slice(), found.rest.as_slice()), (data.as_slice(), rest));
        }
        (Some(found), None) => assert!(!found.done, "accepted, though malformed or cut off"),
        // Too much of what is dropped.
        (None, Some(_)) => assert!(bytes.len() > 8 << 10, "a good body was refused"),
        (None, None) => {}
    }
    // Any bytes, sent and received again.
    crate::cut_up(bytes, |chunks| {
        let body = fuzzing::to_chunked(chunks);
        let expected = Chunked { data: bytes.to_vec(), rest: b"next".to_vec(), done: true };
        assert_eq!(fuzzing::chunked(&[&body, b"next"]), Some(expected));
    });
}

/// The data of a whole body, and what follows it.
fn plain(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (mut data, mut rest) = (Vec::new(), bytes);
    loop {
        let (line, after) = line(rest)?;
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        if digits == 0 || digits > 15 {
            return None;
        }
        if !are_extensions(&line[digits..]) {
            return None;
        }
        let size = std::str::from_utf8(&line[..digits]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            rest = after;
            break;
        }
        let chunk = after.get(..size)?;
        data.extend_from_slice(chunk);
        rest = after[size..].strip_prefix(b"\r\n")?;
    }
    loop {
        let (trailer, after) = line(rest)?;
        rest = after;
        if trailer.is_empty() {
            return Some((data, rest));
        }
        let colon = trailer.iter().position(|&b| b == b':')?;
        if !std::str::from_utf8(&trailer[..colon]).is_ok_and(crate::is_token) {
            return None;
        }
    }
}

/// A line of printable bytes, and what follows its CR LF.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let line = &bytes[..end];
    let printable = line.iter().all(|&b| b == b'\t' || !b.is_ascii_control());
    printable.then_some((line, &bytes[end + 2..]))
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`, one step after the other.
fn are_extensions(line: &[u8]) -> bool {
    let mut rest = line;
    while !rest.is_empty() {
        let Some(after) = blanks(rest).strip_prefix(b";") else { return false };
        let Some(after) = token(blanks(after)) else { return false };
        rest = after;
        if let Some(value) = blanks(rest).strip_prefix(b"=") {
            let value = blanks(value);
            let after = match value.strip_prefix(b"\"") {
                Some(quoted) => unquoted(quoted),
                None => token(value),
            };
            let Some(after) = after else { return false };
            rest = after;
        }
    }
    true
}

fn blanks(bytes: &[u8]) -> &[u8] {
    let count = bytes.iter().take_while(|&&b| b == b' ' || b == b'\t').count();
    &bytes[count..]
}

/// What follows a token.
fn token(bytes: &[u8]) -> Option<&[u8]> {
    let is_token = |b: &&u8| crate::is_token(&char::from(**b).to_string()) && b.is_ascii();
    let count = bytes.iter().take_while(is_token).count();
    (count > 0).then(|| &bytes[count..])
}

/// What follows the closing quote.
fn unquoted(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', _, after @ ..] => after,
            [_, after @ ..] => after,
            [] => return None,
        };
    }
}
