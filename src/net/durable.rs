//! Replacing a file so that a crash at any moment leaves either the old one or the new one.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Writes `bytes` beside `path`, syncs, renames it over `path` and syncs the directory. Returns the new file,
/// locked if the old one's lock is to be carried over (nobody else can have locked it before it has its name).
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let beside = beside(path);
    let mut file = File::create(&beside)?;
    // The mode of the old file is part of what the operator set up.
    if let Ok(old) = fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    file.try_lock()?;
    fs::rename(&beside, path)?;
    sync_directory(path)?;
    Ok(file)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
