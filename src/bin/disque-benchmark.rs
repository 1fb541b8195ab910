//! The load generator: parses arguments, calls the library.

fn main() -> std::process::ExitCode {
    disque::benchmark::run()
}
