//! The command line client: parses arguments, calls the library.

fn main() {}
