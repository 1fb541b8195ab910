//! What is drawn, and what keys do.

use std::cmp::Ordering;

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::super::stat::rate;
use super::picture::{NODE_HEADER, Picture, QueueRow, queue_cells};
use crate::types::counted;

/// What queues can be sorted by; each is a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sort {
    Name,
    #[default]
    Jobs,
    InFlight,
    In,
    Out,
    Oldest,
    Waiting,
}

const SORTS: [Sort; 7] =
    [Sort::Name, Sort::Jobs, Sort::InFlight, Sort::In, Sort::Out, Sort::Oldest, Sort::Waiting];
const QUEUE_HEADER: [&str; 9] =
    ["Queue", "Jobs", "Flight", "In/s", "Out/s", "Oldest", "Waiting", "Nodes", "Paused"];
const KEYS: &str = "q quit  / filter  s or <> sort  r reverse  space hold  arrows scroll";

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    GoOn,
    End,
}

/// The picture, and how the user wants to see it.
#[derive(Debug, Default)]
pub(super) struct Screen {
    picture: Picture,
    sort: Sort,
    is_reversed: bool,
    filter: String,
    is_typing: bool,
    /// The picture stays as it is.
    is_held: bool,
    /// The first queue that is shown.
    top: usize,
}

impl Screen {
    /// Takes a new picture; false if the old one is held.
    pub(super) fn see(&mut self, picture: Picture) -> bool {
        if !self.is_held {
            self.picture = picture;
        }
        !self.is_held
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Wish::End } else { Wish::GoOn };
        }
        if self.is_typing {
            self.type_filter(key.code);
            return Wish::GoOn;
        }
        let last = self.picture.queues.len().saturating_sub(1);
        match key.code {
            KeyCode::Char('q') => return Wish::End,
            KeyCode::Esc if self.filter.is_empty() => return Wish::End,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('s' | '>') => self.sort_by(1),
            KeyCode::Char('<') => self.sort_by(SORTS.len() - 1),
            KeyCode::Char('r') => self.is_reversed = !self.is_reversed,
            KeyCode::Char(' ') => self.is_held = !self.is_held,
            KeyCode::Down | KeyCode::Char('j') => self.top = (self.top + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.top = self.top.saturating_sub(1),
            KeyCode::PageDown => self.top = (self.top + 10).min(last),
            KeyCode::PageUp => self.top = self.top.saturating_sub(10),
            KeyCode::Home => self.top = 0,
            KeyCode::End => self.top = last,
            _ => {}
        }
        Wish::GoOn
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(c) => self.filter.push(c),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            _ => {}
        }
        self.top = 0;
    }

    fn sort_by(&mut self, steps: usize) {
        let at = SORTS.iter().position(|sort| *sort == self.sort).unwrap_or(0);
        self.sort = SORTS[(at + steps) % SORTS.len()];
        self.is_reversed = false;
        self.top = 0;
    }

    /// The queues that pass the filter, in order.
    fn queues(&self) -> Vec<&QueueRow> {
        let wanted = self.filter.to_lowercase();
        let mut queues: Vec<&QueueRow> =
            self.picture.queues.iter().filter(|row| row.name.to_lowercase().contains(&wanted)).collect();
        queues.sort_by(|a, b| {
            let order = order(self.sort, a, b);
            let order = if self.is_reversed { order.reverse() } else { order };
            order.then_with(|| a.name.cmp(&b.name))
        });
        queues
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        // All nodes, but never more than half of the screen.
        let nodes = (self.picture.nodes.len() as u16 + 1).min(frame.area().height / 2);
        let [head, nodes, _, queues, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(nodes),
            Constraint::Length(1),
            Constraint::Min(2),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(self.summary(), head);
        self.draw_nodes(frame, nodes);
        self.draw_queues(frame, queues);
        frame.render_widget(self.last_line(), foot);
    }

    fn summary(&self) -> Paragraph<'_> {
        let Picture { nodes, queues } = &self.picture;
        let well = nodes.iter().filter(|node| node.is_well).count();
        let sum = |part: fn(&QueueRow) -> Option<f64>| {
            queues.iter().filter_map(part).reduce(|sum, part| sum + part)
        };
        let jobs: u64 = queues.iter().map(|row| row.total.jobs).sum();
        let (into, out) = (rate(sum(|row| row.total.into)), rate(sum(|row| row.total.out)));
        let (jobs, queues) = (counted(jobs, "job", "jobs"), counted(queues.len(), "queue", "queues"));
        let nodes_text = format!("disque  {well} of {} well", counted(nodes.len(), "node", "nodes"));
        let style = if well == nodes.len() { Style::new() } else { Style::new().fg(Color::Red) };
        Paragraph::new(Line::from(vec![
            Span::styled(nodes_text, style.add_modifier(Modifier::BOLD)),
            Span::raw(format!("  {jobs} in {queues}  {into} in/s  {out} out/s")),
            Span::raw(if self.is_held { "  HELD" } else { "" }),
        ]))
    }

    fn draw_nodes(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.picture.nodes.iter().map(|node| {
            let style = if node.is_well { Style::new() } else { Style::new().fg(Color::Red) };
            Row::new(node.cells.clone()).style(style)
        });
        let widths = [28, 12, 9, 9, 9, 13, 12, 18, 8, 6].map(Constraint::Max);
        let header = Row::new(NODE_HEADER).style(Style::new().add_modifier(Modifier::REVERSED));
        frame.render_widget(Table::new(rows, widths).header(header), area);
    }

    fn draw_queues(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.queues().into_iter().skip(self.top).map(|row| {
            let style = if row.total.paused > 0 { Style::new().fg(Color::Yellow) } else { Style::new() };
            Row::new(queue_cells(row)).style(style)
        });
        let heads = QUEUE_HEADER.iter().enumerate().map(|(at, name)| {
            let sorted = SORTS.get(at) == Some(&self.sort);
            let falls = (self.sort == Sort::Name) == self.is_reversed;
            let mark = if falls { "▼" } else { "▲" };
            Cell::new(if sorted { format!("{name}{mark}") } else { (*name).to_string() })
        });
        let widths = [
            Constraint::Fill(1),
            Constraint::Length(9),
            Constraint::Length(9),
            Constraint::Length(9),
            Constraint::Length(9),
            Constraint::Length(9),
            Constraint::Length(9),
            Constraint::Length(7),
            Constraint::Length(12),
        ];
        let header = Row::new(heads).style(Style::new().add_modifier(Modifier::REVERSED));
        frame.render_widget(Table::new(rows, widths).header(header), area);
    }

    fn last_line(&self) -> Paragraph<'_> {
        let line = match (self.is_typing, self.filter.as_str()) {
            (true, filter) => format!("filter: {filter}_  (Enter keeps it, Esc drops it)"),
            (false, "") => KEYS.to_string(),
            (false, filter) => format!("filter: {filter} (Esc drops it)  {KEYS}"),
        };
        Paragraph::new(line).style(Style::new().add_modifier(Modifier::DIM))
    }
}

