//! Pages as text: reading them, their blocks of code, and the parts that are printed from tables.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

/// Whether the pages are to be made right instead of judged.
pub fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// Held by tests that may write pages: they take turns.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed leaves whole pages behind.
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub fn write(name: &str, text: &str) {
    std::fs::write(path(name), text).expect("the source can be written");
}

/// All pages in Markdown, by their paths in the source.
pub fn all() -> Vec<String> {
    let mut names: Vec<String> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].iter().map(|name| (*name).to_owned()).collect();
    for dir in ["docs", "docs/manual", "utils/packaging"] {
        for entry in std::fs::read_dir(path(dir)).expect("the directory is part of the source") {
            let name = entry.expect("it can be read").file_name().into_string().expect("names are text");
            if name.ends_with(".md") {
                names.push(format!("{dir}/{name}"));
            }
        }
    }
    names.sort();
    names
}

/// The pages of the manual.
pub fn manual() -> Vec<String> {
    all().into_iter().filter(|name| name.starts_with("docs/manual/")).collect()
}

/// Makes sure that a page has `wanted` between the comment that begins with `<!-- KEY:` and `<!-- end of KEY -->`.
pub fn expect_part(page: &str, key: &str, wanted: &str) {
    let _turn = turn();
    let text = read(page);
    let (head, rest) = text.split_once(&format!("<!-- {key}: ")).unwrap_or_else(|| panic!("{page}: {key}"));
    let (comment, rest) = rest.split_once("-->\n").expect("the comment ends");
    let (found, tail) = rest.split_once(&format!("<!-- end of {key} -->")).expect("the part ends");
    let wanted = format!("{}\n", wanted.trim_end());
    if found == wanted {
        return;
    }
    assert!(updating(), "{page}: {key} is out of date; run UPDATE_GOLDEN=1 cargo test --test docs");
    write(page, &format!("{head}<!-- {key}: {comment}-->\n{wanted}<!-- end of {key} -->{tail}"));
}

/// A piece of a page.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Lines outside of blocks, each with its number.
    Prose(usize, String),
    Block(Block),
}

/// A fenced block of code.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The number of its first line, the fence.
    pub line: usize,
    /// What stands behind the fence.
    pub language: String,
    pub lines: Vec<String>,
}

pub fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block { line: index + 1, language: language.to_owned(), lines: Vec::new() });
            }
            (Some(_), Some("")) => pieces.extend(open.take().map(Piece::Block)),
            (Some(block), _) => block.lines.push(line.to_owned()),
            (None, None) => pieces.push(Piece::Prose(index + 1, line.to_owned())),
        }
    }
    assert!(open.is_none(), "a block does not end: {open:?}");
    pieces
}

/// The text of a page again.
pub fn text_of(pieces: &[Piece]) -> String {
    let mut text = String::new();
    for piece in pieces {
        let lines = match piece {
            Piece::Prose(_, line) => line.clone(),
            Piece::Block(block) if block.lines.is_empty() => format!("```{}\n```", block.language),
            Piece::Block(block) => format!("```{}\n{}\n```", block.language, block.lines.join("\n")),
        };
        writeln!(text, "{lines}").expect("a string takes everything");
    }
    text
}

/// The title of a heading, if the line is one.
pub fn heading(line: &str) -> Option<&str> {
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    (1..=6).contains(&level).then_some(title).and_then(|title| title.strip_prefix(' '))
}

/// One command of an example and what is shown below it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    pub command: String,
    pub shown: Vec<String>,
}

/// The exchanges of a block, in which commands begin with `prompt`.
pub fn exchanges(block: &Block, prompt: &str) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for line in &block.lines {
        match (line.strip_prefix(prompt), exchanges.last_mut()) {
            (Some(command), _) => {
                exchanges.push(Exchange { command: command.to_owned(), shown: Vec::new() });
            }
            (None, Some(last)) => last.shown.push(line.clone()),
            (None, None) => panic!("line {}: an example begins with {prompt:?}", block.line),
        }
    }
    exchanges
}

/// Whether lines fit those of a page, where a line `...` stands for any number of lines.
pub fn fits(documented: &[String], actual: &[String]) -> bool {
    match documented.split_first() {
        None => actual.is_empty(),
        Some((line, rest)) if line.trim() == "..." => {
            (0..=actual.len()).any(|skipped| fits(rest, &actual[skipped..]))
        }
        Some((line, rest)) => actual.first() == Some(line) && fits(rest, &actual[1..]),
    }
}

#[test]
fn a_page_is_its_pieces_and_an_ellipsis_fits_any_lines() {
    let page = "# A\n\n```disque\n> PING\nPONG\n```\nend\n";
    assert_eq!(text_of(&pieces(page)), page);
    let Piece::Block(block) = &pieces(page)[2] else { panic!("the third piece is a block") };
    let exchange = Exchange { command: "PING".to_owned(), shown: vec!["PONG".to_owned()] };
    assert_eq!(exchanges(block, "> "), [exchange]);
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert!(fits(&lines("a ... c"), &lines("a b b c")));
    assert!(fits(&lines("a ..."), &lines("a")));
    assert!(!fits(&lines("a ... c"), &lines("a b b")));
    assert!(!fits(&lines("a"), &lines("a b")));
    assert_eq!((heading("## B c"), heading("#no"), heading("text")), (Some("B c"), None, None));
}
