//! The PROXY protocol, versions 1 and 2: what a proxy says in front of everything else about the client that it speaks
//! for. Bytes only; who is believed is the listener's matter, and reading is `accept`'s.

#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// More than any proxy needs: addresses and a few notes, a client's certificate name among them.
pub(crate) const LONGEST: usize = 4096;
/// With its line end.
const LONGEST_LINE: usize = 107;
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED: usize = 16;

/// What a proxy announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// It speaks for a client at this address.
    At(SocketAddr),
    /// It speaks for a client on a Unix socket.
    OnUnix,
    /// It speaks for itself (to see whether we live), or does not know for whom.
    Unknown,
}

/// Somebody speaks something else.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotOne;

/// The header at the beginning of `bytes`, and its length; `None` if it is not whole: then all of the bytes are its.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Client, usize)>, NotOne> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(one, other)| one == other);
    if begins(&SIGNATURE) {
        second(bytes)
    } else if begins(b"PROXY ") {
        first(bytes)
    } else {
        Err(NotOne)
    }
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443` and a line end.
fn first(bytes: &[u8]) -> Result<Option<(Client, usize)>, NotOne> {
    let line = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = line.iter().position(|&byte| byte == b'\n') else {
        return if line.len() < LONGEST_LINE { Ok(None) } else { Err(NotOne) };
    };
    let text = line[..end].strip_suffix(b"\r").ok_or(NotOne)?;
    let text = std::str::from_utf8(text).map_err(|_| NotOne)?;
    let mut words = text.split(' ').skip(1);
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(Some((Client::Unknown, end + 1)));
    }
    let [from, to, port, to_port] = [(); 4].map(|()| words.next().unwrap_or(""));
    if words.next().is_some() {
        return Err(NotOne);
    }
    let of_family = |text: &str| {
        let addr: IpAddr = text.parse().ok()?;
        (addr.is_ipv4() == (family == Some("TCP4"))).then_some(addr)
    };
    if !matches!(family, Some("TCP4" | "TCP6")) || of_family(to).is_none() {
        return Err(NotOne);
    }
    number(to_port)?;
    let addr = SocketAddr::new(of_family(from).ok_or(NotOne)?, number(port)?);
    Ok(Some((Client::At(addr), end + 1)))
}

/// A port, without signs and leading zeros.
fn number(text: &str) -> Result<u16, NotOne> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().map_err(|_| NotOne)?;
    if plain && (text.len() == 1 || !text.starts_with('0')) { Ok(port) } else { Err(NotOne) }
}

fn second(bytes: &[u8]) -> Result<Option<(Client, usize)>, NotOne> {
    if bytes.len() < FIXED {
        return Ok(None);
    }
    let end = FIXED + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    let (version, command) = (bytes[12] >> 4, bytes[12] & 15);
    if end > LONGEST || version != 2 || command > 1 {
        return Err(NotOne);
    }
    if bytes.len() < end {
        return Ok(None);
    }
    if command == 0 {
        // For itself it may say what it likes.
        return Ok(Some((Client::Unknown, end)));
    }
    let body = &bytes[FIXED..end];
    // Family above, transport below; 1 is a stream.
    let (client, addresses) = match bytes[13] {
        0x11 => {
            let from: [u8; 4] = part(body, 0)?;
            let port = u16::from_be_bytes(part(body, 8)?);
            (Client::At(SocketAddr::from((Ipv4Addr::from(from), port))), 12)
        }
        0x21 => {
            let from: [u8; 16] = part(body, 0)?;
            let port = u16::from_be_bytes(part(body, 32)?);
            (Client::At(SocketAddr::from((Ipv6Addr::from(from), port))), 36)
        }
        0x31 => (Client::OnUnix, 216),
        // A family that is not said has addresses of an unknown length: nothing behind it can be found.
        0x00 => (Client::Unknown, body.len()),
        _ => return Err(NotOne),
    };
    check_notes(body.get(addresses..).ok_or(NotOne)?, &bytes[..end])?;
    Ok(Some((client, end)))
}

fn part<const N: usize>(body: &[u8], at: usize) -> Result<[u8; N], NotOne> {
    let bytes = body.get(at..at + N).ok_or(NotOne)?;
    bytes.try_into().map_err(|_| NotOne)
}

/// The notes behind the addresses are well formed, and if one is a checksum of the header, it is right.
fn check_notes(mut notes: &[u8], header: &[u8]) -> Result<(), NotOne> {
    const CRC32C: u8 = 3;
    while !notes.is_empty() {
        let [kind, high, low]: [u8; 3] = part(notes, 0)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let value = notes.get(3..3 + length).ok_or(NotOne)?;
        if kind == CRC32C {
            let said = u32::from_be_bytes(value.try_into().map_err(|_| NotOne)?);
            // The checksum counts as zeros itself.
            let at = header.len() - notes.len() + 3;
            let zeros = at..at + 4;
            let bytes = header.iter().enumerate();
            if said != crc32c(bytes.map(|(i, &b)| if zeros.contains(&i) { 0 } else { b })) {
                return Err(NotOne);
            }
        }
        notes = &notes[3 + length..];
    }
    Ok(())
}

/// Castagnoli's, bit by bit: a header is short.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ (POLYNOMIAL * (crc & 1)))
    })
}

#[cfg(test)]
#[path = "announced_tests.rs"]
mod tests;
