//! `info`: one row per node.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, TableStyle};

use super::node::{self, Node, short};
use super::{Cluster, Exit, Fault};

const HEADER: [&str; 10] =
    ["node", "id", "flags", "version", "jobs", "queues", "memory", "clients", "blocked", "links"];
/// The columns that are text; the rest are numbers.
const TEXT_COLUMNS: usize = 4;

/// Shows all nodes that a node knows. Exit code 1 if one of them cannot be reached.
pub(super) fn info(cluster: &Cluster, address: Option<&String>) -> Result<Exit, Fault> {
    let (nodes, missing) = node::all(cluster, cluster.node(address)?);
    let mut rows: Vec<_> = nodes.iter().map(|node| row(node, nodes.len() + missing.len())).collect();
    for (member, _) in &missing {
        let mut cells =
            vec![member.address.clone(), short(&member.id).to_string(), "unreachable".to_string()];
        cells.resize(HEADER.len(), "-".to_string());
        rows.push(cells);
    }
    rows.sort();
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(HEADER).add_rows(rows);
    for (n, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if n >= TEXT_COLUMNS {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut stdout = io::stdout().lock();
    table.lines().try_for_each(|line| writeln!(stdout, "{}", line.trim_end()))?;
    Ok(if missing.is_empty() { Exit::Success } else { Exit::Refused })
}

fn row(node: &Node, nodes: usize) -> Vec<String> {
    let flags = node.own().map_or(Vec::new(), |own| own.flags.clone());
    let flags: Vec<_> = flags.into_iter().filter(|flag| flag != "myself").collect();
    let links = node.others().filter(|member| member.connected).count();
    let field = |name: &str| node.field(name).unwrap_or("-").to_string();
    vec![
        node.address().to_string(),
        short(&node.id).to_string(),
        if flags.is_empty() { "-".to_string() } else { flags.join(",") },
        field("disque_version"),
        field("registered_jobs"),
        field("registered_queues"),
        field("used_memory_human"),
        field("connected_clients"),
        field("blocked_clients"),
        format!("{links}/{}", nodes - 1),
    ]
}
