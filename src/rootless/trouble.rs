//! Why an ordinary user cannot have namespaces here, and what lets it.

use crate::error::Error;
use std::io;

/// Settings with which hosts keep ordinary users from user namespaces, with the values that do.
const SWITCHES: [(&str, &str); 3] = [
    ("/proc/sys/user/max_user_namespaces", "0"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
];

/// One error for what the kernel said, with the remedy for the switch that is found to be set.
pub fn explain(error: io::Error) -> Error {
    let found =
        SWITCHES.iter().position(|(path, off)| std::fs::read_to_string(path).is_ok_and(|value| value.trim() == *off));
    with(error, found)
}

fn with(error: io::Error, found: Option<usize>) -> Error {
    let base = |why: &str| Error::runner(format!("an ordinary user cannot have a user namespace here: {why}"));
    let error = match found {
        Some(0) => base("user.max_user_namespaces is 0")
            .hint("as root: sysctl -w user.max_user_namespaces=65536, and in a file of /etc/sysctl.d; or run hardrun as root"),
        Some(1) => base("kernel.unprivileged_userns_clone is 0")
            .hint("as root: sysctl -w kernel.unprivileged_userns_clone=1, and in a file of /etc/sysctl.d; or run hardrun as root"),
        Some(2) => base("AppArmor takes the rights in it away (kernel.apparmor_restrict_unprivileged_userns)").hint(
            format!("{} or run hardrun as root", apparmor_remedy()),
        ),
        _ => base("the kernel refuses it").hint(
            "where hardrun runs in a container or a sandbox, that has to allow user namespaces; else see `hardrun doctor`",
        ),
    }
    .because(error);
    error
}

/// A profile that takes nothing away and gives the right back to this one program.
pub fn apparmor_remedy() -> String {
    let exe = std::fs::read_link("/proc/self/exe").unwrap_or_else(|_| "/usr/local/bin/hardrun".into());
    format!(
        "as root: printf 'abi <abi/4.0>,\\nprofile hardrun {} flags=(unconfined) {{ userns, }}\\n' > /etc/apparmor.d/hardrun && \
         apparmor_parser -r /etc/apparmor.d/hardrun;",
        exe.display()
    )
}

/// The switch that is set against ordinary users here, by its sysctl's name.
pub fn switch() -> Option<&'static str> {
    let set = |(path, off): &&(&str, &str)| std::fs::read_to_string(path).is_ok_and(|value| value.trim() == *off);
    SWITCHES.iter().find(set).map(|(path, _)| match *path {
        "/proc/sys/user/max_user_namespaces" => "user.max_user_namespaces",
        "/proc/sys/kernel/unprivileged_userns_clone" => "kernel.unprivileged_userns_clone",
        _ => "kernel.apparmor_restrict_unprivileged_userns",
    })
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
