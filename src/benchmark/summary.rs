//! Medians by title and server, as tables and as charts.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::chart::{Bar, Chart};
use super::fault::Fault;
use super::results::{FIGURES, Figure, Group, by_title, number, read};
use super::statistics::ratio;

/// Prints a table per title, in Markdown, and writes the charts.
pub(super) fn run(files: &[PathBuf], svg: Option<&Path>, across: Option<&str>) -> Result<(), Fault> {
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let groups = read(&files)?;
    let mut out = io::stdout().lock();
    for (title, members) in by_title(&groups) {
        writeln!(out, "{}", table(title, &members))?;
    }
    let Some(dir) = svg else { return Ok(()) };
    fs::create_dir_all(dir)?;
    let charts = match across {
        None => by_title(&groups).into_iter().map(|(title, members)| chart(title, &members)).collect(),
        Some(name) => charts_across(name, &groups),
    };
    for chart in charts {
        fs::write(dir.join(format!("{}.svg", slug(&chart.title))), chart.svg())?;
    }
    Ok(())
}

/// The figures that any of the groups has.
fn figures_of(members: &[&Group]) -> Vec<&'static Figure> {
    FIGURES.iter().filter(|figure| members.iter().any(|group| group.median(figure).is_some())).collect()
}

fn table(title: &str, members: &[&Group]) -> String {
    let figures = figures_of(members);
    let heads: Vec<&str> = figures.iter().map(|figure| figure.name).collect();
    let mut text = format!("### {title}\n\n| server | {} | runs |\n", heads.join(" | "));
    text.push_str(&format!("|{}\n", " --- |".repeat(figures.len() + 2)));
    for group in members {
        let cells: Vec<String> = figures.iter().map(|figure| cell(figure, group, members[0])).collect();
        text.push_str(&format!("| {} | {} | {} |\n", group.peer, cells.join(" | "), group.runs.len()));
    }
    text
}

/// A median and, for others than the first server, how many times that of the first it is.
fn cell(figure: &Figure, group: &Group, first: &Group) -> String {
    let Some(value) = group.median(figure) else { return String::new() };
    match first.median(figure) {
        Some(own) if own > 0.0 && group.peer != first.peer => {
            format!("{} ({:.2}×)", number(value), ratio(value, own))
        }
        _ => number(value),
    }
}

/// The most telling figure of a title, a bar for each server. Latencies show their tail.
fn chart(title: &str, members: &[&Group]) -> Chart {
    let figures = figures_of(members);
    let tail = figures.iter().find(|figure| figure.field == "latency_p999_usec");
    let drain = figures.iter().find(|figure| figure.field == "drain_cpu_usec_per_job");
    let Some(figure) = tail.or(drain).or(figures.first()) else {
        return Chart { title: title.to_string(), figure: String::new(), bars: Vec::new() };
    };
    let bar = |group: &&Group| {
        let value = group.median(figure)?;
        Some(Bar { name: group.peer.clone(), value, is_first: group.peer == members[0].peer })
    };
    let bars = members.iter().filter_map(bar).collect();
    Chart { title: title.to_string(), figure: figure.name.to_string(), bars }
}

/// A chart per figure, a bar for each title of the first server.
fn charts_across(name: &str, groups: &[Group]) -> Vec<Chart> {
    let Some(first) = groups.first() else { return Vec::new() };
    let own: Vec<&Group> = groups.iter().filter(|group| group.peer == first.peer).collect();
    let chart = |figure: &'static Figure| {
        let bar = |group: &&Group| {
            Some(Bar { name: group.title.clone(), value: group.median(figure)?, is_first: true })
        };
        let bars = own.iter().filter_map(bar).collect();
        Chart { title: format!("{name}: {}", figure.name), figure: figure.name.to_string(), bars }
    };
    figures_of(&own).into_iter().map(chart).collect()
}

/// A title as a file name.
fn slug(title: &str) -> String {
    let mut slug = String::new();
    for c in title.replace('µ', "u").chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_plain() {
        assert_eq!(slug("cycle, window 64: µs CPU (4 KB)"), "cycle-window-64-us-cpu-4-kb");
    }
}
