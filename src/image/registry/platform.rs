//! Which image of an index: operating system, architecture and variant.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// What `--platform` names. The variant is empty where there is only one (`amd64`, `arm64` which is v8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: String,
}

impl Platform {
    /// Normalised: the spellings of uname, Debian and Go are one.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Platform {
        let (architecture, variant) = match (architecture, variant) {
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64", v) => ("amd64", v),
            ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64", ""),
            ("aarch64", v) => ("arm64", v),
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("arm", "" | "7") => ("arm", "v7"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "6") => ("arm", "v6"),
            ("arm", "8") => ("arm", "v8"),
            ("i386" | "i686", _) => ("386", ""),
            other => other,
        };
        Platform { os: os.into(), architecture: architecture.into(), variant: variant.into() }
    }

    /// From parts that may be missing: this host's then.
    pub fn of_request(asked: &crate::request::Platform) -> Result<Platform> {
        let os = asked.os.as_deref().unwrap_or("linux");
        let architecture = asked.architecture.as_deref().unwrap_or(host_architecture());
        match asked.variant.as_deref() {
            None | Some("") => format!("{os}/{architecture}").parse(),
            Some(variant) => format!("{os}/{architecture}/{variant}").parse(),
        }
    }

    /// What this host runs natively.
    pub fn host() -> Platform {
        Platform::new("linux", host_architecture(), "")
    }

    /// How well an image for `offer` serves a request for `self`: `None` not at all, else higher is better.
    fn score(&self, offer: &Platform, levels: u32) -> Option<u32> {
        if self.os != offer.os || self.architecture != offer.architecture {
            return None;
        }
        if self.variant == offer.variant {
            return Some(u32::MAX);
        }
        let number = |v: &str| v.strip_prefix('v').and_then(|n| n.parse::<u32>().ok());
        match self.architecture.as_str() {
            // A later ARM runs what was built for an earlier one.
            "arm" => number(&offer.variant).filter(|n| number(&self.variant).is_some_and(|wanted| *n < wanted)),
            // Without a variant any micro-architecture level that this CPU has will do, the plainest first.
            "amd64" if self.variant.is_empty() => number(&offer.variant).filter(|n| *n <= levels).map(|n| 100 - n),
            "amd64" if offer.variant.is_empty() => Some(1),
            "amd64" => number(&offer.variant).filter(|n| number(&self.variant).is_some_and(|wanted| *n < wanted)),
            _ => None,
        }
    }

    /// Whether an image for `offer` serves a request for `self`.
    pub fn serves(&self, offer: &Platform) -> bool {
        self.score(offer, cpu_level()).is_some()
    }

    /// The best of the offers, by position; the first of equals. The error lists what there is, in docker's words.
    pub fn choose(&self, offers: &[Option<Platform>]) -> Result<usize> {
        let best = offers
            .iter()
            .enumerate()
            .filter_map(|(i, offer)| Some((self.score(offer.as_ref()?, cpu_level())?, std::cmp::Reverse(i))))
            .max();
        if let Some((_, std::cmp::Reverse(i))) = best {
            return Ok(i);
        }
        let mut known: Vec<String> = offers
            .iter()
            .flatten()
            // Build attestations ride in the index as images for an unknown platform.
            .filter(|p| p.os != "unknown")
            .map(Platform::to_string)
            .collect();
        known.dedup();
        let known = if known.is_empty() { "no platform at all".into() } else { known.join(", ") };
        Err(Error::verb(format!("no matching manifest for {self} in the manifest list entries: it offers {known}"))
            .hint("choose one of these with --platform"))
    }
}

