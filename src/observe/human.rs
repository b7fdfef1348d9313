//! Times and sizes as docker words them.

/// `Less than a second`, `3 hours`, `2 weeks`.
pub fn duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds as f64 / 3600.0).round() as i64);
    match seconds {
        ..1 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".into(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".into(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        // Years are of whole hours, not of rounded ones.
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

const DECIMAL: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/// Powers of 1000 with three digits: `4.26MB`.
pub fn size(bytes: u64) -> String {
    scaled(bytes as f64, 1000.0, &DECIMAL, 3)
}

/// Powers of 1000 with four digits, `4.262MB`: virtual sizes, `system df`.
pub fn long_size(bytes: u64) -> String {
    scaled(bytes as f64, 1000.0, &DECIMAL, 4)
}

/// Powers of 1024 with four digits: `1.004MiB`, as `stats` shows memory.
pub fn binary_size(bytes: u64) -> String {
    scaled(bytes as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], 4)
}

/// As Go's `%.Ng` prints a number below 1000 (1024): `digits` of it that count, no zeros at the end.
fn scaled(mut value: f64, base: f64, units: &[&str], digits: usize) -> String {
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let text = super::format::print::go_float(value, 'g', Some(digits));
    format!("{text}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_as_docker_shows_them() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (4_261_550, "4.26MB"),
            (74_800_000, "74.8MB"),
            (117_000_000, "117MB"),
            (1_500_000_000, "1.5GB"),
            (999_999, "1e+03kB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(long_size(1_984_384), "1.984MB");
        for (bytes, text) in [(0, "0B"), (1023, "1023B"), (1 << 20, "1MiB"), (7_340_032 + 5000, "7.005MiB")] {
            assert_eq!(binary_size(bytes), text);
        }
        for (seconds, text) in [
            (0, "Less than a second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (3600, "About an hour"),
            (86_400 * 3, "3 days"),
            (86_400 * 15, "2 weeks"),
            (86_400 * 800, "2 years"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
