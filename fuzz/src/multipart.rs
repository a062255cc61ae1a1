//! Forms with files, whose boundary is `ab`: cut anywhere they have the same parts, limits hold, and the parts make a form
//! that has just them.

use std::io::Read;

use sward::http::fuzzing::{self, Part};

const MAX_PARTS: usize = 6;
const MAX_PART: u64 = 500;

pub fn check(bytes: &[u8]) {
    let whole = read(&[bytes]);
    crate::cut_up(bytes, |pieces| assert_eq!(read(pieces), whole, "in pieces"));
    let parts = match whole {
        Ok(parts) => parts,
        Err(status) => return assert!([400, 413].contains(&status), "{status}"),
    };
    assert!(parts.len() <= MAX_PARTS);
    let mut form = Vec::new();
    for part in &parts {
        assert!(part.data.len() as u64 <= MAX_PART, "the limit does not hold");
        assert!(!contains(&part.data, b"\r\n--ab"), "a boundary is taken for data");
        write(&mut form, part);
    }
    form.extend_from_slice(b"--ab--\r\n");
    assert_eq!(read(&[&form]), Ok(parts), "sent again");
}

fn read(pieces: &[&[u8]]) -> Result<Vec<Part>, u16> {
    fuzzing::multipart(&mut Pieces(pieces), "ab", MAX_PARTS, MAX_PART)
}

/// Gives at most a piece at a time.
struct Pieces<'p>(&'p [&'p [u8]]);

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        // A piece that does not fit is not needed: the inputs are far shorter than any buffer.
        let Some((piece, rest)) = self.0.split_first() else { return Ok(0) };
        buf[..piece.len()].copy_from_slice(piece);
        self.0 = rest;
        // An empty piece would be the end.
        if piece.is_empty() { self.read(buf) } else { Ok(piece.len()) }
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn write(form: &mut Vec<u8>, part: &Part) {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut head =
        format!("--ab\r\nContent-Disposition: form-data; name=\"{}\"", quoted(&part.name));
    if let Some(name) = &part.file_name {
        head += &format!("; filename=\"{}\"", quoted(name));
    }
    if let Some(mime) = &part.content_type {
        head += &format!("\r\nContent-Type: {mime}");
    }
    form.extend_from_slice(head.as_bytes());
    form.extend_from_slice(b"\r\n\r\n");
    form.extend_from_slice(&part.data);
    form.extend_from_slice(b"\r\n");
}
