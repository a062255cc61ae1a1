//! Whole forms, broken ones, and limits; in one piece, split at every byte, and byte by byte.

#![forbid(unsafe_code)]

use super::*;

/// Gives so many bytes at a time, the first time `first`.
struct Pieces<'b> {
    bytes: &'b [u8],
    first: usize,
    then: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.first.min(self.bytes.len()).min(buf.len());
        buf[..n].copy_from_slice(&self.bytes[..n]);
        (self.bytes, self.first) = (&self.bytes[n..], self.then);
        Ok(n)
    }
}

/// Name, file name and data of each part, or what is wrong.
fn parts(body: &[u8], first: usize, then: usize) -> Result<Vec<String>, u16> {
    let mut source = Pieces { bytes: body, first, then };
    let mut form = Multipart::new(&mut source, "ab").max_parts(4).max_part(20_000);
    let mut found = Vec::new();
    while let Some(mut part) = form.next_part().map_err(|error| error.status().as_u16())? {
        let data = part.data().map_err(|error| error.status().as_u16())?;
        let text = String::from_utf8(data).unwrap();
        found.push(format!("{}/{}={text}", part.name(), part.file_name().unwrap_or("")));
    }
    Ok(found)
}

fn part(name: &str, data: &str) -> String {
    format!("--ab\r\nContent-Disposition: form-data; name={name}\r\n\r\n{data}\r\n")
}

/// The same whatever pieces it comes in.
#[track_caller]
fn check(body: &str, expected: Result<&[&str], u16>) {
    let expected = expected.map(|parts| parts.iter().map(|p| p.to_string()).collect::<Vec<_>>());
    let body = body.as_bytes();
    for first in 1..=body.len() {
        assert_eq!(parts(body, first, usize::MAX), expected, "split at {first}");
    }
    assert_eq!(parts(body, 1, 1), expected, "byte by byte");
}

#[test]
fn whole_forms() {
    check("--ab--", Ok(&[]));
    check("ignored\r\n--ab--\r\nignored", Ok(&[]));
    check(&(part("a", "1") + "--ab--"), Ok(&["a/=1"]));
    check(
        &(part("a", "") + &part("b", "\r\n--a\r\n") + "--ab--\r\n"),
        Ok(&["a/=", "b/=\r\n--a\r\n"]),
    );
    check(
        &("before".to_string() + "\r\n" + &part("a", "x\r--ab\n--ab") + "--ab--"),
        Ok(&["a/=x\r--ab\n--ab"]),
    );
    check(
        "--ab  \r\ncontent-disposition: form-data; filename=\"f\"; name=n\r\nX: y\r\n\r\ndata\r\n--ab--",
        Ok(&["n/f=data"]),
    );
}

#[test]
fn broken_forms() {
    check("", Err(400));
    check("--ab", Err(400));
    check("--ab\r\n", Err(400));
    check(&part("a", "1"), Err(400));
    check(&(part("a", "1") + "--ab"), Err(400));
    check(&(part("a", "1") + "--abc--"), Err(400));
    check("--ab\r\n\r\nnameless\r\n--ab--", Err(400));
    check("no boundary at all", Err(400));
}

#[test]
fn limits() {
    let few: String = ["a", "b", "c", "d"].map(|name| part(name, "")).concat();
    assert_eq!(parts((few.clone() + "--ab--").as_bytes(), 99, 99).unwrap().len(), 4);
    assert_eq!(parts((few + &part("e", "") + "--ab--").as_bytes(), 99, 99), Err(413));
    let long = |n: usize| part("a", &"x".repeat(n)) + "--ab--";
    assert_eq!(parts(long(20_000).as_bytes(), 7, 5000).unwrap()[0].len(), 20_003);
    assert_eq!(parts(long(20_001).as_bytes(), 7, 5000), Err(413));
    let head = format!("--ab\r\nX: {}", "y".repeat(MAX_HEAD));
    assert_eq!(parts(head.as_bytes(), 99, 99), Err(413));
    // Whole in the buffer at once or not.
    let head =
        part("a", "").replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "y".repeat(MAX_HEAD)));
    check_few(&(head + "--ab--"), Err(413));
}

#[test]
fn unread_parts_are_skipped() {
    let body = part("a", &"x".repeat(50_000)) + &part("b", "2") + "--ab--";
    let mut source = body.as_bytes();
    let mut form = Multipart::new(&mut source, "ab");
    let mut first = form.next_part().unwrap().unwrap();
    first.read_exact(&mut [0; 10]).unwrap();
    assert_eq!(form.next_part().unwrap().unwrap().text().unwrap(), "2");
    assert!(form.next_part().unwrap().is_none());
    assert!(form.next_part().unwrap().is_none());
}

/// As `check`, with some ways to cut only.
#[track_caller]
fn check_few(body: &str, expected: Result<Vec<String>, u16>) {
    for (first, then) in [(usize::MAX, 1), (1, 1), (3, 5), (4096, 4096)] {
        assert_eq!(parts(body.as_bytes(), first, then), expected, "{first}, {then} of {body:?}");
    }
}

/// Forms of random pieces: whatever they are, they come to an end, and to the same one.
#[test]
fn seeded_garbage() {
    let whole = part("a", "");
    let head = "Content-Disposition: form-data; name=\"b\"; filename=c\r\n";
    let pieces =
        ["\r\n", "--ab", "--", "\r", "\n", "-", "x", " ", "\r\n--ab--", "--ab\r\n", head, &whole];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut good, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut body = String::new();
        loop {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            body += pieces[(seed >> 32) as usize % pieces.len()];
            if seed.is_multiple_of(8) {
                break;
            }
        }
        let expected = parts(body.as_bytes(), usize::MAX, usize::MAX);
        *if expected.is_ok() { &mut good } else { &mut refused } += 1;
        check_few(&body, expected);
    }
    assert!(good > 1000 && refused > 1000, "{good} good ones, {refused} refused ones");
}
