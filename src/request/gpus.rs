//! `--gpus`

use super::golang::parse_decimal;
use std::str::FromStr;

/// A request for GPUs. It is judged by a rule; there is no GPU driver to carry it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuRequest {
    /// Without its flag.
    pub typed: String,
}

impl FromStr for GpuRequest {
    type Err = String;

    /// `all`, a number, or `driver=…,count=…,device=…,capabilities=…,options=…` as comma-separated values.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut seen: Vec<String> = Vec::new();
        for field in super::csv::record(text)? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (field.as_str(), None),
            };
            if seen.iter().any(|s| s == key) {
                return Err(format!("gpu request key '{key}' can be specified only once"));
            }
            match (key, value) {
                ("count", Some(count)) | (count, None) => {
                    if count != "all" && parse_decimal(count).is_err() {
                        return Err(format!(
                            "invalid count ({count}): value must be either \"all\" or an integer: invalid syntax"
                        ));
                    }
                }
                ("driver" | "device" | "capabilities" | "options", Some(_)) => {}
                _ => return Err(format!("unexpected key '{key}' in '{field}'")),
            }
            seen.push(key.to_owned());
        }
        Ok(GpuRequest { typed: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests() {
        for text in ["all", "2", "device=0", "\"device=0,1\"", "driver=nvidia,capabilities=utility", "count=1,device=0"]
        {
            assert_eq!(text.parse(), Ok(GpuRequest { typed: text.into() }));
        }
    }

    #[test]
    fn slips_are_dockers() {
        for (text, error) in [
            ("", "EOF"),
            ("x", "invalid count (x): value must be either \"all\" or an integer: invalid syntax"),
            ("count=x", "invalid count (x): value must be either \"all\" or an integer: invalid syntax"),
            ("foo=bar", "unexpected key 'foo' in 'foo=bar'"),
            ("all,all", "gpu request key 'all' can be specified only once"),
        ] {
            assert_eq!(text.parse::<GpuRequest>(), Err(error.into()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn counts_pass(n: i64) {
            prop_assert!(n.to_string().parse::<GpuRequest>().is_ok());
        }
    }
}
