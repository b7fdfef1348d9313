//! The thin binary: hand the arguments to the library and turn what comes back into an exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    hardrun::cli::main()
}
