//! The moments that `--since` and `--until` take: RFC 3339 and beginnings of it, unix seconds, durations before now.

use crate::error::{Error, Result};
use crate::request::GoDuration;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// The value of `--since` or `--until`; `flag` without its dashes. An empty one is none.
pub fn flag(flag: &str, value: Option<&str>) -> Result<Option<Timestamp>> {
    let Some(value) = value.filter(|v| !v.is_empty()) else { return Ok(None) };
    match parse(value, Timestamp::now(), &TimeZone::system()) {
        Ok(moment) => Ok(Some(moment)),
        Err(e) => Err(Error::verb(format!("invalid value for {flag:?}: {e}"))),
    }
}

/// `zone`: of times that name none.
pub fn parse(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(before) = text.parse::<GoDuration>() {
        return now.checked_sub(SignedDuration::from_nanos(before.nanos)).map_err(|e| e.to_string());
    }
    let failed = || format!("failed to parse value as time or duration: {text:?}");
    if text.contains('-') { calendar(text, zone).ok_or_else(failed) } else { unix(text).ok_or_else(failed) }
}

/// Seconds with up to nine digits behind the point.
fn unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if seconds.is_empty() || fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) {
        return None;
    }
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanos).ok()
}

/// `2006-01-02[T15[:04[:05[.999]]]][Z|±07:00]`
fn calendar(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (date, rest) = (text.get(..10)?, &text[10..]);
    let date: Date = date.parse().ok()?;
    let (clock, offset) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => (&rest[..at], Some(&rest[at..])),
        None => (rest, None),
    };
    let time = match clock {
        "" => Time::midnight(),
        clock => time(clock.strip_prefix('T')?)?,
    };
    let moment = DateTime::from_parts(date, time);
    match offset {
        None => zone.to_timestamp(moment).ok(),
        Some("Z" | "z") => Offset::UTC.to_timestamp(moment).ok(),
        Some(offset) => {
            let (sign, rest) = (if offset.starts_with('-') { -1 } else { 1 }, &offset[1..]);
            let (hours, minutes) = rest.split_once(':')?;
            let seconds = sign * (two(hours)? as i32 * 3600 + two(minutes)? as i32 * 60);
            Offset::from_seconds(seconds).ok()?.to_timestamp(moment).ok()
        }
    }
}

fn time(text: &str) -> Option<Time> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut parts = whole.split(':').map(two);
    let (hour, minute, second) = (parts.next()??, parts.next().unwrap_or(Some(0))?, parts.next().unwrap_or(Some(0))?);
    if parts.next().is_some() {
        return None;
    }
    Time::new(hour, minute, second, format!("{fraction:0<9}").parse().ok()?).ok()
}

fn two(text: &str) -> Option<i8> {
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_takes() {
        let now: Timestamp = "2024-05-06T07:08:09Z".parse().unwrap();
        let zone = TimeZone::fixed(Offset::constant(2));
        for (text, wanted) in [
            ("10m", "2024-05-06T06:58:09Z"),
            ("-1h", "2024-05-06T08:08:09Z"),
            ("0", "2024-05-06T07:08:09Z"),
            ("1700000000", "2023-11-14T22:13:20Z"),
            ("1700000000.5", "2023-11-14T22:13:20.5Z"),
            ("2020-01-02", "2020-01-01T22:00:00Z"),
            ("2020-01-02Z", "2020-01-02T00:00:00Z"),
            ("2020-01-02T03", "2020-01-02T01:00:00Z"),
            ("2020-01-02T03:04", "2020-01-02T01:04:00Z"),
            ("2020-01-02T03:04:05", "2020-01-02T01:04:05Z"),
            ("2020-01-02T03:04:05.25Z", "2020-01-02T03:04:05.25Z"),
            ("2020-01-02T03:04:05+05:30", "2020-01-01T21:34:05Z"),
            ("2020-01-02T03:04:05.000000001-01:00", "2020-01-02T04:04:05.000000001Z"),
        ] {
            assert_eq!(parse(text, now, &zone).map(|t| t.to_string()), Ok(wanted.to_owned()), "{text}");
        }
        for bad in ["bad", "", "2020-13-01", "2020-01-02T", "2020-01-02 03:04", "1.2.3", "2020-01-02T3", "é020-01-02x"]
        {
            assert!(parse(bad, now, &zone).is_err(), "{bad}");
        }
        let error = flag("since", Some("bad")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid value for \"since\": failed to parse value as time or duration: \"bad\""
        );
    }
}
