//! Configuration from everywhere, and what is said when the server cannot start.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use disque::resp::Value;

use crate::support::{PATIENCE, Scratch, Server, free_port};
use crate::tools::{PROGRAM, finish, launch, launch_at, launch_with, run_to_end, text, words};

/// Starts the server, which must end with exit code 1 and say all this on the standard error.
fn refused(dir: &Path, args: &[&str], said: &[&str]) {
    let outcome = run_to_end(dir, args, b"");
    assert_eq!(outcome.code, Some(1), "{args:?}: {outcome:?}");
    for part in said {
        assert!(outcome.stderr.contains(part), "{args:?}: {part:?} is missing in:\n{}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
}

#[test]
fn bad_options_are_refused_with_their_place_and_a_remedy() {
    let dir = Scratch::new();
    fs::write(dir.path().join("bad.conf"), "# fine\n\nloglevel loud\n").expect("it is writable");
    fs::write(dir.path().join("quotes.conf"), "logfile \"x\n").expect("it is writable");
    fs::write(dir.path().join("include.conf"), "hz 10\ninclude other.conf\n").expect("it is writable");
    fs::write(dir.path().join("loop.conf"), "include loop.conf\n").expect("it is writable");
    let cases: [(&[&str], &[&str]); 19] = [
        (
            &["--prot", "7711"],
            &["FATAL CONFIG FILE ERROR", "line 2", "there is no 'prot'; did you mean 'port'?"],
        ),
        (&["--save", "60", "1"], &["Bad directive or wrong number of arguments: there is no 'save'"]),
        (&["--port"], &["FATAL CONFIG FILE ERROR", ">>> 'port'", "port must be"]),
        (&["--port", "seven"], &[">>> 'port", "port must be a whole number"]),
        (&["--port", "55536"], &["port must be a whole number from 0 to 55535"]),
        (
            &["--port", "0"],
            &["Configured to not listen anywhere", "set unixsocket, or a port from 1 to 55535"],
        ),
        (&["--port", "7711", "--hz", "5", "--maxmemory", "5tb"], &["line 4", "maxmemory must be"]),
        (&["--maxclients", "0"], &["maxclients must be a whole number from 1"]),
        (&["--bind", "localhost"], &["bind must be 1 to 16 IP addresses, such as 127.0.0.1 or ::1"]),
        (&["--timeout", "-1"], &["timeout must be a whole number"]),
        (&["--daemonize", "yes"], &["daemonize cannot have this value: ", "systemd"]),
        (&["--syslog-enabled", "yes"], &["set syslog-enabled no"]),
        (&["--rename-command", "NOPE", "x"], &["rename-command", "No such command in rename-command"]),
        (&["--rename-command", "PING", "info"], &["Target command name already exists"]),
        (&["bad.conf"], &["at line 3 of '", "bad.conf'", ">>> 'loglevel loud'", "one of debug, verbose"]),
        (&["quotes.conf"], &["at line 1", "Unbalanced quotes in configuration line"]),
        (&["missing.conf"], &["can't open config file '", "missing.conf': No such file or directory"]),
        (
            &["include.conf"],
            &["other.conf': No such file", "at line 2 of '", "include.conf', which includes it"],
        ),
        (&["loop.conf"], &["Too many files are included; does a file include itself?"]),
    ];
    for (args, said) in cases {
        refused(dir.path(), args, said);
    }
    assert!(!dir.path().join("nodes.conf").exists(), "nothing was begun");
    let outcome = run_to_end(dir.path(), &["-"], b"port 7711\nlogfil x\n");
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("at line 2 of the standard input"), "{}", outcome.stderr);
    let outcome = run_to_end(dir.path(), &["--requirpass", "sekret"], b"");
    assert!(!outcome.stderr.contains("sekret"), "{}", outcome.stderr);
}

#[test]
fn places_that_cannot_be_used_are_named_with_a_remedy() {
    let dir = Scratch::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("the loopback interface is up");
    let taken_port = taken.local_addr().expect("it is bound").port().to_string();
    let port = free_port().to_string();
    fs::write(dir.path().join("regular"), "precious").expect("it is writable");
    refused(
        dir.path(),
        &["--port", &taken_port, "--bind", "127.0.0.1"],
        &["cannot listen on 127.0.0.1:", "Address already in use", "choose another port with --port"],
    );
    refused(
        dir.path(),
        &["--port", &port, "--bind", "192.0.2.1"],
        &["cannot listen on 192.0.2.1:", "Cannot assign requested address", "--bind"],
    );
    refused(
        dir.path(),
        &["--port", &port, "--dir", "nowhere"],
        &["cannot use the directory ", "nowhere", "No such file or directory", "--dir"],
    );
    refused(dir.path(), &["--port", &port, "--dir", "regular"], &["Not a directory", "--dir"]);
    refused(
        dir.path(),
        &["--port", &port, "--logfile", "nowhere/log"],
        &["cannot open the log file ", "nowhere/log", "No such file or directory", "--logfile"],
    );
    refused(
        dir.path(),
        &["--port", &port, "--bind", "127.0.0.1", "--unixsocket", "regular"],
        &["cannot listen on ", "regular", "the file exists and is no socket", "--unixsocket"],
    );
    assert_eq!(fs::read(dir.path().join("regular")).expect("it is still there"), b"precious");
    refused(
        dir.path(),
        &["--port", "0", "--unixsocket", &"x".repeat(200)],
        &["cannot listen on ", "--unixsocket"],
    );
}

#[test]
fn a_node_table_that_cannot_be_used_stops_the_start() {
    let server = Server::start(&[]);
    let port = free_port().to_string();
    let dir = server.dir.path();
    let args = ["--port", &port, "--bind", "127.0.0.1"];
    refused(
        dir,
        &args,
        &["nodes.conf is already used by a different node", "--dir", "--cluster-config-file"],
    );

    let dir = Scratch::new();
    let nodes = dir.path().join("nodes.conf");
    let half = "3f0c6f1c4d3e0d6c5e0b7c1d9a8f2b4c6d8e0f1";
    let twice = format!("{0} :0 myself 0 0 connected\n{0} :0 myself 0 0 connected\n", "a".repeat(40));
    for text in ["junk", half, "\0\0\0\0", "vars currentEpoch 0\n", &twice, &"x".repeat(1 << 20)] {
        fs::write(&nodes, text).expect("it is writable");
        refused(dir.path(), &args, &["nodes.conf is corrupted: ", "restore it from a copy, or move it away"]);
        assert_eq!(fs::read(&nodes).expect("it is still there"), text.as_bytes(), "evidence is kept");
    }
    fs::remove_file(&nodes).expect("it is there");
    fs::create_dir(&nodes).expect("it can be made");
    refused(dir.path(), &args, &["nodes.conf: Is a directory"]);
}

/// The server as a user to whom permissions apply: root may write everywhere.
fn unprivileged(dir: &Scratch, args: &[&str]) -> Command {
    const NOBODY: u32 = 65_534;
    if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) != 0) {
        let mut command = Command::new(PROGRAM);
        command.args(args).current_dir(dir.path());
        return command;
    }
    let program = dir.path().join("program");
    // Not by this process: while it has the copy open for writing, a child that another test starts in this moment
    // has it open too, and the system refuses to run it.
    let copied = Command::new("cp").arg(PROGRAM).arg(&program).status();
    assert!(copied.expect("there is a cp command").success());
    let mut command = Command::new(program);
    command.args(args).current_dir(dir.path()).uid(NOBODY).gid(NOBODY);
    command
}

