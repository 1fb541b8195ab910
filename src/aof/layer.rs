//! What the append-only file needs of a file system, so that tests can put another one in its place.

use std::io;

/// One directory. Calls block; each is one call of the system, or as good as one.
///
/// Names are plain file names inside the directory. An error leaves open what of a call has happened, as on real
/// disks; only [`FileLayer::sync`] and [`FileLayer::sync_dir`] promise anything about power cuts.
pub trait FileLayer {
    /// An open file. Clones mean the same file.
    type File: Clone;

    /// Makes an empty file, in the place of one that has the name.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;

    /// Opens a file for reading and writing.
    fn open(&mut self, name: &str) -> io::Result<Self::File>;

    /// Reads at most as many bytes as there is room for; 0 at the end of the file.
    fn read(&mut self, file: &Self::File, at: u64, room: &mut [u8]) -> io::Result<usize>;

    /// Writes at least one of the bytes, and says how many.
    fn write(&mut self, file: &Self::File, at: u64, bytes: &[u8]) -> io::Result<usize>;

    /// How many bytes the file has.
    fn size(&mut self, file: &Self::File) -> io::Result<u64>;

    /// Cuts the file to this length.
    fn truncate(&mut self, file: &Self::File, len: u64) -> io::Result<()>;

    /// Returns when all that was written to the file survives a power cut. After an error nothing written since
    /// the last success can be believed to, whatever later calls return.
    fn sync(&mut self, file: &Self::File) -> io::Result<()>;

    /// Gives a file another name, in the place of one that has it.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// The names in the directory, in any order.
    fn list(&mut self) -> io::Result<Vec<String>>;

    /// Returns when the names of files survive a power cut.
    fn sync_dir(&mut self) -> io::Result<()>;
}

/// Writes all bytes. Returns how many were written before the error, if there was one.
pub(super) fn write_all<L: FileLayer>(
    layer: &mut L,
    file: &L::File,
    mut at: u64,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        match layer.write(file, at, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                bytes = &bytes[written..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Does it again if a signal came in between. Not for syncs that failed otherwise: those must not be believed.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
