//! The tests that need root: they run the real binary and look at the container from inside and from the host's kernel.
//!
//! One static program with seven faces, so that the same file runs here and in a virtual machine:
//!
//! ```text
//! integration [--list] [--jobs N] [NAME…]   run the cases whose name contains one of the words; --skips: only these may be skipped
//! integration bench startup|paths|surface|order|presets …  measure beside other engines, prove the presets
//! integration compare …                     the same scripts with docker and with hardrun, see `compare/`
//! integration table                         the probes of past escapes and the layers of this host, a line each
//! integration reboot DIR                    make this machine busy, and reset it
//! integration probe WHAT …                  runs inside containers and prints what it met
//! integration helper WHAT …                 child processes that the harness starts itself
//! ```
//!
//! A new group of cases is a file in `cases/` and a line in `cases/mod.rs`.

mod cases;
mod compare;
mod harness;
mod measure;
mod probe;

use std::process::ExitCode;

fn main() -> ExitCode {
    // A runner in the background of a script may have been started with interrupts ignored, and children inherit that.
    if let Err(e) = hardrun::sys::process::hear_interrupts() {
        eprintln!("cannot hear interrupts: {e}");
        return ExitCode::FAILURE;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("bench") => measure::main(&args[1..]),
        Some("compare") => compare::main(&args[1..]),
        Some("table") => cases::probes::table(),
        Some("reboot") => cases::reboot::main(&args[1..]),
        Some("probe") => probe::main(&args[1..]),
        Some("helper") => harness::helper::main(&args[1..]),
        _ => harness::runner::main(&args, &cases::all()),
    }
}