#[test]
fn a_directory_or_node_table_that_cannot_be_written_stops_the_start() {
    let dir = Scratch::new();
    let port = free_port().to_string();
    let args = ["--port", &port, "--bind", "127.0.0.1", "--dir", "data"];
    let data = dir.path().join("data");
    fs::create_dir(&data).expect("it can be made");
    // Before the directory is closed: a table that may be read but not written.
    let nodes = data.join("nodes.conf");
    let line = format!("{} :0 myself 0 0 connected\n", "a".repeat(40));
    for (writable_table, text) in [(None, ""), (Some(false), &*line), (Some(true), &*line)] {
        let _ = fs::set_permissions(&data, Permissions::from_mode(0o755));
        let _ = fs::remove_file(&nodes);
        if let Some(writable) = writable_table {
            fs::write(&nodes, text).expect("it is writable");
            let mode = if writable { 0o666 } else { 0o444 };
            fs::set_permissions(&nodes, Permissions::from_mode(mode)).expect("it is ours");
        }
        fs::set_permissions(&data, Permissions::from_mode(0o555)).expect("it is ours");
        let outcome = finish(unprivileged(&dir, &args), b"");
        assert_eq!(outcome.code, Some(1), "{writable_table:?} {outcome:?}");
        for part in ["nodes.conf", "Permission denied", "choose a writable directory with --dir"] {
            assert!(outcome.stderr.contains(part), "{writable_table:?} {part:?} {}", outcome.stderr);
        }
    }
    let _ = fs::set_permissions(&data, Permissions::from_mode(0o755));
}

