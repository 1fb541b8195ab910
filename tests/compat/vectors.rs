//! The recorded files, and the texts that say what is in them.

use std::path::{Path, PathBuf};

use disque::types::NodeId;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/vectors").join(name)
}

/// A file as it is.
pub fn file(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A file as text.
pub fn text(name: &str) -> String {
    String::from_utf8(file(name)).expect("a text file")
}

/// The frame in `<name>.hex`.
pub fn frame(name: &str) -> Vec<u8> {
    let hex = text(&format!("{name}.hex"));
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let (pairs, []) = digits.as_chunks::<2>() else { panic!("{name}: an odd number of digits") };
    let value = |digit: u8| char::from(digit).to_digit(16).expect("a hexadecimal digit") as u8;
    pairs.iter().map(|[high, low]| value(*high) << 4 | value(*low)).collect()
}

/// The names of all recorded frames, without `.hex`, sorted.
pub fn frame_names() -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path("")).expect("the directory of vectors") {
        let name = entry.expect("an entry").file_name().into_string().expect("a plain name");
        names.extend(name.strip_suffix(".hex").map(str::to_owned));
    }
    names.sort();
    names
}

/// Nodes by their letters: the lines `node <letter> <id>` of a text.
pub struct Legend(Vec<(String, NodeId)>);

impl Legend {
    pub fn of(text: &str) -> Legend {
        let nodes = text.lines().filter_map(|line| {
            let (letter, id) = line.strip_prefix("node ")?.split_once(' ')?;
            Some((letter.to_owned(), NodeId::parse(id.as_bytes()).expect("a node ID")))
        });
        Legend(nodes.collect())
    }

    /// The letter, or the ID of a node that has none.
    pub fn name(&self, id: NodeId) -> String {
        let named = self.0.iter().find(|(_, known)| *known == id);
        named.map_or_else(|| id.to_string(), |(letter, _)| letter.clone())
    }
}
