//! The port for other nodes: where it is, and what reaches it over raw sockets, from good frames to none at all.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use disque::bus::{FrameReader, FrameWriter, Header, MAX_FRAME_LEN, Message, Notice};
use disque::resp::Value;
use disque::types::{JobId, NodeId, UnixMillis};

use crate::support::{Connection, PATIENCE, Scratch, Server, free_port};
use crate::tools::{alone, info, info_number, launch, rss_kib, run_to_end, wait_until, words};

/// A connection to the bus port of a server.
struct Peer(TcpStream);

impl Peer {
    fn connect(server: &Server) -> Peer {
        Peer::connect_to(server.port + 10_000)
    }

    fn connect_to(port: u16) -> Peer {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server accepts nodes");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Peer(stream)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the server reads");
    }

    /// Whether the server closes the connection, without having said anything.
    fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0; 1]) {
            Ok(0) => true,
            Ok(_) => panic!("the server says something"),
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

fn stranger() -> Header {
    Header {
        sender: NodeId::from_bytes([0xab; 20]),
        ip: None,
        port: 7711,
        bus_port: None,
        leaving: false,
        features: None,
    }
}

/// A frame about a job, from a node that nobody knows.
fn frame() -> Vec<u8> {
    let job = JobId::parse(b"D-0c663106-bWHBrzNlbRXCPLdRNbU5WnQm-003d").expect("it is an ID");
    let mut writer = FrameWriter::new();
    writer.push(&stranger(), &Message::Notice { job, notice: Notice::GotJob }, UnixMillis(0));
    writer.bytes().to_vec()
}

/// The beginning of a frame of this length.
fn announce(len: u32) -> Vec<u8> {
    [b"DbuZ".as_slice(), &len.to_be_bytes()].concat()
}

fn start_with_log(args: &[&str]) -> Server {
    Server::start(&[&["--cluster-node-timeout", "500"], args].concat())
}

#[test]
fn the_bus_listens_ten_thousand_above_the_port_or_where_it_is_told() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    Peer::connect(&server).send(&frame());
    wait_until("the frame is counted", || info(&mut client, "cluster_stats_frames_received") == "1");
    assert_eq!(info(&mut client, "cluster_bus_port"), (server.port + 10_000).to_string());

    let port = free_port();
    let server = Server::start(&["--cluster-port", &port.to_string()]);
    Peer::connect_to(port).send(&frame());
    let mut client = server.connect();
    wait_until("the frame is counted", || info(&mut client, "cluster_stats_frames_received") == "1");
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, server.port + 10_000)).is_err());
}

#[test]
fn a_node_with_a_unix_socket_alone_has_no_bus() {
    let dir = Scratch::new();
    let args = ["--port", "0", "--unixsocket", "s", "--cluster-seeds", "127.0.0.1:7711"];
    let refused = run_to_end(dir.path(), &args, b"");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("cluster-port and cluster-seeds need a TCP port"), "{}", refused.stderr);
    let refused = run_to_end(dir.path(), &["--port", "0", "--unixsocket", "s", "--cluster-port", "9"], b"");
    assert!(refused.stderr.contains("cluster-port and cluster-seeds need a TCP port"), "{}", refused.stderr);
}

#[test]
fn a_bus_port_that_is_taken_is_named_with_a_remedy() {
    let dir = Scratch::new();
    let taken = loop {
        // Port 0 would be given one from a range of which the upper part has no bus port.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback interface is up");
        if listener.local_addr().expect("it is bound").port() > 10_000 {
            break listener;
        }
    };
    let bus_port = taken.local_addr().expect("it is bound").port();
    let port = (bus_port - 10_000).to_string();
    let outcome = run_to_end(dir.path(), &["--port", &port, "--bind", "127.0.0.1"], b"");
    assert_eq!(outcome.code, Some(1));
    let said =
        format!("cannot listen on 127.0.0.1:{bus_port}, where other nodes connect: Address already in use");
    assert!(outcome.stderr.contains(&said), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("choose another with --cluster-port, or another --port"),
        "{}",
        outcome.stderr
    );
    let elsewhere = free_port().to_string();
    let args = |_: &str| words(&format!("--port {port} --bind 127.0.0.1 --cluster-port {elsewhere}"));
    let _runs = crate::tools::launch_at(bus_port - 10_000, dir.path(), &args(""), b"").expect("it starts");
}