impl FromStr for Platform {
    type Err = Error;
    /// `os/arch[/variant]`, or `os` or `arch` alone, as docker reads it.
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        let well_formed =
            |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if !parts.iter().all(well_formed) {
            return Err(Error::runner(format!("invalid --platform {text:?}: expected os/arch or os/arch/variant")));
        }
        let platform = match parts[..] {
            ["linux"] => Platform::host(),
            [one] if is_architecture(one) => Platform::new("linux", one, ""),
            [os, architecture] => Platform::new(os, architecture, ""),
            [os, architecture, variant] => Platform::new(os, architecture, variant),
            _ => {
                return Err(Error::runner(format!("invalid --platform {text:?}: expected os/arch or os/arch/variant")));
            }
        };
        if platform.os != "linux" {
            return Err(Error::runner(format!(
                "invalid --platform {text:?}: containers here run linux images, not {}",
                platform.os
            )));
        }
        Ok(platform)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

fn is_architecture(word: &str) -> bool {
    matches!(
        word,
        "amd64"
            | "x86_64"
            | "arm64"
            | "aarch64"
            | "arm"
            | "armhf"
            | "armel"
            | "386"
            | "i386"
            | "i686"
            | "ppc64le"
            | "riscv64"
            | "s390x"
            | "loong64"
            | "loongarch64"
            | "mips64le"
    )
}

fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// The x86-64 micro-architecture level of this CPU, 1 to 3; 1 elsewhere.
fn cpu_level() -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        let v2 = is_x86_feature_detected!("sse4.2") && is_x86_feature_detected!("popcnt");
        let v3 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("movbe");
        1 + u32::from(v2) + u32::from(v2 && v3)
    }
    #[cfg(not(target_arch = "x86_64"))]
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Platform {
        text.parse().unwrap()
    }
    fn offers(list: &[&str]) -> Vec<Option<Platform>> {
        list.iter()
            .map(|text| {
                let mut parts = text.split('/').chain(std::iter::repeat(""));
                let mut next = || parts.next().unwrap();
                Some(Platform::new(next(), next(), next()))
            })
            .collect()
    }

    #[test]
    fn spellings_are_one() {
        assert_eq!(p("linux/x86_64"), p("linux/amd64"));
        assert_eq!(p("linux/amd64/v1"), p("amd64"));
        assert_eq!(p("linux/aarch64"), p("linux/arm64/v8"));
        assert_eq!(p("linux/armhf"), p("linux/arm/v7"));
        assert_eq!(p("linux/arm").to_string(), "linux/arm/v7");
        assert_eq!(p("LINUX/AMD64").to_string(), "linux/amd64");
    }

    #[test]
    fn bad_values_name_the_flag() {
        for text in ["", "/", "linux/", "linux/amd64/v1/x", "linux/am d", "windows/amd64", "foo"] {
            let message = text.parse::<Platform>().unwrap_err().to_string();
            assert!(message.contains("--platform"), "{text}: {message}");
        }
    }

    #[test]
    fn picks_the_exact_one_then_the_best() {
        let o = offers(&["unknown/unknown", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8", "linux/amd64"]);
        assert_eq!(p("linux/amd64").choose(&o).unwrap(), 4);
        assert_eq!(p("linux/arm64").choose(&o).unwrap(), 3);
        assert_eq!(p("linux/arm").choose(&o).unwrap(), 2);
        assert_eq!(p("linux/arm/v6").choose(&o).unwrap(), 1);
        assert_eq!(p("linux/arm/v8").choose(&o).unwrap(), 2);
    }

    #[test]
    fn amd64_levels() {
        let o = offers(&["linux/amd64/v3", "linux/amd64/v2", "linux/amd64"]);
        assert_eq!(p("linux/amd64").choose(&o).unwrap(), 2);
        assert_eq!(p("linux/amd64/v3").choose(&o).unwrap(), 0);
        assert_eq!(p("linux/amd64").score(&Platform::new("linux", "amd64", "v3"), 2), None);
        assert!(p("linux/amd64").score(&Platform::new("linux", "amd64", "v2"), 2).is_some());
        assert_eq!(p("linux/amd64/v4").choose(&o).unwrap(), 0);
    }

    #[test]
    fn a_miss_lists_what_there_is() {
        let mut o = offers(&["linux/amd64", "linux/arm/v7", "unknown/unknown"]);
        o.push(None);
        let message = p("linux/s390x").choose(&o).unwrap_err().to_string();
        assert_eq!(
            message,
            "no matching manifest for linux/s390x in the manifest list entries: it offers linux/amd64, linux/arm/v7"
        );
    }
}
