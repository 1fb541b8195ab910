//! The command line client: parses arguments, calls the library.

fn main() -> std::process::ExitCode {
    disque::cli::run()
}