fn log_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("log")).unwrap_or_default()
}

#[test]
fn what_is_no_frame_closes_the_link_and_is_logged_once() {
    let dir = Scratch::new();
    let server = launch(dir.path(), |port| words(&format!("--port {port} --bind 127.0.0.1 --logfile log")));
    let mut client = server.connect();
    let garbage: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &announce(u32::MAX),
        &announce(MAX_FRAME_LEN as u32 + 1),
        &announce(8),
        &announce(143),
        &[0; 100_000],
    ];
    for bytes in garbage {
        let mut peer = Peer::connect(&server);
        // The server may close before all is written.
        let _ = peer.0.write_all(bytes);
        assert!(peer.is_closed(), "{bytes:?}");
        assert_eq!(client.run("PING"), Value::status("PONG"));
    }
    assert_eq!(info(&mut client, "cluster_links_cut_garbage"), "6");
    wait_until("all are gone", || info(&mut client, "cluster_links_peer") == "0");
    let log = log_of(dir.path());
    assert_eq!(log.matches("closing a link between nodes: it brings no frames").count(), 1, "{log}");
    assert!(log.contains("no frame of the cluster bus"), "{log}");
}

#[test]
fn a_frame_that_cannot_be_read_is_dropped_and_the_link_stays() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut peer = Peer::connect(&server);
    let bad = |at: usize, byte: u8| {
        let mut frame = frame();
        frame[at] = byte;
        frame
    };
    // The version, the type, the type of a message of another length, the sender, the job.
    for frame in [bad(9, 2), bad(13, 99), bad(13, 3), bad(16, b'G'), bad(144, b'X')] {
        peer.send(&frame);
    }
    peer.send(&frame());
    wait_until("all are counted", || info(&mut client, "cluster_stats_frames_received") == "6");
    for why in ["version", "unknown_type", "length"] {
        assert_eq!(info(&mut client, &format!("cluster_frames_dropped_{why}")), "1", "{why}");
    }
    assert_eq!(info(&mut client, "cluster_frames_dropped_identity"), "2");
    assert_eq!(info(&mut client, "cluster_stats_messages_received"), "1");
    assert_eq!(info(&mut client, "cluster_links_peer"), "1");
    assert_eq!(client.run("CONFIG RESETSTAT"), Value::ok());
    assert_eq!(info(&mut client, "cluster_frames_dropped_identity"), "0");
}

#[test]
fn a_frame_may_come_in_any_pieces() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let mut peer = Peer::connect(&server);
    peer.0.set_nodelay(true).expect("an option can be set");
    let frames = frame().repeat(20);
    let mut rest = frames.as_slice();
    for len in [1, 7, 8, 143, 188, 3, 200].into_iter().cycle() {
        let (piece, behind) = rest.split_at(len.min(rest.len()));
        peer.send(piece);
        client.run("PING");
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    wait_until("all are counted", || info(&mut client, "cluster_stats_messages_received") == "20");
    assert_eq!(info_number(&mut client, "cluster_stats_bytes_received"), frames.len() as u64);
}

#[test]
fn a_link_that_stops_in_the_middle_of_a_frame_is_closed() {
    let server = start_with_log(&[]);
    let mut client = server.connect();
    let (mut stalled, mut idle) = (Peer::connect(&server), Peer::connect(&server));
    stalled.send(&frame()[..187]);
    idle.send(&frame());
    assert!(stalled.is_closed());
    assert_eq!(info(&mut client, "cluster_links_cut_stalled"), "1");
    // Silence between frames is no stalling.
    assert_eq!(info(&mut client, "cluster_links_peer"), "1");
}

#[test]
fn memory_is_taken_for_what_came_not_for_what_was_announced() {
    let _turn = alone();
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.run("PING");
    let before = rss_kib(&server);
    let mut peers: Vec<Peer> = (0..20).map(|_| Peer::connect(&server)).collect();
    for peer in &mut peers {
        peer.send(&announce(MAX_FRAME_LEN as u32));
        peer.send(&[0; 10_000]);
    }
    wait_until("all came", || info_number(&mut client, "cluster_stats_bytes_received") == 20 * 10_008);
    let grown = rss_kib(&server) - before;
    assert!(grown < 8 * 1024, "{grown} KiB for 20 frames of a gibibyte, of which 10 KB came");
}

