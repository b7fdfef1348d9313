//! Why an ordinary user cannot have namespaces here, and what lets it.

use crate::error::Error;
use std::io;

/// Settings with which hosts keep ordinary users from user namespaces, with the values that do.
const SWITCHES: [(&str, &str); 3] = [
    ("/proc/sys/user/max_user_namespaces", "0"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
];

const APPARMOR: &str = "kernel.apparmor_restrict_unprivileged_userns";
/// The same by the names that sysctl has for them.
const NAMES: [&str; 3] = ["user.max_user_namespaces", "kernel.unprivileged_userns_clone", APPARMOR];

/// What root does about a switch.
pub fn remedy(switch: &str) -> String {
    let what = match switch {
        "user.max_user_namespaces" => {
            "sysctl -w user.max_user_namespaces=65536, and in a file of /etc/sysctl.d;".to_owned()
        }
        APPARMOR => apparmor_remedy(),
        other => format!("sysctl -w {other}=1, and in a file of /etc/sysctl.d;"),
    };
    format!("as root: {what} or run hardrun as root")
}

/// One error for what the kernel said, with the remedy for the switch that is found to be set.
pub fn explain(error: io::Error) -> Error {
    with(error, found())
}

fn found() -> Option<usize> {
    let set = |(path, off): &(&str, &str)| std::fs::read_to_string(path).is_ok_and(|value| value.trim() == *off);
    SWITCHES.iter().position(set)
}

fn with(error: io::Error, found: Option<usize>) -> Error {
    let base = |why: &str| Error::runner(format!("an ordinary user cannot have a user namespace here: {why}"));
    let said = match found.map(|n| NAMES[n]) {
        Some(switch) if switch == APPARMOR => {
            base(&format!("AppArmor takes the rights in it away ({APPARMOR})")).hint(remedy(switch))
        }
        Some(switch) => base(&format!("{switch} is 0")).hint(remedy(switch)),
        None => base("the kernel refuses it").hint(
            "where hardrun runs in a container or a sandbox, that has to allow user namespaces; else see `hardrun doctor`",
        ),
    };
    said.because(error)
}

/// A profile that takes nothing away and gives the right back to this one program.
fn apparmor_remedy() -> String {
    let exe = std::fs::read_link("/proc/self/exe").unwrap_or_else(|_| "/usr/local/bin/hardrun".into());
    format!(
        "printf 'abi <abi/4.0>,\\nprofile hardrun {} flags=(unconfined) {{ userns, }}\\n' > /etc/apparmor.d/hardrun && \
         apparmor_parser -r /etc/apparmor.d/hardrun;",
        exe.display()
    )
}

/// The switch that is set against ordinary users here, by its sysctl's name.
pub fn switch() -> Option<&'static str> {
    found().map(|n| NAMES[n])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_has_its_remedy() {
        let hint = |n| with(io::Error::from_raw_os_error(libc::EPERM), n).hint.unwrap();
        assert!(hint(Some(0)).contains("user.max_user_namespaces=65536"));
        assert!(hint(Some(1)).contains("kernel.unprivileged_userns_clone=1"));
        assert!(hint(Some(2)).contains("apparmor_parser -r"));
        assert!(hint(None).contains("hardrun doctor"));
        assert!(with(io::Error::from_raw_os_error(libc::EPERM), Some(0)).chain().len() == 2);
    }
}
