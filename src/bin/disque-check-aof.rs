//! Verifies, repairs and converts append-only files: calls the library.

use std::io;
use std::process::ExitCode;

use disque::check::{self, Terminal};

fn main() -> ExitCode {
    let terminal = &mut Terminal {
        input: &mut io::stdin().lock(),
        output: &mut io::stdout().lock(),
        progress: &mut io::stderr().lock(),
    };
    check::run(std::env::args_os(), terminal)
}
