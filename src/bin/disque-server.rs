//! The server: parses arguments, calls the library.

fn main() {}
