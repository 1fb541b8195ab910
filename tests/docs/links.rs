//! Links lead somewhere: files exist, and so do the headings that they name.

use std::collections::BTreeSet;

use crate::pages::{self, Piece};

/// The anchor that a heading gets: lower case, blanks as hyphens, without what is neither a letter, a digit, a hyphen
/// nor an underscore.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

fn prose(page: &str) -> Vec<(usize, String)> {
    let pieces = pages::pieces(&pages::read(page)).into_iter();
    pieces
        .filter_map(|piece| match piece {
            Piece::Prose(line, text) => Some((line, text)),
            Piece::Block(_) => None,
        })
        .collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    prose(page).iter().filter_map(|(_, line)| pages::heading(line)).map(anchor).collect()
}

/// The targets of the links and pictures of a line.
fn targets(line: &str) -> Vec<&str> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let of_tags =
        line.split("src=\"").skip(1).filter_map(|rest| rest.split_once('"')).map(|(target, _)| target);
    inline.chain(of_tags).collect()
}

/// The path of a file that a page names relative to itself.
fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => assert!(parts.pop().is_some(), "{page}: {target} leaves the source"),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn check(page: &str, target: &str) -> Result<(), String> {
    if target.starts_with("https://") {
        return Ok(());
    }
    let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
    let file = if file.is_empty() { page.to_owned() } else { resolve(page, file) };
    if !pages::path(&file).exists() {
        return Err(format!("there is no {file}"));
    }
    if fragment.is_empty() || (file.ends_with(".md") && anchors(&file).contains(fragment)) {
        return Ok(());
    }
    Err(format!("{file} has no heading for #{fragment}"))
}

#[test]
fn every_link_leads_to_a_file_or_a_heading() {
    let mut faults = Vec::new();
    let mut links = 0;
    for page in pages::all() {
        for (number, line) in prose(&page) {
            for target in targets(&line) {
                links += 1;
                if let Err(why) = check(&page, target) {
                    faults.push(format!("{page}:{number}: {target}: {why}"));
                }
            }
        }
    }
    assert!(links > 0, "links are found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_page_of_the_manual_is_in_its_contents() {
    let contents = prose("docs/manual/README.md");
    let named: BTreeSet<&str> = contents.iter().flat_map(|(_, line)| targets(line)).collect();
    for page in pages::manual() {
        let file = page.rsplit('/').next().expect("a path has a last part");
        assert!(file == "README.md" || named.contains(file), "docs/manual/README.md does not name {file}");
    }
}

#[test]
fn anchors_are_those_of_the_usual_renderers() {
    for (title, expected) in [
        ("ADDJOB", "addjob"),
        ("A node that crashed, and how", "a-node-that-crashed-and-how"),
        ("`-OOM`", "-oom"),
    ] {
        assert_eq!(anchor(title), expected);
    }
    assert!(check("README.md", "docs/durability.md#the-files").is_ok());
    assert!(check("README.md", "docs/durability.md#no-such-heading").is_err());
    assert!(check("docs/durability.md", "../no-such-file").is_err());
    assert_eq!(targets("[a](b.md#c) and ![d](e.svg)"), ["b.md#c", "e.svg"]);
}
