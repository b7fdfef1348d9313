//! Signals by name or number.

use std::str::FromStr;

/// A signal number from 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(pub i32);

/// Numbers of x86 and ARM, in order from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];
/// As the C library numbers them: two below are its own.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

impl std::fmt::Display for Signal {
    /// `SIGTERM`; the number of one that has no name of its own.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match usize::try_from(self.0 - 1).ok().and_then(|at| NAMES.get(at)) {
            Some(name) => write!(f, "SIG{name}"),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Signal {
    type Err = String;

    /// A number, or a name in any case with or without `SIG`: `9`, `KILL`, `sigterm`, `RTMIN+3`.
    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("invalid signal: {text}");
        if let Ok(number) = super::golang::parse_decimal(text) {
            return match i32::try_from(number) {
                Ok(number) if (1..=RTMAX).contains(&number) => Ok(Signal(number)),
                _ => Err(invalid()),
            };
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let found = match name {
            "IOT" => Some(6),
            "CLD" => Some(17),
            "POLL" => Some(29),
            "UNUSED" => Some(31),
            "RTMIN" => Some(RTMIN),
            "RTMAX" => Some(RTMAX),
            _ => NAMES
                .iter()
                .position(|n| *n == name)
                .and_then(|i| i32::try_from(i + 1).ok())
                .or_else(|| real_time(name)),
        };
        found.map(Signal).ok_or_else(invalid)
    }
}

fn real_time(name: &str) -> Option<i32> {
    let offset = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    let number: i32 = if let Some(digits) = name.strip_prefix("RTMIN+") {
        RTMIN.checked_add(offset(digits)?)?
    } else {
        RTMAX.checked_sub(offset(name.strip_prefix("RTMAX-")?)?)?
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shown_by_name() {
        assert_eq!((Signal(10).to_string(), Signal(40).to_string()), ("SIGUSR1".into(), "40".into()));
    }

    #[test]
    fn names_and_numbers() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigterm", 15),
            ("Int", 2),
            ("SYS", 31),
            ("CHLD", 17),
            ("cld", 17),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmax-1", 63),
            ("RTMAX", 64),
        ] {
            assert_eq!(text.parse(), Ok(Signal(number)), "{text}");
        }
    }

    #[test]
    fn numbers_agree_with_the_c_library() {
        for (name, number) in
            [("BUS", libc::SIGBUS), ("STKFLT", libc::SIGSTKFLT), ("WINCH", libc::SIGWINCH), ("PWR", libc::SIGPWR)]
        {
            assert_eq!(name.parse(), Ok(Signal(number)));
        }
    }

    #[test]
    fn slips() {
        for bad in ["", "0", "65", "-1", "foo", "SIG", "RTMIN+31", "RTMAX-31", "RTMIN+", "RTMIN+-1", "SIGSIGTERM"] {
            assert_eq!(bad.parse::<Signal>(), Err(format!("invalid signal: {bad}")));
        }
    }

    proptest! {
        #[test]
        fn always_in_range(text in "(SIG)?(RTMIN|RTMAX)[+-][0-9]{0,12}|[0-9]{1,20}") {
            if let Ok(Signal(n)) = text.parse() {
                prop_assert!((1..=64).contains(&n));
            }
        }
    }
}
