//! Strips the release binary (unless HARDRUN_SYMBOLS is set) and lays the functions that a start runs side by side in it, in the order of `startup.order`.
//!
//! A start touches a fifth of the text, spread over all of it. The kernel maps text in pieces of 64 KiB around each page fault: without
//! the order, nearly all of it becomes resident, by three times as many faults. `integration/bench order --write` makes the list anew.

use std::env;
use std::path::Path;
use std::process::Command;

const ORDER: &str = "startup.order";

fn main() {
    println!("cargo:rerun-if-changed={ORDER}");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=HARDRUN_SYMBOLS");
    let of = |name: &str| env::var(name).unwrap_or_default();
    if of("PROFILE") != "release" || of("TARGET") != "x86_64-unknown-linux-gnu" {
        return;
    }
    // By the linker, not by the profile: the names that the list goes by are the same with and without.
    if env::var_os("HARDRUN_SYMBOLS").is_none() {
        println!("cargo:rustc-link-arg-bin=hardrun=-Wl,--strip-all");
    }
    let order = Path::new(&of("CARGO_MANIFEST_DIR")).join(ORDER);
    let rustc = of("RUSTC");
    if !linker_is_lld(&rustc) {
        println!(
            "cargo:warning=the release binary's functions are not laid out: this toolchain does not link with its own lld"
        );
        return;
    }
    // Symbols hold a hash that differs from compiler to compiler.
    let made_with = std::fs::read_to_string(&order).unwrap_or_default();
    let version = output(&rustc, &["--version"]);
    if !made_with.lines().next().is_some_and(|line| line.ends_with(&format!("with {version}"))) {
        println!(
            "cargo:warning={ORDER} was made with another compiler than {version}: starting takes more memory and a little longer (integration/bench order --write)"
        );
    }
    println!("cargo:rustc-link-arg-bin=hardrun=-Wl,--symbol-ordering-file={}", order.display());
    println!("cargo:rustc-link-arg-bin=hardrun=-Wl,--no-warn-symbol-ordering");
}

/// Whether the toolchain brings lld and links with it without being asked (Rust 1.90 on this target).
fn linker_is_lld(rustc: &str) -> bool {
    let brings = Path::new(&output(rustc, &["--print", "target-libdir"])).join("../bin/gcc-ld/ld.lld").exists();
    let version = output(rustc, &["--version"]);
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    brings && minor.is_some_and(|minor| minor >= 90)
}

fn output(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().expect("the compiler that runs this script can be run");
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}