/// The endless chatter of one node must not keep clients and other nodes waiting.
#[test]
fn a_node_that_floods_holds_up_neither_clients_nor_other_nodes() {
    let _turn = alone();
    let server = Server::start(&[]);
    let mut client = server.connect();
    let floods: Vec<Peer> = (0..2).map(|_| Peer::connect(&server)).collect();
    for flood in &floods {
        let mut stream = flood.0.try_clone().expect("a socket can be shared");
        // Until the test shuts its socket down.
        std::thread::spawn(move || {
            let frames = frame().repeat(1000);
            while stream.write_all(&frames).is_ok() {}
        });
    }
    let received = |client: &mut Connection| info_number(client, "cluster_stats_messages_received");
    wait_until("the flood runs", || received(&mut client) > 10_000);
    let before = received(&mut client);
    for _ in 0..100 {
        assert_eq!(client.run("PING"), Value::status("PONG"));
    }
    let mut other = Peer::connect(&server);
    other.send(&announce(8));
    assert!(other.is_closed(), "it was read, and found to be garbage");
    // Between two answers each of the two brought its share at most.
    let most = 2 * 2048 * 110 * 4;
    let meanwhile = received(&mut client) - before;
    assert!(
        (1..most).contains(&meanwhile),
        "{meanwhile} messages came while a client was answered 100 times"
    );
    for flood in &floods {
        let _ = flood.0.shutdown(std::net::Shutdown::Both);
    }
    wait_until("all are gone", || info(&mut client, "cluster_links_peer") == "0");
}

#[test]
fn links_are_limited_in_number_and_those_that_end_make_room() {
    let _turn = alone();
    let server = Server::start(&[]);
    let mut client = server.connect();
    let peers: Vec<Peer> = (0..200).map(|_| Peer::connect(&server)).collect();
    wait_until("all are in", || info(&mut client, "cluster_links_peer") == "200");
    let more: Vec<Peer> = (0..100).map(|_| Peer::connect(&server)).collect();
    wait_until("the rest is refused", || info(&mut client, "cluster_links_cut_too_many") == "44");
    assert_eq!(info(&mut client, "cluster_links_peer"), "256");
    drop((peers, more));
    wait_until("all are gone", || info(&mut client, "cluster_links_peer") == "0");
    Peer::connect(&server).send(&frame());
    wait_until("one is let in", || info(&mut client, "cluster_stats_messages_received") == "1");
}

#[test]
fn at_the_limit_a_link_that_has_been_silent_for_long_makes_way() {
    let _turn = alone();
    let server = start_with_log(&[]);
    let mut client = server.connect();
    let mut silent: Vec<Peer> = (0..256).map(|_| Peer::connect(&server)).collect();
    wait_until("all are in", || info(&mut client, "cluster_links_peer") == "256");
    wait_until("one makes way", || {
        let mut new = Peer::connect(&server);
        let _ = new.0.write_all(&frame());
        new.0.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout can be set");
        matches!(new.0.read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    });
    assert!(silent[0].is_closed(), "the one that was silent for longest");
}

/// Reads what a server sends to a node.
#[allow(dead_code)]
fn next_frame(peer: &mut Peer, reader: &mut FrameReader) -> Vec<u8> {
    loop {
        if let Some(frame) = reader.next_frame().expect("the server sends frames") {
            return frame.to_vec();
        }
        let mut bytes = [0; 4096];
        let n = peer.0.read(&mut bytes).expect("a frame comes in time");
        assert!(n > 0, "the server closed the link");
        reader.feed(&bytes[..n]);
    }
}

#[test]
fn a_node_stops_at_once_although_names_are_being_looked_up() {
    let mut server = Server::start(&["--cluster-seeds", "nowhere.invalid:7711", "127.0.0.1:1"]);
    let mut client: Connection = server.connect();
    assert_eq!(
        client.run("CONFIG GET cluster-seeds"),
        Value::Array(vec!["cluster-seeds".into(), "nowhere.invalid:7711 127.0.0.1:1".into(),])
    );
    client.send(&["SHUTDOWN"]);
    assert_eq!(server.wait(), Some(0));
}