/// By name from the least, by numbers from the most.
fn order(sort: Sort, a: &QueueRow, b: &QueueRow) -> Ordering {
    let rate = |part: Option<f64>| part.unwrap_or(-1.0);
    let (a_total, b_total) = (&a.total, &b.total);
    match sort {
        Sort::Name => a.name.cmp(&b.name),
        Sort::Jobs => b_total.jobs.cmp(&a_total.jobs),
        Sort::InFlight => b_total.in_flight.cmp(&a_total.in_flight),
        Sort::In => rate(b_total.into).total_cmp(&rate(a_total.into)),
        Sort::Out => rate(b_total.out).total_cmp(&rate(a_total.out)),
        Sort::Oldest => b_total.oldest.cmp(&a_total.oldest),
        Sort::Waiting => b_total.waiting.cmp(&a_total.waiting),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::super::queues::Total;
    use super::super::picture::NodeRow;
    use super::*;

    fn queue(name: &str, jobs: u64, out: f64) -> QueueRow {
        let total =
            Total { jobs, into: Some(1.0), out: Some(out), oldest: Some(61), nodes: 2, ..Total::default() };
        let total = Total { in_flight: Some(3), ..total };
        QueueRow { name: name.to_string(), total }
    }

    fn node(name: &str, state: &str) -> NodeRow {
        let mut cells = vec![name.to_string(), state.to_string()];
        cells.resize(NODE_HEADER.len(), "7".to_string());
        NodeRow { cells, is_well: state == "ok" }
    }

    fn screen() -> Screen {
        let picture = Picture {
            nodes: vec![
                node("10.0.0.1:7711 (aaaaaaaa)", "ok"),
                node("10.0.0.2:7711 (bbbbbbbb)", "unreachable"),
            ],
            queues: vec![queue("mail", 5, 9.0), queue("images", 80, 2.0), queue("Mailing", 1, 3.0)],
        };
        let mut screen = Screen::default();
        assert!(screen.see(picture));
        screen
    }

    fn lines(screen: &Screen, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it is in memory");
        terminal.draw(|frame| screen.draw(frame)).expect("it is in memory");
        let buffer = terminal.backend().buffer();
        let row = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| row(y).trim_end().to_string()).collect()
    }

    fn press(screen: &mut Screen, keys: &str) {
        for c in keys.chars() {
            let code = match c {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                c => KeyCode::Char(c),
            };
            assert_eq!(screen.key(KeyEvent::new(code, KeyModifiers::NONE)), Wish::GoOn);
        }
    }

    /// The names of the queues in the order shown.
    fn names(screen: &Screen) -> Vec<&str> {
        screen.queues().iter().map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn nodes_queues_and_sums_are_on_the_screen() {
        let lines = lines(&screen(), 140, 12);
        assert_eq!(lines[0], "disque  1 of 2 nodes well  86 jobs in 3 queues  3.0 in/s  14 out/s");
        assert!(lines[1].starts_with("Node ") && lines[1].contains("AOF"), "{}", lines[1]);
        let lost: Vec<&str> = lines[3].split_whitespace().take(3).collect();
        assert_eq!(lost, ["10.0.0.2:7711", "(bbbbbbbb)", "unreachable"]);
        assert!(lines[5].contains("Jobs▼"), "{}", lines[5]);
        let cells: Vec<&str> = lines[6].split_whitespace().collect();
        assert_eq!(cells, ["images", "80", "3", "1.0", "2.0", "1m01s", "0", "2"]);
        assert!(lines[11].starts_with("q quit"), "{}", lines[11]);
    }

    #[test]
    fn keys_sort_reverse_and_filter() {
        let mut screen = screen();
        assert_eq!(names(&screen), ["images", "mail", "Mailing"]);
        press(&mut screen, "r");
        assert_eq!(names(&screen), ["Mailing", "mail", "images"]);
        press(&mut screen, "sss");
        assert_eq!((screen.sort, names(&screen)), (Sort::Out, vec!["mail", "Mailing", "images"]));
        press(&mut screen, "/MAIL\n");
        assert_eq!(names(&screen), ["mail", "Mailing"]);
        press(&mut screen, "<<<<");
        assert_eq!((screen.sort, names(&screen)), (Sort::Name, vec!["Mailing", "mail"]));
        press(&mut screen, "\x1b");
        assert_eq!(names(&screen).len(), 3);
        assert_eq!(screen.key(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE)), Wish::End);
        assert_eq!(screen.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Wish::End);
    }

    #[test]
    fn a_held_picture_stays() {
        let mut screen = screen();
        press(&mut screen, " ");
        assert!(!screen.see(Picture::default()));
        assert!(lines(&screen, 100, 10)[0].ends_with("HELD"));
        press(&mut screen, " ");
        assert!(screen.see(Picture::default()));
        assert_eq!(names(&screen), Vec::<&str>::new());
    }

    #[test]
    fn any_size_of_terminal_can_be_drawn_on() {
        for (width, height) in [(1, 1), (20, 3), (80, 5), (300, 100)] {
            lines(&screen(), width, height);
        }
    }
}
