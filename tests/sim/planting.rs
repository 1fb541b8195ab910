//! Mistakes of old, kept as changes to the source: each is planted into a copy of it, and the simulation must find it.
//!
//! A file tells the story, then for each change the path behind `@@`, and between `<<<<`, `====` and `>>>>` what stands
//! there now, exactly once, and what shall stand there instead. Positions are not named, so that the files survive
//! most changes around them; a test sees to it that all of them still fit.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "shared by a test and a tool, which each use a part"
)]

use std::fs;
use std::path::Path;

/// One change of one file.
#[derive(Debug)]
pub struct Change {
    pub path: String,
    pub old: String,
    pub new: String,
}

/// Reads the changes of a planted bug.
pub fn parse(text: &str) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    for part in text.split("\n@@ ").skip(1) {
        let (path, rest) = part.split_once("\n<<<<\n").ok_or("no <<<< behind a path")?;
        let (old, rest) = rest.split_once("\n====\n").ok_or("no ==== behind <<<<")?;
        let (new, _) = rest.split_once("\n>>>>").ok_or("no >>>> behind ====")?;
        changes.push(Change { path: path.to_owned(), old: old.to_owned(), new: new.to_owned() });
    }
    if changes.is_empty() { Err("nothing is changed".to_owned()) } else { Ok(changes) }
}

/// The changed text of a file of the tree below `root`.
pub fn changed(change: &Change, root: &Path) -> Result<String, String> {
    let text =
        fs::read_to_string(root.join(&change.path)).map_err(|why| format!("{}: {why}", change.path))?;
    match text.matches(&change.old).count() {
        1 => Ok(text.replacen(&change.old, &change.new, 1)),
        count => Err(format!("{} has {count} times:\n{}", change.path, change.old)),
    }
}

/// Makes the mistake in the tree below `root`.
pub fn plant(file: &Path, root: &Path) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|why| why.to_string())?;
    for change in parse(&text)? {
        let text = changed(&change, root)?;
        fs::write(root.join(&change.path), text).map_err(|why| why.to_string())?;
    }
    Ok(())
}
