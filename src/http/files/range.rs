//! The Range header (RFC 9110, 14.2): which bytes of a file of known size are asked for. Bytes only.

#![forbid(unsafe_code)]

/// Bytes `from..from + len` of a file; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: u64,
    pub(super) len: u64,
}

/// What a Range header means for one file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The whole: the header is malformed, of another unit, or asks for too much at once, and is ignored.
    All,
    /// These, in the order asked for.
    Ranges(Vec<Range>),
    /// None of them is within the file: 416.
    Nothing,
}

/// More ranges than this at once are not meant well.
const MOST: usize = 16;

/// Reads the value of a Range header.
pub(super) fn parse(value: &[u8], size: u64) -> Asked {
    read(value, size).unwrap_or(Asked::All)
}

fn read(value: &[u8], size: u64) -> Option<Asked> {
    const UNIT: &[u8] = b"bytes=";
    let unit = value.get(..UNIT.len())?;
    if !unit.eq_ignore_ascii_case(UNIT) {
        return None;
    }
    let specs = value[UNIT.len()..].split(|&b| b == b',').map(|spec| spec.trim_ascii());
    let mut ranges = Vec::new();
    let (mut count, mut total) = (0, 0_u64);
    for spec in specs.filter(|spec| !spec.is_empty()) {
        count += 1;
        if count > MOST {
            return None;
        }
        if let Some(range) = one(spec, size)? {
            total = total.checked_add(range.len)?;
            ranges.push(range);
        }
    }
    if count == 0 {
        return None;
    }
    // Overlapping ranges would make a small file into a large answer.
    if total > size {
        return None;
    }
    Some(if ranges.is_empty() { Asked::Nothing } else { Asked::Ranges(ranges) })
}

/// `a-b`, `a-` or `-n`. The outer `None`: malformed; the inner one: not within the file.
fn one(spec: &[u8], size: u64) -> Option<Option<Range>> {
    let dash = spec.iter().position(|&b| b == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if first.is_empty() {
        let len = number(last)?.min(size);
        return Some((len > 0).then(|| Range { from: size - len, len }));
    }
    let from = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < from {
        return None;
    }
    if from >= size {
        return Some(None);
    }
    Some(Some(Range { from, len: last.min(size - 1) - from + 1 }))
}

/// `1*DIGIT`; what is larger than any file is as good as the largest number.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |n, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(n.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(list: &[(u64, u64)]) -> Asked {
        Asked::Ranges(list.iter().map(|&(from, len)| Range { from, len }).collect())
    }

    #[test]
    fn within_the_file() {
        for (value, list) in [
            ("bytes=0-0", &[(0, 1)][..]),
            ("bytes=0-9", &[(0, 10)]),
            ("bytes=0-", &[(0, 10)]),
            ("BYTES=9-", &[(9, 1)]),
            ("bytes=5-100", &[(5, 5)]),
            ("bytes=5-99999999999999999999999", &[(5, 5)]),
            ("bytes=-3", &[(7, 3)]),
            ("bytes=-100", &[(0, 10)]),
            ("bytes=0-1,4-5, -1", &[(0, 2), (4, 2), (9, 1)]),
            ("bytes= 8-9 ,,0-0", &[(8, 2), (0, 1)]),
            ("bytes=0-1,50-60", &[(0, 2)]),
        ] {
            assert_eq!(parse(value.as_bytes(), 10), ranges(list), "{value}");
        }
    }

    #[test]
    fn not_within_the_file() {
        for value in
            ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=10-,20-", "bytes=99999999999999999999-"]
        {
            assert_eq!(parse(value.as_bytes(), 10), Asked::Nothing, "{value}");
        }
        for value in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(parse(value.as_bytes(), 0), Asked::Nothing, "{value}");
        }
    }

    #[test]
    fn ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=5-4",
            "bytes=0-1,x",
            "bytes=1-2-3",
            "bytes=+1-2",
            "bytes=--1",
            "lines=0-1",
            "bytes 0-1",
            "bytes =0-1",
            "bytes=0 -1",
            "bytes=0-,0-",
            "bytes=0-9,9-9",
            "bytes=\u{e9}-",
        ] {
            assert_eq!(parse(value.as_bytes(), 10), Asked::All, "{value}");
        }
        let many = |n: usize| format!("bytes={}", vec!["0-0"; n].join(","));
        assert_eq!(parse(many(MOST).as_bytes(), 1000), ranges(&[(0, 1); MOST]));
        assert_eq!(parse(many(MOST + 1).as_bytes(), 1000), Asked::All);
    }

    /// Whatever is asked for, nothing but the file's bytes is answered, and not more of them than there are.
    #[test]
    fn never_outside() {
        let mut seed = 0x2545_F491_4F6C_DD1D_u64;
        let mut next = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let mut satisfied = 0;
        for _ in 0..20_000 {
            let size = next() % 12;
            let alphabet = b"0123456789--,, ";
            let value = (0..next() % 12).map(|_| alphabet[next() as usize % alphabet.len()]);
            let value: Vec<u8> = b"bytes=".iter().copied().chain(value).collect();
            if let Asked::Ranges(ranges) = parse(&value, size) {
                satisfied += 1;
                assert!(ranges.iter().all(|r| r.len > 0 && r.from + r.len <= size));
                assert!(ranges.iter().map(|r| r.len).sum::<u64>() <= size);
            }
        }
        assert!(satisfied > 500, "{satisfied}");
    }
}
