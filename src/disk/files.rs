//! A directory of the operating system.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::aof::FileLayer;

/// The files of one directory, which is named once: it stays the same when the process goes elsewhere.
#[derive(Clone, Debug)]
pub struct OsFiles {
    dir: PathBuf,
}

impl OsFiles {
    /// The directory with this path; a relative one is resolved now.
    pub fn new(dir: &Path) -> io::Result<OsFiles> {
        Ok(OsFiles { dir: dir.canonicalize()? })
    }

    /// Where a file is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl FileLayer for OsFiles {
    type File = Arc<File>;

    fn create(&mut self, name: &str) -> io::Result<Arc<File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).open(self.path(name)).map(Arc::new)
    }

    fn open(&mut self, name: &str) -> io::Result<Arc<File>> {
        OpenOptions::new().read(true).write(true).open(self.path(name)).map(Arc::new)
    }

    fn read(&mut self, file: &Arc<File>, at: u64, room: &mut [u8]) -> io::Result<usize> {
        file.read_at(room, at)
    }

    fn write(&mut self, file: &Arc<File>, at: u64, bytes: &[u8]) -> io::Result<usize> {
        file.write_at(bytes, at)
    }

    fn size(&mut self, file: &Arc<File>) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn truncate(&mut self, file: &Arc<File>, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn sync(&mut self, file: &Arc<File>) -> io::Result<()> {
        file.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            // Names that are not UTF-8 are none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}
