//! The examples of the manual, blocks of the language `disque`, are what a server answers, as the command line client
//! shows it.
//!
//! Each block has a fresh server and a connection of its own. IDs, the port, and what depends on the clock may differ. While
//! pages are made anew, `$1` in a command stands for the first job ID of the block, `$node` for the node's ID.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use disque::cli;
use disque::command::COMMANDS;
use disque::resp::{self, Reply};

use crate::pages::{self, Block, Exchange, Piece};
use crate::support::{Connection, Server};

const PROMPT: &str = "> ";

/// Fields of SHOW and QSTAT that depend on the clock.
const CLOCKED: [&str; 6] = ["ttl", "ctime", "age", "idle", "next-requeue-within", "next-awake-within"];

#[test]
fn every_example_of_the_manual_is_what_the_server_answers() {
    let mut faults = Vec::new();
    let mut ran = 0;
    let _turn = pages::turn();
    for page in pages::manual() {
        let mut pieces = pages::pieces(&pages::read(&page));
        for piece in &mut pieces {
            let Piece::Block(block) = piece else { continue };
            if block.language == "disque" {
                ran += 1;
                if let Err(why) = Run::new().block(block) {
                    faults.push(format!("{page}:{}: {why}", block.line));
                }
            }
        }
        if pages::updating() {
            pages::write(&page, &pages::text_of(&pieces));
        }
    }
    assert!(ran > 0, "examples are found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_command_has_an_example() {
    let page = pages::pieces(&pages::read("docs/manual/commands.md"));
    let mut shown = BTreeSet::new();
    for piece in &page {
        if let Piece::Block(block) = piece
            && block.language == "disque"
        {
            let exchanges = pages::exchanges(block, PROMPT);
            shown.extend(exchanges.iter().filter_map(|e| Some(e.command.split(' ').next()?.to_lowercase())));
        }
    }
    let missing: Vec<_> =
        COMMANDS.iter().map(|spec| spec.name).filter(|name| !shown.contains(*name)).collect();
    assert!(missing.is_empty(), "docs/manual/commands.md has no example of {missing:?}");
}

/// A server and a client that go through a block.
struct Run {
    server: Server,
    connection: Connection,
    unread: Vec<u8>,
    /// What stands for each ID of the page in this run.
    actual: BTreeMap<String, String>,
    /// The job IDs of this run in the order in which they were seen.
    jobs: Vec<String>,
}

impl Run {
    fn new() -> Run {
        let server = Server::start(&[]);
        let connection = server.connect();
        let mut run =
            Run { server, connection, unread: Vec::new(), actual: BTreeMap::new(), jobs: Vec::new() };
        run.ask(&["HELLO".into(), "3".into()]);
        run
    }

    fn block(&mut self, block: &mut Block) -> Result<(), String> {
        let mut exchanges = pages::exchanges(block, PROMPT);
        for exchange in &mut exchanges {
            self.exchange(exchange)?;
        }
        let lines = exchanges.iter().flat_map(|exchange| {
            std::iter::once(format!("{PROMPT}{}", exchange.command)).chain(exchange.shown.iter().cloned())
        });
        block.lines = lines.collect();
        Ok(())
    }

    /// Runs one command; its reply must fit what is shown, or is shown from now on.
    fn exchange(&mut self, exchange: &mut Exchange) -> Result<(), String> {
        if pages::updating() {
            for (index, job) in self.jobs.iter().enumerate() {
                exchange.command =
                    exchange.command.replace(&format!("${}", index + 1), &self.documented(job));
            }
            if exchange.command.contains("$node") {
                let node = self.node();
                exchange.command = exchange.command.replace("$node", &self.documented(&node));
            }
        }
        let command = resp::split_quoted(self.translated(&exchange.command).as_bytes())
            .map_err(|_| format!("{}: unbalanced quotes", exchange.command))?;
        let mut lines: Vec<String> = match self.ask(&command) {
            Some(reply) => {
                cli::shown(&command, &reply).lines().map(|line| line.trim_end().to_owned()).collect()
            }
            None => Vec::new(),
        };
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        let (found, wanted) = (ids(&lines.join("\n")), ids(&exchange.shown.join("\n")));
        for id in found.iter().filter(|id| id.starts_with("D-")) {
            if !self.jobs.contains(id) {
                self.jobs.push(id.clone());
            }
        }
        if found.len() == wanted.len() {
            for (documented, actual) in wanted.into_iter().zip(found) {
                self.actual.entry(documented).or_insert(actual);
            }
        }
        let shown: Vec<String> =
            exchange.shown.iter().map(|line| self.comparable(&self.translated(line))).collect();
        let comparable: Vec<String> = lines.iter().map(|line| self.comparable(line)).collect();
        if pages::fits(&shown, &comparable) {
            return Ok(());
        }
        if !pages::updating() {
            return Err(format!("{} answers\n{}", exchange.command, lines.join("\n")));
        }
        let port = self.server.port.to_string();
        exchange.shown = lines.iter().map(|line| self.documented(line).replace(&port, "7711")).collect();
        Ok(())
    }

    /// The reply; `None` if the server closes the connection instead.
    fn ask(&mut self, command: &[Vec<u8>]) -> Option<Reply> {
        self.connection.send(command);
        loop {
            if let Some((reply, len)) = resp::decode_reply(&self.unread).expect("replies are well-formed") {
                self.unread.drain(..len);
                return Some(reply);
            }
            let mut chunk = [0; 65_536];
            let n = self.connection.stream.read(&mut chunk).expect("a reply comes in time");
            if n == 0 {
                return None;
            }
            self.unread.extend_from_slice(&chunk[..n]);
        }
    }

    fn node(&mut self) -> String {
        match self.ask(&["CLUSTER".into(), "MYID".into()]) {
            Some(Reply::Text(id)) => String::from_utf8(id).expect("IDs are text"),
            other => panic!("CLUSTER MYID answers {other:?}"),
        }
    }

    /// A text of the page with the IDs of this run.
    fn translated(&self, text: &str) -> String {
        self.actual
            .iter()
            .fold(text.to_owned(), |text, (documented, actual)| text.replace(documented, actual))
    }

    /// A text of this run with the IDs of the page.
    fn documented(&self, text: &str) -> String {
        self.actual
            .iter()
            .fold(text.to_owned(), |text, (documented, actual)| text.replace(actual, documented))
    }

    /// A line without what differs from run to run.
    fn comparable(&self, line: &str) -> String {
        if let Some((name, _)) = line.split_once(':')
            && CLOCKED.contains(&name)
        {
            return name.to_owned();
        }
        let line = line.replace(&self.server.port.to_string(), "7711");
        let mut comparable = String::new();
        let mut digits = String::new();
        for c in line.chars().chain(['\n']) {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            // Times and the like; what people choose is shorter.
            comparable += if digits.len() >= 9 { "N" } else { &digits };
            digits.clear();
            comparable.push(c);
        }
        comparable.trim_end().to_owned()
    }
}

/// The IDs of jobs and nodes in a text, each once, in the order in which they come.
pub fn ids(text: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    let is_word = |c: char| c.is_ascii_alphanumeric() || ['-', '+', '/'].contains(&c);
    for word in text.split(|c: char| !is_word(c)) {
        let is_job = word.len() == 40 && word.starts_with("D-") && word.as_bytes()[35] == b'-';
        let is_node = word.len() == 40 && word.chars().all(|c| c.is_ascii_hexdigit());
        if (is_job || is_node) && !ids.iter().any(|id| id == word) {
            ids.push(word.to_owned());
        }
    }
    ids
}

#[test]
fn ids_are_found_among_other_words() {
    let job = "D-dcb833cf-8YL1NT17e9+wsA/09NqxscQI-05a1";
    let node = "d1fa86a656223a834693be43cfb3b42ddcf3ade3";
    assert_eq!(ids(&format!("1) \"{job}\"\n{node} {job} D-short")), [job, node]);
}
