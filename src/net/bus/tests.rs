//! Own links against sockets of the test, without an engine.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::*;
use crate::bus::{FrameReader, Header, MAX_FRAME_LEN, Message, decode};
use crate::config::{ByteSize, Config};
use crate::engine::SendTo;
use crate::net::tokens::{Source, source};
use crate::types::NodeId;

const NOW: UnixMillis = UnixMillis(1_795_314_519_500);
const PATIENCE: Duration = Duration::from_secs(20);

struct Shell {
    bus: Bus,
    poll: Poll,
    config: Config,
}

impl Shell {
    fn new() -> Shell {
        Shell { bus: Bus::new(NOW), poll: Poll::new().unwrap(), config: Config::default() }
    }

    fn open(&mut self, id: u64, address: SocketAddr) {
        let by = Carrier { registry: self.poll.registry(), config: &self.config, now: NOW };
        self.bus.open_link(LinkId(id), address, by);
    }

    fn close(&mut self, id: u64) {
        let by = Carrier { registry: self.poll.registry(), config: &self.config, now: NOW };
        self.bus.close_link(LinkId(id), by);
    }

    fn send(&mut self, id: u64, message: &Message<'_>) {
        let by = Carrier { registry: self.poll.registry(), config: &self.config, now: NOW };
        self.bus.send(SendTo::Own(LinkId(id)), &header(), message, by);
    }

    fn flush(&mut self) {
        for slot in std::mem::take(&mut self.bus.dirty) {
            self.bus.links.get_mut(slot).unwrap().dirty = false;
            self.bus.write(slot, self.poll.registry());
        }
    }

    /// Waits until a link is connected or lost.
    fn connect(&mut self) -> Option<LinkId> {
        let mut events = Events::with_capacity(8);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && self.bus.downs.is_empty() {
            self.poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
            for event in &events {
                let Source::Link(slot) = source(event.token()) else { panic!("{event:?}") };
                let up = self.bus.finish_connecting(slot, self.poll.registry());
                if up.is_some() {
                    return up;
                }
            }
        }
        None
    }
}

fn header() -> Header {
    let sender = NodeId::from_bytes([7; 20]);
    Header { sender, ip: None, port: 7711, bus_port: None, leaving: false, features: None }
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn ping() -> Message<'static> {
    Message::Ping { gossip: Vec::new() }
}

#[test]
fn what_is_said_on_a_link_arrives_in_order_and_at_once() {
    let (listener, address) = listen();
    let mut shell = Shell::new();
    shell.open(1, address);
    shell.send(1, &ping());
    assert_eq!(shell.bus.facts().links_connecting, 1);
    assert_eq!(shell.connect(), Some(LinkId(1)));
    assert_eq!((shell.bus.facts().links_connecting, shell.bus.facts().links_own), (0, 1));
    assert_eq!(shell.bus.facts().output_bytes, 0, "what was said before it was up is not kept");
    for count in 1..=50 {
        shell.send(1, &Message::NeedJobs { queue: b"q".as_slice().into(), count });
    }
    shell.flush();
    let (mut peer, _) = listener.accept().unwrap();
    let mut reader = FrameReader::new(MAX_FRAME_LEN);
    let mut counts = Vec::new();
    while counts.len() < 50 {
        let mut bytes = [0; 4096];
        let n = peer.read(&mut bytes).unwrap();
        reader.feed(&bytes[..n]);
        while let Some(frame) = reader.next_frame().unwrap() {
            let (header, mut messages) = decode(frame, NOW).unwrap();
            let message = messages.next().unwrap().unwrap();
            assert_eq!(header.sender, self::header().sender);
            let Message::NeedJobs { count, .. } = message else { panic!("{message:?}") };
            counts.push(count);
        }
    }
    assert!(counts.into_iter().eq(1..=50));
    assert_eq!(shell.bus.facts().output_bytes, 0);
}

#[test]
fn a_link_that_cannot_be_opened_is_told_once() {
    let (listener, address) = listen();
    drop(listener);
    let mut shell = Shell::new();
    shell.open(1, address);
    assert_eq!(shell.connect(), None);
    assert_eq!(shell.bus.downs, [LinkId(1)]);
    assert!(shell.bus.own.is_empty() && shell.bus.connecting.is_empty());
    // The machine itself cannot be reached from an address that no interface has.
    shell.bus.downs.clear();
    let by = Opening { registry: shell.poll.registry(), now: NOW, patience: Millis(1) };
    shell.bus.open(LinkId(2), address, Some("192.0.2.1".parse().unwrap()), by);
    assert_eq!(shell.bus.downs, [LinkId(2)]);
}

#[test]
fn connecting_ends_in_half_the_node_timeout_but_not_below_a_second() {
    for (timeout, patience) in [("15000", 7_500), ("100", 1_000)] {
        let (_listener, address) = listen();
        let mut shell = Shell::new();
        shell.config.set(b"cluster-node-timeout", timeout.as_bytes()).unwrap();
        shell.open(1, address);
        assert_eq!(shell.bus.next_deadline(), Some(NOW + Millis(patience)));
    }
}

#[test]
fn a_link_that_the_engine_closes_is_heard_of_no_more() {
    let (listener, address) = listen();
    let mut shell = Shell::new();
    shell.open(1, address);
    assert_eq!(shell.connect(), Some(LinkId(1)));
    shell.send(1, &ping());
    shell.close(1);
    assert!(shell.bus.downs.is_empty() && shell.bus.own.is_empty());
    let (mut peer, _) = listener.accept().unwrap();
    let mut said = Vec::new();
    peer.read_to_end(&mut said).unwrap();
    assert_eq!(said.len(), 144, "what was said before still arrives");
    // One whose end was not told yet.
    drop(listener);
    shell.open(2, address);
    assert_eq!(shell.connect(), None);
    shell.close(2);
    assert!(shell.bus.downs.is_empty());
}

#[test]
fn a_node_that_takes_nothing_loses_its_link_at_the_limit() {
    let (listener, address) = listen();
    let mut shell = Shell::new();
    const LIMIT: usize = 1 << 20;
    shell.config.cluster_link_sendbuf_limit = ByteSize(LIMIT as u64);
    shell.open(1, address);
    assert_eq!(shell.connect(), Some(LinkId(1)));
    let _peer = listener.accept().unwrap();
    let queue = vec![b'q'; 10_000];
    let mut most = 0;
    for _ in 0..100_000 {
        shell.send(1, &Message::NeedJobs { queue: queue.as_slice().into(), count: 1 });
        most = most.max(shell.bus.facts().output_bytes);
        if !shell.bus.downs.is_empty() {
            break;
        }
    }
    assert_eq!(shell.bus.downs, [LinkId(1)]);
    assert!((LIMIT as u64..LIMIT as u64 + 10_200).contains(&most), "{most} bytes waited");
    assert_eq!(shell.bus.facts().output_bytes, 0);
    assert!(shell.bus.dirty.iter().all(|slot| shell.bus.links.get(*slot).is_none()));
}
