//! The server: parses arguments, calls the library.

use std::process::ExitCode;

use disque::config::{self, StartAction};
use disque::net;

fn main() -> ExitCode {
    let start_dir = match std::env::current_dir() {
        Ok(dir) => dir,
        Err(error) => {
            eprintln!("disque-server: cannot tell the current directory: {error}");
            return ExitCode::FAILURE;
        }
    };
    match config::load(std::env::args_os().skip(1), &start_dir, &mut config::read_source) {
        Ok(StartAction::Print(text)) => {
            println!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Ok(StartAction::Run(loaded)) => net::serve(*loaded).unwrap_or_else(|error| {
            tracing::error!("{error}");
            eprintln!("disque-server: {error}");
            ExitCode::FAILURE
        }),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