#[test]
fn help_and_version_are_printed() {
    let dir = Scratch::new();
    for (arg, said) in [
        ("--help", "Usage: disque-server [FILE | -] [--directive value ...]"),
        ("-h", "Usage: disque-server"),
        ("--version", "Disque server v="),
        ("-v", "Disque server v="),
    ] {
        let outcome = run_to_end(dir.path(), &[arg], b"");
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{arg}");
        assert!(outcome.stdout.starts_with(said), "{arg}: {}", outcome.stdout);
    }
    assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 0, "nothing was begun");
}

#[test]
fn the_sample_file_starts_the_server() {
    let dir = Scratch::new();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/disque.conf");
    let server = launch(dir.path(), |port| words(&format!("{sample} --port {port} --bind 127.0.0.1")));
    let mut client = server.connect();
    assert_eq!(client.run("CONFIG GET maxclients"), Value::Array(vec!["maxclients".into(), "10000".into()]));
    assert_eq!(crate::tools::info(&mut client, "config_file"), sample);
}

#[test]
fn the_configuration_may_come_from_the_standard_input() {
    let dir = Scratch::new();
    let args = |port: &str| words(&format!("- --port {port} --bind 127.0.0.1"));
    let server = launch_with(dir.path(), args, b"# from a pipe\nport 1\nmaxclients 77\nrequirepass \"\"\n");
    let mut client = server.connect();
    assert_eq!(client.run("CONFIG GET maxclients"), Value::Array(vec!["maxclients".into(), "77".into()]));
    assert_eq!(text(&client.run("CONFIG REWRITE")), "ERR The server is running without a config file");
    assert!(!dir.path().join("-").exists());
}

#[test]
fn a_configuration_that_was_rewritten_survives_a_restart() {
    let dir = Scratch::new();
    fs::create_dir(dir.path().join("data")).expect("it can be made");
    let conf = dir.path().join("my.conf");
    let file = "# mine\nmaxclients 100\ndir data\n\n\nrename-command DEBUG DBG\nbind 127.0.0.1\n";
    fs::write(&conf, file).expect("it is writable");
    fs::set_permissions(&conf, Permissions::from_mode(0o640)).expect("it is ours");
    let args = |port: &str| words(&format!("my.conf --port {port}"));
    let server = launch(dir.path(), args);
    let mut client = server.connect();
    for set in ["maxclients 200", "loglevel warning", "client-output-buffer-limit", "timeout 3000"] {
        client.run(&format!("CONFIG SET {set}"));
    }
    client.send(&["CONFIG", "SET", "client-output-buffer-limit", "normal 32mb 16mb 60"]);
    assert_eq!(client.reply(), Value::ok());
    client.send(&["CONFIG", "SET", "requirepass", "a \"b\" #c\n"]);
    assert_eq!(client.reply(), Value::ok());
    client.send(&["AUTH", "a \"b\" #c\n"]);
    assert_eq!(client.reply(), Value::ok());
    let node = client.run("CLUSTER MYID");
    assert_eq!(client.run("CONFIG REWRITE"), Value::ok());
    let before = client.run("CONFIG GET *");
    let port = server.port;
    drop(server);
    let rewritten = fs::read_to_string(&conf).expect("it is text");
    assert!(rewritten.starts_with("# mine\nmaxclients 200\ndir \"/"), "{rewritten}");
    assert!(rewritten.contains("\n\nrename-command DEBUG DBG\n"), "{rewritten}");
    assert_eq!(rewritten.matches("# Generated by CONFIG REWRITE").count(), 1, "{rewritten}");
    assert_eq!(fs::metadata(&conf).expect("it is there").permissions().mode() & 0o777, 0o640);

    // From another directory and without options: everything stands in the file.
    let elsewhere = Scratch::new();
    let server =
        launch_at(port, elsewhere.path(), &[conf.display().to_string()], b"").expect("the port is free");
    let mut client = server.connect();
    client.send(&["AUTH", "a \"b\" #c\n"]);
    assert_eq!(client.reply(), Value::ok());
    assert_eq!(client.run("CONFIG GET *"), before);
    assert_eq!(client.run("CLUSTER MYID"), node);
    assert_eq!(text(&client.run("DEBUG AUDIT")), "ERR unknown command 'DEBUG'");
    assert_eq!(client.run("DBG AUDIT"), Value::ok());
    assert_eq!(client.run("CONFIG REWRITE"), Value::ok());
    assert_eq!(fs::read_to_string(&conf).expect("it is text"), rewritten, "a second time changes nothing");
}

