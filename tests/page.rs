//! The web page in a real browser: `tests/page/test.mjs`, with Node and Chromium. Skipped, with a message, where one of
//! them is missing: `apt-get install chromium nodejs`.
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

mod support;

use std::process::Command;

use disque::resp::Value;
use support::{Server, free_port};

/// The first of these programs that can be run.
fn program(names: &[&'static str]) -> Option<&'static str> {
    names
        .iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|run| run.status.success()))
        .copied()
}

fn start(args: &[&str]) -> (Server, String) {
    let port = free_port();
    let server = Server::start(&[&["--http-port", &port.to_string(), "--http-page", "yes"], args].concat());
    (server, format!("http://127.0.0.1:{port}/"))
}

/// The queues that the script expects; the ID of a job.
fn fill(server: &Server) -> String {
    let mut connection = server.connect();
    let markup = "<script>window.hit = 1</script><b onclick=\"window.hit=1\">b</b>";
    connection.send(&["ADDJOB", "<img src=x onerror=\"window.hit=1\">", markup, "0"]);
    connection.reply();
    connection.send(&[b"ADDJOB".as_slice(), b"raw\xff", b"\x00\xfe", b"0"]);
    connection.reply();
    connection.run("ADDJOB plain-149 first 0");
    connection.run("GETJOB FROM plain-149");
    let mut id = String::new();
    for number in 0..150 {
        let added = connection.run(&format!("ADDJOB plain-{number:03} {{\"n\":{number}}} 0"));
        let Value::Status(text) = added else { panic!("no job: {added:?}") };
        id = text;
    }
    id
}

#[test]
fn the_page_works_in_a_browser() {
    let browser = program(&["chromium", "chromium-browser", "google-chrome"]);
    let (Some(browser), Some(node)) = (browser, program(&["node"])) else {
        println!(
            "SKIPPED: the page is not tested without Chromium and Node (apt-get install chromium nodejs)"
        );
        return;
    };
    let (server, url) = start(&[]);
    let id = fill(&server);
    let (_guarded, guarded_url) = start(&["--requirepass", "sekret"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/test.mjs");
    let run = Command::new(node)
        .args(["--experimental-websocket", script, browser, &url, &guarded_url, &id])
        .output()
        .expect("Node runs");
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    println!("{said}");
    assert!(run.status.success(), "{said}");
    assert!(said.matches("ok ").count() >= 10, "all cases ran: {said}");
}
