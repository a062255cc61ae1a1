//! Dates as the feeds write them, to and from milliseconds since 1970 in UTC.
//! Not a calendar library: it knows the two formats that arrive and the two that leave.

#![forbid(unsafe_code)]

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    // A clock before 1970 is a broken clock; zero is as good an answer as any.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// Reads `2026-01-01T10:00:00[.000][Z|+01:00]` (no zone means UTC) or X's old
/// `Wed Feb 29 19:42:02 +0000 2012`.
pub(crate) fn parse(text: &str) -> Option<i64> {
    iso(text).or_else(|| x_v1(text))
}

fn iso(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', ' '])?;
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (num(date.next()?)?, num(date.next()?)?, num(date.next()?)?);
    let zone_at = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(zone_at);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let millis = num(&digits)?;
    Some(days(year, month, day)? * 86_400_000 + seconds(clock)? * 1000 + millis - offset(zone)?)
}

fn x_v1(text: &str) -> Option<i64> {
    let parts: Vec<&str> = text.split_ascii_whitespace().collect();
    let [_, month, day, clock, zone, year] = parts[..] else {
        return None;
    };
    let month = MONTHS.iter().position(|m| *m == month)? as i64 + 1;
    Some(days(num(year)?, month, num(day)?)? * 86_400_000 + seconds(clock)? * 1000 - offset(zone)?)
}

/// Digits only: `i64::from_str` would take a sign too.
fn num(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn seconds(clock: &str) -> Option<i64> {
    let mut parts = clock.splitn(3, ':');
    let (h, m) = (num(parts.next()?)?, num(parts.next()?)?);
    let s = parts.next().map_or(Some(0), num)?;
    (h < 24 && m < 60 && s <= 60).then_some(h * 3600 + m * 60 + s)
}

/// `Z`, nothing, `+01:00` or `+0100`, in milliseconds east of UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone.is_empty() || zone == "Z" {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (h, m) = rest.split_at_checked(2)?;
    Some(sign * (num(h)? * 60 + num(m.trim_start_matches(':'))?) * 60_000)
}

/// Days since 1970 of a Gregorian date. Years are counted from March, so that the leap day is last.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year > 9999 {
        return None;
    }
    let y = if month <= 2 { year - 1 } else { year };
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    Some(y * 365 + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + day_of_year - 719_468)
}

fn civil(ms: i64) -> (i64, i64, i64, i64) {
    let z = ms.div_euclid(86_400_000) + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, doy - (153 * mp + 2) / 5 + 1, ms.rem_euclid(86_400_000))
}

/// `2026-01-01T10:00:00`, the naive UTC form of tweefee's wire format.
pub(crate) fn wire(ms: i64) -> String {
    let (year, month, day, t) = civil(ms);
    let (h, m, s) = (t / 3_600_000, t / 60_000 % 60, t / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}")
}

/// `2026-01-01T10:00:00.000Z`, as X's v2 API writes it.
pub(crate) fn iso_ms(ms: i64) -> String {
    format!("{}.{:03}Z", wire(ms), ms.rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse("2026-01-01T10:00:00.250Z"), Some(1_767_261_600_250));
        assert_eq!(parse("2026-01-01T10:00:00"), parse("2026-01-01T11:00:00+01:00"));
        assert_eq!(parse("Wed Feb 29 19:42:02 +0000 2012"), parse("2012-02-29T19:42:02Z"));
    }

    #[test]
    fn there_and_back() {
        for ms in [0, 951_782_400_000, 951_868_800_000, 1_767_261_600_250, 4_102_444_799_999] {
            assert_eq!(parse(&iso_ms(ms)), Some(ms));
        }
        assert_eq!(wire(1_446_122_923_000), "2015-10-29T12:48:43");
    }

    #[test]
    fn nonsense_is_none() {
        for text in
            ["", "today", "2026-13-01T00:00:00", "2026-01-01", "2026-01-01T25:00:00", "1-é-3T1:1"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