#[test]
fn all_bound_addresses_serve_the_same_node() {
    let mut addresses = vec![("127.0.0.1", "127.0.0.1:"), ("127.0.0.2", "127.0.0."), ("::1", "[::1]:")];
    if TcpListener::bind("[::1]:0").is_err() {
        println!("this machine has no IPv6");
        addresses.pop();
    }
    let bind: Vec<&str> = addresses.iter().map(|(address, _)| *address).collect();
    let server = Server::start(&[&["--bind"], &bind[..]].concat());
    for (address, name) in &addresses {
        let mut stream = TcpStream::connect((*address, server.port)).expect("it is listened on");
        stream.write_all(b"ADDJOB q x 0\r\nCLIENT LIST\r\nQUIT\r\n").expect("the server reads");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("the server answers");
        assert!(reply.contains(&format!(" addr={name}")), "{reply}");
    }
    assert_eq!(server.connect().run("QLEN q"), Value::Int(addresses.len() as i64));
    assert!(TcpStream::connect(("127.0.0.3", server.port)).is_err());
}

/// Asks over a Unix socket until the server closes.
fn ask(path: &Path, requests: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).expect("it is listened on");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option can be set");
    stream.write_all(requests).expect("the server reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("the server answers");
    reply
}

#[test]
fn a_unix_socket_serves_with_its_permissions_and_goes_with_the_server() {
    let dir = Scratch::new();
    let path = dir.path().join("s.sock");
    // What a dead server leaves behind.
    drop(UnixListener::bind(&path).expect("it can be made"));
    let args = ["--port", "0", "--unixsocket", "s.sock", "--unixsocketperm", "750", "--dir"];
    let place = dir.path().display().to_string();
    // The port of this server is not listened on.
    let mut server = Server::start_in(Scratch::new(), &[&args[..], &[&place]].concat());
    assert!(TcpStream::connect(("127.0.0.1", server.port)).is_err());
    let found = fs::metadata(&path).expect("it is there");
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o750);
    let reply = ask(&path, b"PING\r\nCLIENT LIST\r\nMONITOR\r\nPING\r\nQUIT\r\n");
    assert!(reply.starts_with("+PONG\r\n"), "{reply}");
    assert!(reply.contains(" addr=s.sock:0 ") && reply.contains(" flags=U "), "{reply}");
    assert!(reply.contains(" [0 unix:s.sock] \"PING\"\r\n+PONG\r\n"), "{reply}");
    // A large reply leaves in pieces.
    let add =
        format!("*4\r\n$6\r\nADDJOB\r\n$1\r\nq\r\n${}\r\n{}\r\n$1\r\n0\r\n", 5 << 20, "b".repeat(5 << 20));
    let reply = ask(&path, format!("{add}GETJOB FROM q\r\nQUIT\r\n").as_bytes());
    assert!(reply.ends_with(&format!("{}\r\n+OK\r\n", "b".repeat(5 << 20))));
    // After `dir` has changed the socket is still found where it was made.
    let elsewhere = Scratch::new();
    fs::write(elsewhere.path().join("s.sock"), "precious").expect("it is writable");
    let requests = format!("CONFIG SET dir {}\r\nSHUTDOWN\r\n", elsewhere.path().display());
    assert_eq!(ask(&path, requests.as_bytes()), "+OK\r\n");
    assert_eq!(server.wait(), Some(0));
    assert!(!path.exists());
    assert!(elsewhere.path().join("s.sock").exists());
}

#[test]
fn a_second_server_in_the_same_directory_takes_nothing_from_the_first() {
    let dir = Scratch::new();
    let args = ["--port", "0", "--unixsocket", "s.sock"];
    let place = dir.path().display().to_string();
    let _server = Server::start_in(Scratch::new(), &[&args[..], &["--dir", &place]].concat());
    refused(dir.path(), &args, &["nodes.conf is already used by a different node"]);
    assert_eq!(ask(&dir.path().join("s.sock"), b"PING\r\nQUIT\r\n"), "+PONG\r\n+OK\r\n");
}

/// Whether the system probes connections to this local port: column `tr` of `/proc/net/tcp`.
fn keeps_alive(port: u16) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").expect("the table can be read");
    let local = format!(":{port:04X}");
    let mut timers = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields[1].ends_with(&local) && fields[3] == "01").then(|| fields[5].starts_with("02:"))
    });
    timers.next().expect("there is a connection")
}

#[test]
fn keep_alive_probes_are_set_on_connections() {
    for (args, probes) in [(&["--tcp-keepalive", "100"][..], true), (&["--tcp-keepalive", "0"], false)] {
        let server = Server::start(args);
        let mut client = server.connect();
        client.run("PING");
        assert_eq!(keeps_alive(server.port), probes, "{args:?}");
        client.run("CONFIG SET tcp-keepalive 50");
        assert_eq!(
            client.run("CONFIG GET tcp-keepalive"),
            Value::Array(vec!["tcp-keepalive".into(), "50".into()])
        );
    }
}
