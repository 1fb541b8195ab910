//! The recorded counts: a file of lines, a name and a number each.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// How far a count may be off. The same sources and compiler give the same counts within 0.1 % (addresses that differ
/// from run to run move a few allocations), other C libraries and processors within 2 %; what is worth a look is more.
pub(crate) const TOLERANCE_PERCENT: f64 = 3.0;

/// Instructions per item by path.
pub(crate) type Counts = BTreeMap<String, f64>;

pub(crate) struct Table {
    /// What the compiler says of itself.
    pub(crate) rustc: String,
    pub(crate) counts: Counts,
}

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/instructions/counts.txt"))
}

pub(crate) fn read() -> Result<Table, String> {
    let text = fs::read_to_string(file()).map_err(|error| format!("{}: {error}", file().display()))?;
    let mut table = Table { rustc: String::new(), counts: Counts::new() };
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        match line.rsplit_once(' ') {
            _ if line.starts_with("rustc ") => table.rustc = line.to_string(),
            Some((name, count)) => {
                let count = count.parse().map_err(|_| format!("not a count: {line}"))?;
                table.counts.insert(name.trim_end().to_string(), count);
            }
            None => return Err(format!("not a count: {line}")),
        }
    }
    Ok(table)
}

pub(crate) fn write(table: &Table) -> Result<(), String> {
    let mut text = "# Instructions per item; see main.rs beside this file. Written by:\n\
                    # cargo run --release --example instructions -- --update\n"
        .to_string();
    text.push_str(&format!("{}\n", table.rustc));
    for (name, count) in &table.counts {
        text.push_str(&format!("{name:<40} {count:>9.1}\n"));
        println!("{name:<40} {count:>9.1}");
    }
    fs::write(file(), text).map_err(|error| error.to_string())
}

/// Prints both; how many are off by more than the tolerance, are not recorded, or are not measured any more.
pub(crate) fn compare(recorded: &Counts, measured: &Counts) -> usize {
    let mut wrong = 0;
    println!("{:<40} {:>9} {:>9} {:>8}", "instructions per item", "recorded", "measured", "change");
    for (name, now) in measured {
        let Some(then) = recorded.get(name) else {
            println!("{name:<40} {:>9} {now:>9.1}", "none");
            wrong += 1;
            continue;
        };
        let percent = (now / then - 1.0) * 100.0;
        let off = percent.abs() > TOLERANCE_PERCENT;
        wrong += usize::from(off);
        println!("{name:<40} {then:>9.1} {now:>9.1} {percent:>+7.2}%{}", if off { "  <--" } else { "" });
    }
    for name in recorded.keys().filter(|name| !measured.contains_key(*name)) {
        println!("{name:<40} is recorded but not measured");
        wrong += 1;
    }
    wrong
}
