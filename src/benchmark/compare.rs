//! Two files of results side by side: what has changed.

use std::io::{self, Write as _};
use std::path::Path;

use super::fault::Fault;
use super::results::{Better, FIGURES, Figure, Group, number, read};

/// Changes below this share of a figure are not called better or worse.
const NOTABLE_PERCENT: f64 = 3.0;

/// Prints the medians of both files and by how much they differ, for every title, server and figure that both have.
pub(super) fn run(before: &Path, after: &Path) -> Result<(), Fault> {
    let (old, new) = (read(&[before])?, read(&[after])?);
    let mut out = io::stdout().lock();
    let mut common = 0;
    writeln!(
        out,
        "{:<44} {:<22} {:>12} {:>12} {:>9}",
        "title, server", "figure", "before", "after", "change"
    )?;
    for group in &new {
        let Some(earlier) = old.iter().find(|other| other.title == group.title && other.peer == group.peer)
        else {
            continue;
        };
        common += 1;
        for figure in FIGURES {
            if let Some(line) = line(figure, earlier, group) {
                writeln!(out, "{line}")?;
            }
        }
    }
    if common == 0 {
        return Err(Fault::Results {
            file: after.display().to_string(),
            why: format!("has no measurement in common with {}", before.display()),
        });
    }
    Ok(())
}

fn line(figure: &Figure, before: &Group, after: &Group) -> Option<String> {
    let (old, new) = (before.median(figure)?, after.median(figure)?);
    let name = format!("{}, {}", after.title, after.peer);
    let verdict = verdict(figure.better, old, new);
    Some(format!("{name:<44} {:<22} {:>12} {:>12} {verdict:>9}", figure.name, number(old), number(new)))
}

fn verdict(better: Better, old: f64, new: f64) -> String {
    if old == 0.0 {
        return if new == 0.0 { "same" } else { "new" }.to_string();
    }
    let percent = (new / old - 1.0) * 100.0;
    let word = match better {
        _ if percent.abs() < NOTABLE_PERCENT => "",
        Better::Less if percent < 0.0 => " better",
        Better::More if percent > 0.0 => " better",
        _ => " worse",
    };
    format!("{percent:+.1} %{word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_is_called_by_the_way_the_figure_is_the_better() {
        assert_eq!(verdict(Better::Less, 2.0, 1.0), "-50.0 % better");
        assert_eq!(verdict(Better::More, 2.0, 1.0), "-50.0 % worse");
        assert_eq!(verdict(Better::Less, 1.0, 1.029), "+2.9 %");
        assert_eq!(verdict(Better::Less, 0.0, 0.0), "same");
    }
}
