//! Tables of plain columns, for people and for `awk`.

use comfy_table::{CellAlignment, Table, TableStyle};

/// The lines of a table; all but the first `text_columns` columns hold numbers, which stand at the right.
pub(super) fn columns(header: &[&str], text_columns: usize, rows: Vec<Vec<String>>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(header).add_rows(rows);
    for (n, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if n >= text_columns {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_string()).collect()
}
