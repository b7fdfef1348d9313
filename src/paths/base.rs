//! What every program needs, whatever it is for: the counterpart of AppArmor's abstractions/base.

use super::{Access, Pattern};

/// Letters, patterns, and who needs them.
pub const BASE: &[(&str, &str, &str)] = &[
    ("r", "/", "getcwd and tools that look around"),
    // The kernel itself opens the loader that a program names, and asks for execution.
    ("mrx", "/{,usr/}lib{,32,64}/{,*/}ld{,64}{-*,.so*}", "the loaders of glibc and musl"),
    (
        "mr",
        "/{,usr/}lib{,32,64,x32}/{,**}",
        "shared libraries, their data, locales (glibc), gconv, NSS and PAM modules",
    ),
    ("mr", "/usr/local/lib/{,**}", "the same, of what was installed by hand"),
    ("r", "/etc/ld{.so.*,-musl-*.path}", "the loaders: where libraries are"),
    ("r", "/etc/ld.so.conf.d/{,**}", "ldconfig and the loader's diagnostics"),
    (
        "r",
        "/etc/{hosts,hostname,resolv.conf,nsswitch.conf,host.conf,gai.conf,services,protocols}",
        "names and addresses",
    ),
    ("r", "/etc/{passwd,group}", "getpwuid, id, servers that change their user"),
    ("r", "/etc/{localtime,timezone,locale.alias,os-release,machine-id}", "times, languages, which system this is"),
    (
        "r",
        "/usr/share/{zoneinfo,locale,locale-langpack,i18n,terminfo,common-licenses}/{,**}",
        "the same, and terminals",
    ),
    (
        "r",
        "/etc/{ssl,pki,ca-certificates}/{,certs/}{,*.cnf,*.pem,*.crt,*.0,java/*,tls/**,ca-trust/**}",
        "certificates to check others by; no private keys",
    ),
    ("r", "/usr/{,local/}share/ca-certificates/{,**}", "what the links among them lead to"),
    (
        "rw",
        "/dev/{null,zero,full,random,urandom,tty,console,ptmx}",
        "the C library, shells, every language's random numbers",
    ),
    ("r", "/dev/{,fd/,pts/}", "tools that list them"),
    ("rw", "/dev/pts/*", "terminals"),
    ("rwk", "/dev/shm/{,**}", "shm_open, semaphores"),
    ("rw", "/dev/mqueue/{,**}", "POSIX message queues"),
    // A rule of Landlock cannot say "their own" processes; what is beside them is masked or read-only.
    ("rw", "/proc/{,**}", "programs look at and tune their own processes"),
    ("r", "/sys/{,**}", "numbers of CPUs, cgroup limits (JVM, Go), huge pages; mounted read-only"),
];

/// The same, parsed.
pub fn rules() -> impl Iterator<Item = (Pattern, Access)> {
    BASE.iter().map(|(access, pattern, _)| {
        let (pattern, access) = (Pattern::parse(pattern), Access::parse(access));
        (pattern.expect("a test parses all"), access.expect("a test parses all"))
    })
}
