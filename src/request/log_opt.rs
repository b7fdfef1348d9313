//! `--log-driver`, `--log-opt`

/// Driver and options as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogDriver {
    pub driver: Option<String>,
    pub opts: Vec<(String, String)>,
}

/// Drivers that exist here.
const DRIVERS: &[&str] = &["json-file", "local", "none"];

impl LogDriver {
    /// Driver and options together: an unknown driver, options for `none`, or an option that is not KEY=VALUE are errors.
    pub fn parse(driver: Option<&str>, opts: &[String]) -> Result<Self, String> {
        let driver = driver.filter(|d| !d.is_empty());
        if driver == Some("none") && !opts.is_empty() {
            return Err("invalid logging opts for driver none".into());
        }
        // podman's names for the same file format.
        let driver = match driver {
            Some("k8s-file") => Some("json-file"),
            driver => driver,
        };
        if let Some(unknown) = driver.filter(|d| !DRIVERS.contains(d)) {
            return Err(format!(
                "logger: no log driver named '{unknown}' is registered (there are: {})",
                DRIVERS.join(", ")
            ));
        }
        let mut parsed = Vec::new();
        for opt in opts {
            let (key, value) = opt.split_once('=').unwrap_or((opt, ""));
            if key.is_empty() {
                return Err(format!("invalid log opt '{opt}': KEY=VALUE is wanted"));
            }
            parsed.push((key.to_owned(), value.to_owned()));
        }
        Ok(LogDriver { driver: driver.map(str::to_owned), opts: parsed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(driver: Option<&str>, opts: &[&str]) -> Result<LogDriver, String> {
        LogDriver::parse(driver, &opts.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn drivers_and_options() {
        assert_eq!(parse(None, &[]), Ok(LogDriver::default()));
        assert_eq!(
            parse(Some("json-file"), &["max-size=1m"]).unwrap().opts,
            vec![("max-size".to_owned(), "1m".to_owned())]
        );
        assert_eq!(parse(Some("k8s-file"), &[]).unwrap().driver.as_deref(), Some("json-file"));
        assert_eq!(parse(Some("none"), &["a=b"]), Err("invalid logging opts for driver none".into()));
        assert!(parse(Some("syslog"), &[]).unwrap_err().contains("no log driver named 'syslog'"));
        assert!(parse(None, &["=b"]).is_err());
    }
}
