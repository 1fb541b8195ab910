//! What the manual shows at a shell's prompt, blocks of the language `console`, happens.
//!
//! The blocks of a page are one session of bash in a directory of its own, with the programs of this build in its path and
//! `utils` at hand. A line `<!-- server -->` before the first block has a server running on port 7711. Ports are others
//! than on the page; numbers of four digits and more, IDs and the width of blanks may differ.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::examples;
use crate::pages::{self, Exchange, Piece};
use crate::support::{Scratch, Server};

const PROMPT: &str = "$ ";
/// Ends the output of a command.
const MARK: &str = "--- end of the output of one command ---";
/// How many ports the sessions may use, beginning with 7711.
const PORTS: u16 = 4;

#[test]
fn every_session_of_the_manual_happens_as_shown() {
    let mut faults = Vec::new();
    let mut ran = 0;
    let _turn = pages::turn();
    for page in pages::manual() {
        let text = pages::read(&page);
        let mut pieces = pages::pieces(&text);
        let blocks = pieces.iter().filter_map(|piece| match piece {
            Piece::Block(block) if block.language == "console" => Some(pages::exchanges(block, PROMPT)),
            _ => None,
        });
        let mut session: Vec<Exchange> = blocks.flatten().collect();
        if session.is_empty() {
            continue;
        }
        ran += 1;
        faults
            .extend(play(&mut session, text.contains("<!-- server -->")).map(|why| format!("{page}: {why}")));
        if pages::updating() {
            let mut session = session.into_iter();
            for piece in &mut pieces {
                if let Piece::Block(block) = piece
                    && block.language == "console"
                {
                    let count = pages::exchanges(block, PROMPT).len();
                    let lines = session.by_ref().take(count).flat_map(|exchange| {
                        std::iter::once(format!("{PROMPT}{}", exchange.command)).chain(exchange.shown)
                    });
                    block.lines = lines.collect();
                }
            }
            pages::write(&page, &pages::text_of(&pieces));
        }
    }
    assert!(ran > 0, "sessions are found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Runs all commands of a page, and tells what comes out differently.
fn play(session: &mut [Exchange], wants_server: bool) -> Option<String> {
    let dir = Scratch::new();
    let base = free_ports();
    let server = wants_server.then(|| Server::start(&[]));
    let first = server.as_ref().map_or(base, |server| server.port);
    std::os::unix::fs::symlink(pages::path("utils"), dir.path().join("utils"))
        .expect("the directory is ours");
    let commands: Vec<String> =
        session.iter().map(|exchange| ports_of_run(&exchange.command, first)).collect();
    let output = run(dir.path(), first, wants_server, &commands);
    let end = format!("{MARK}\n");
    let mut outputs = output.split(end.as_str()).map(|text| text.lines().collect::<Vec<_>>());
    for exchange in session {
        let Some(lines) = outputs.next() else {
            return Some(format!("the session ended before {:?}:\n{output}", exchange.command));
        };
        let lines: Vec<String> = lines.iter().map(|line| ports_of_page(line.trim_end(), first)).collect();
        let comparable = |lines: &[String]| lines.iter().map(|line| comparable(line)).collect::<Vec<_>>();
        if pages::fits(&comparable(&exchange.shown), &comparable(&lines)) {
            continue;
        }
        if !pages::updating() {
            return Some(format!("{} says\n{}", exchange.command, lines.join("\n")));
        }
        exchange.shown = lines;
    }
    None
}

/// The output of a session, in which each command is followed by a mark.
fn run(dir: &Path, first: u16, has_server: bool, commands: &[String]) -> String {
    let mut script = String::from("trap 'utils/cluster wipe >/dev/null 2>&1' EXIT\nexec 2>&1\n");
    if has_server {
        // On the page it has the port that needs no mention.
        script += &format!("disque() {{ command disque -p {first} \"$@\"; }}\n");
    }
    for command in commands {
        script += &format!("{command}\necho '{MARK}'\n");
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_disque")).parent().expect("a program is in a directory");
    let path = std::env::var("PATH").expect("there is a path");
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(dir)
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("DISQUE_BIN", programs)
        .env("CLUSTER_PORT", first.to_string())
        .env("CLUSTER_DIR", dir.join("cluster"))
        // What people see, though this is no terminal.
        .env("FAKETTY", "1")
        .env_remove("DISQUE_PASSWORD")
        .stdin(Stdio::null())
        .output()
        .expect("there is bash");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The first of some ports that nobody listens on, nor on those 10000 above. All lie below those that the system gives
/// to outgoing connections, since a node that was ended wants its port back.
fn free_ports() -> u16 {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let offset = std::process::id() % 1_000;
    for n in 0..1_000 {
        let first = 12_000 + PORTS * ((offset + n) % 1_000) as u16;
        if (first..first + PORTS).all(|port| is_free(port) && is_free(port + 10_000)) {
            return first;
        }
    }
    panic!("no {PORTS} ports are free");
}

fn ports_of_run(text: &str, first: u16) -> String {
    let ports = (0..PORTS).rev();
    ports.fold(text.to_owned(), |text, n| text.replace(&(7711 + n).to_string(), &(first + n).to_string()))
}

fn ports_of_page(text: &str, first: u16) -> String {
    let ports = (0..PORTS).rev();
    ports.fold(text.to_owned(), |text, n| text.replace(&(first + n).to_string(), &(7711 + n).to_string()))
}

/// A line without what differs from run to run.
fn comparable(line: &str) -> String {
    let line = examples::ids(line).iter().fold(line.to_owned(), |line, id| line.replace(id, "ID"));
    let mut parts = Vec::new();
    for word in line.split_whitespace() {
        let core = word.trim_matches(|c: char| !c.is_ascii_digit());
        let is_number = core.len() >= 4 && core.chars().all(|c| c.is_ascii_digit());
        let is_port = (7711..7711 + PORTS).any(|port| core == port.to_string());
        parts.push(if is_number && !is_port { word.replace(core, "N") } else { word.to_owned() });
    }
    parts.join(" ")
}

#[test]
fn lines_are_compared_without_ids_numbers_and_widths() {
    let id = "D-dcb833cf-8YL1NT17e9+wsA/09NqxscQI-05a1";
    assert_eq!(comparable(&format!("7711   41280  \"{id}\" 3")), "7711 N \"ID\" 3");
    assert_eq!(comparable(&format!("[[\"q\",\"{id}\",\"b c\"]]")), "[[\"q\",\"ID\",\"b c\"]]");
}
