//! `--platform os/arch[/variant]`

use std::str::FromStr;

/// A platform; parts that were not given are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Platform {
    pub os: Option<String>,
    pub architecture: Option<String>,
    pub variant: Option<String>,
    pub typed: String,
}

impl FromStr for Platform {
    type Err = String;

    /// One to three words; a single one is an operating system if it is known as such, else an architecture. Spellings
    /// such as `x86_64` and `aarch64` become Go's.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("error parsing specified platform: {text:?}: cannot parse platform specifier: invalid argument");
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        let word = |p: &&str| !p.is_empty() && p.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        if !parts.iter().all(word) {
            return Err(bad());
        }
        let mut platform = Platform { typed: text.to_owned(), ..Platform::default() };
        match parts[..] {
            [os] if KNOWN_OS.contains(&os) => platform.os = Some(os.into()),
            [arch] if KNOWN_ARCH.contains(&arch) => platform.set_architecture(arch, None),
            [os, arch] => {
                platform.os = Some(os.into());
                platform.set_architecture(arch, None);
            }
            [os, arch, variant] => {
                platform.os = Some(os.into());
                platform.set_architecture(arch, Some(variant));
            }
            _ => return Err(bad()),
        }
        Ok(platform)
    }
}

impl Platform {
    /// Set the architecture in Go's spelling, with the variant that the spelling carries.
    pub fn set_architecture(&mut self, arch: &str, variant: Option<&str>) {
        let (arch, implied) = match (arch, variant) {
            ("x86_64" | "x86-64", _) => ("amd64", None),
            ("i386" | "i686", _) => ("386", None),
            ("aarch64", _) => ("arm64", None),
            ("arm64", Some("v8" | "8")) => ("arm64", None),
            ("armhf", _) => ("arm", Some("v7")),
            ("armel", _) => ("arm", Some("v6")),
            (arch, variant) => (arch, variant),
        };
        self.architecture = Some(arch.to_owned());
        self.variant = implied.map(str::to_owned);
    }
}

const KNOWN_OS: &[&str] = &["linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "aix", "wasip1"];
const KNOWN_ARCH: &[&str] = &[
    "amd64", "386", "arm", "arm64", "ppc64", "ppc64le", "riscv64", "s390x", "mips", "mipsle", "mips64", "mips64le",
    "loong64", "x86_64", "x86-64", "i386", "i686", "aarch64", "armhf", "armel",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> (Option<String>, Option<String>, Option<String>) {
        let p: Platform = text.parse().unwrap();
        (p.os, p.architecture, p.variant)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn spellings() {
        assert_eq!(parse("linux/amd64"), (some("linux"), some("amd64"), None));
        assert_eq!(parse("linux/arm/v7"), (some("linux"), some("arm"), some("v7")));
        assert_eq!(parse("Linux/x86_64"), (some("linux"), some("amd64"), None));
        assert_eq!(parse("linux/arm64/v8"), (some("linux"), some("arm64"), None));
        assert_eq!(parse("armhf"), (None, some("arm"), some("v7")));
        assert_eq!(parse("linux"), (some("linux"), None, None));
    }

    #[test]
    fn slips() {
        for bad in ["", "x", "x/y/z/w", "linux/", "/amd64", "linux/a b"] {
            assert!(bad.parse::<Platform>().unwrap_err().starts_with("error parsing specified platform: "), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn two_words_are_kept(os in "[a-z]{3,8}", arch in "[a-z]{3,4}[0-9]{3}") {
            prop_assert_eq!(parse(&format!("{os}/{arch}")), (Some(os), Some(arch), None));
        }
    }
}
