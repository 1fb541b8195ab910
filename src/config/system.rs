//! The one place of this room that touches the world: reading a whole file.

use std::fs::File;
use std::io::{self, Read};

use super::error::Source;

/// Longest configuration file; nobody writes longer ones, and a device that never ends must not hang the
/// start.
const MAX_FILE_LEN: u64 = 1 << 20;

/// Reads all of a file, or of the standard input.
pub fn read_source(source: &Source) -> io::Result<Vec<u8>> {
    match source {
        Source::File(path) => read_bounded(File::open(path)?),
        Source::StandardInput => read_bounded(io::stdin().lock()),
        Source::CommandLine => Ok(Vec::new()),
    }
}

fn read_bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    reader.take(MAX_FILE_LEN + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE_LEN {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_mebibyte_is_read_and_a_longer_one_refused() {
        assert_eq!(read_bounded(io::repeat(b'#').take(MAX_FILE_LEN)).unwrap().len() as u64, MAX_FILE_LEN);
        let error = read_bounded(io::repeat(b'#')).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let source = Source::File("/nonexistent/disque.conf".into());
        assert_eq!(read_source(&source).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
