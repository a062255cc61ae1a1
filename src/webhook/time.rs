//! [`Time`]: a moment as stores keep it, in whole milliseconds since 1970.
//!
//! What it is not: a clock for deadlines within the process, which is `Instant`. This one may be set back by whoever sets the
//! machine's clock; what is due is then due later.

#![forbid(unsafe_code)]

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970-01-01 00:00:00 UTC. What is earlier is that moment.
///
/// ```
/// use std::time::Duration;
/// use sward::webhook::Time;
///
/// let then = Time::from_millis(1_500);
/// assert_eq!((then + Duration::from_secs(2)).as_millis(), 3_500);
/// assert_eq!(then.since(Time::from_millis(2_000)), Duration::ZERO);
/// assert_eq!(then.to_string(), "1970-01-01T00:00:01.500Z");
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(u64);

impl Time {
    /// This moment, by the machine's clock.
    #[must_use]
    pub fn now() -> Time {
        SystemTime::now().into()
    }

    /// So many milliseconds after 1970.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Time {
        Time(millis)
    }

    /// The moment that this text says, as RFC 3339 has it, with any offset. What is finer than a millisecond is cut off. None
    /// if it is no such text, or before 1970.
    ///
    /// ```
    /// use sward::webhook::Time;
    ///
    /// let time = Time::parse("2022-04-07T23:39:13.5+02:00").unwrap();
    /// assert_eq!(time.to_string(), "2022-04-07T21:39:13.500Z");
    /// assert_eq!(Time::parse("2022-04-31T00:00:00Z"), None);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Time> {
        let (date, clock) = text.split_once(['T', 't', ' '])?;
        let at = clock.find(['Z', 'z', '+', '-'])?;
        let (clock, offset) = clock.split_at(at);
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
        if hour > 23 || minute > 59 || second > 59 || !fraction.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let millis: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        let days = days(year, month, day)?;
        let local = ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis;
        if matches!(offset, "Z" | "z") {
            return Some(Time(local));
        }
        let [hours, minutes] = numbers(&offset[1..], ':', [2, 2])?;
        let offset_millis = (hours * 60 + minutes) * 60_000;
        match offset.as_bytes()[0] {
            _ if hours > 23 || minutes > 59 => None,
            b'+' => local.checked_sub(offset_millis).map(Time),
            _ => Some(Time(local + offset_millis)),
        }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// How long after `earlier` this is; zero if it is before.
    #[must_use]
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Time {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(since.as_millis().try_into().unwrap_or(u64::MAX))
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Time;

    fn add(self, later: Duration) -> Time {
        Time(self.0.saturating_add(later.as_millis().try_into().unwrap_or(u64::MAX)))
    }
}

impl std::ops::Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, earlier: Duration) -> Time {
        Time(self.0.saturating_sub(earlier.as_millis().try_into().unwrap_or(u64::MAX)))
    }
}

/// As RFC 3339 has it, in UTC, with milliseconds.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, millis) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
            millis % 1000
        )
    }
}

/// So many numbers, each of so many digits.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[u64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        let fine = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        *number = fine.then(|| part.parse().ok()).flatten()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// The day as days after 1970-01-01; none if there is no such day, or it is before. The other way round of [`civil`], found by
/// asking it: a month has at most 31 days.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    // Not after the first of the month, and less than 40 days before it.
    let about = (year - 1970) * 365 + (year - 1969) / 4 - (year - 1901) / 100 + (year - 1601) / 400;
    let about = (about + (month - 1) * 30).saturating_sub(2);
    (about..about + 40).find(|days| civil(*days) == (year, month, day))
}

/// Year, month and day of the day `days` after 1970-01-01, in the Gregorian calendar. Counted from the 1st of March, so
/// that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097; // days in 400 years
    let days = days + 719_468; // from 0000-03-01
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153; // 0 is March
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn what_is_written_is_read() {
        for day in (0..60_000).step_by(7).chain([11_016, 11_017, 47_540, 47_541]) {
            let time = Time::from_millis(day * 86_400_000 + day * 997 % 86_400_000);
            assert_eq!(Time::parse(&time.to_string()), Some(time));
        }
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t01:00:00.0009+01:00", 0),
            ("1969-12-31T23:30:00-00:30", 0),
            ("1970-01-01 00:00:00.25z", 250),
        ] {
            let expected = (!text.starts_with("1969")).then_some(Time::from_millis(millis));
            assert_eq!(Time::parse(text), expected, "{text}");
        }
        for wrong in [
            "",
            "T",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-1-01T00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-02-29T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:00.xZ",
            "1970-01-01T00:00:00+1:00",
            "1970-01-01T00:00:00Zé",
            "1970-01-01T00:00:00+01:00:00",
            "1970-01-01T00:00:00.+01:00x",
            "-970-01-01T00:00:00Z",
        ] {
            assert_eq!(Time::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn moments_are_written_as_rfc_3339_has_them() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_649_367_553_000, "2022-04-07T21:39:13.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Time::from_millis(millis).to_string(), text);
        }
    }
}
