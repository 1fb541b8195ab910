//! What nobody should send, and what comes of it.

use disque::bus::{Features, Gossip, Header, Message, NodeFlags};
use disque::engine::{ClusterRequest, EngineSettings, Input, LinkId, PeerLinkId, Refusal, Reply, Via};
use disque::types::{Millis, NodeId, UnixMillis};
use proptest::prelude::*;

use crate::net::{Net, START, id, ip};

fn header(sender: NodeId) -> Header {
    Header { sender, ip: None, port: 7711, bus_port: None, leaving: false, features: None }
}

fn gossip(node: NodeId, at: usize, flags: NodeFlags) -> Gossip {
    Gossip { node, ping_sent: 0, pong_received: 0, ip: Some(ip(at)), port: 7711, bus_port: None, flags }
}

fn ping(gossip: Vec<Gossip>) -> Message<'static> {
    Message::Ping { gossip }
}

/// Defect 1 of cluster-bus.md: an RC1 node that is told by "itself" that it leaves, leaves.
#[test]
fn a_frame_in_its_own_name_changes_nothing() {
    let mut net = Net::cluster(3);
    let before = (net.lines(0), net.nodes[0].saves);
    let forged = Header {
        leaving: true,
        port: 9999,
        ip: Some(ip(99)),
        features: Some(Features::OURS),
        ..header(id(1))
    };
    let lies = vec![gossip(id(2), 2, NodeFlags::FAIL), gossip(id(77), 77, NodeFlags::NONE)];
    assert_eq!(net.inject(0, ip(99), &forged, ping(lies.clone())), ["PONG"]);
    assert_eq!(net.inject(0, ip(99), &forged, Message::Meet { gossip: lies.clone() }), ["PONG"]);
    assert!(net.inject(0, ip(99), &forged, Message::Pong { gossip: lies }).is_empty());
    assert!(net.inject(0, ip(99), &forged, Message::Fail { node: id(2) }).is_empty());
    assert_eq!((net.lines(0), net.nodes[0].saves), before);
    assert!(matches!(net.ask(0, ClusterRequest::IsLeaving), Reply::Leaving(false)));
}

/// probe-20 to probe-22 of the recordings, and gossip that merges clusters by mistake.
#[test]
fn a_ping_of_a_stranger_gets_a_pong_and_no_more() {
    let mut net = Net::cluster(2);
    let stranger = header(NodeId::from_bytes([0xee; 20]));
    let about = vec![gossip(id(77), 77, NodeFlags::NONE), gossip(id(2), 78, NodeFlags::FAIL)];
    let before = net.lines(0);
    assert_eq!(net.inject(0, ip(50), &stranger, ping(about.clone())), ["PONG"]);
    assert!(net.inject(0, ip(50), &stranger, Message::Pong { gossip: about }).is_empty());
    assert!(net.inject(0, ip(50), &stranger, Message::Fail { node: id(2) }).is_empty());
    assert_eq!(net.lines(0), before);
    // A member may introduce others, with flags that RC1 sends and with those of probe-22.
    let member = header(id(2));
    net.inject(
        0,
        ip(2),
        &member,
        ping(vec![gossip(id(77), 77, NodeFlags::LEAVING), gossip(id(78), 78, NodeFlags::NOADDR)]),
    );
    let lines = net.lines(0);
    assert_eq!(lines.len(), before.len() + 1);
    assert!(lines[2].flags == NodeFlags::HANDSHAKE && lines[2].ip == Some(ip(77)));
}

/// Defect 7 of cluster-bus.md: each MEET with a new sender makes RC1 keep an entry and call an address.
#[test]
fn a_flood_of_meets_is_bounded_and_leaves_room_for_the_operator() {
    let mut net = Net::of(2);
    for n in 0..5000_usize {
        let stranger = Header { port: 1 + n as u16, ..header(id(1000 + n)) };
        assert_eq!(net.inject(0, ip(50), &stranger, Message::Meet { gossip: Vec::new() }), ["PONG"]);
    }
    assert_eq!(net.info(0).known_nodes, 1 + 64);
    net.meet(0, 1);
    net.run(Millis(1000));
    assert!(net.members(0).contains(&id(2)) && net.members(1).contains(&id(1)));
    net.run(Millis(20_000));
    assert_eq!(net.info(0).known_nodes, 2);
}

#[test]
fn an_operator_is_told_when_too_many_handshakes_are_under_way() {
    let mut net = Net::of(1);
    for n in 0..65 {
        let request = ClusterRequest::Meet { ip: ip(100 + n), port: 7711, bus_port: 17711 };
        let reply = net.ask(0, request);
        assert_eq!(matches!(reply, Reply::Refused(Refusal::TooManyHandshakes)), n == 64, "{n}: {reply:?}");
    }
}

/// Addresses that nobody can have lead nowhere.
#[test]
fn a_meet_without_a_usable_address_starts_nothing() {
    let mut net = Net::of(1);
    for (from, header) in [
        (ip(50), Header { port: 0, ..header(id(9)) }),
        (ip(50), Header { port: 60_000, ..header(id(9)) }),
        (ip(50), Header { ip: "0.0.0.0".parse().ok(), ..header(id(9)) }),
        ("224.0.0.1".parse().expect("an address"), header(id(9))),
    ] {
        assert_eq!(net.inject(0, from, &header, Message::Meet { gossip: Vec::new() }), ["PONG"]);
        assert_eq!(net.info(0).known_nodes, 1);
    }
}

#[test]
fn events_of_links_that_nobody_has_are_ignored() {
    let mut net = Net::cluster(2);
    let before = net.lines(0);
    for link in [LinkId(0), LinkId(999), LinkId(u64::MAX)] {
        let mut effects = disque::engine::Effects::new();
        let header = header(id(2));
        let (now, engine) = (net.now, &mut net.nodes[0].engine);
        engine.step(now, Input::LinkUp { link }, &mut effects);
        engine.step(now, Input::LinkDown { link }, &mut effects);
        let message = Message::Pong { gossip: Vec::new() };
        engine.step(now, Input::Message { via: Via::Own(link), header: &header, message }, &mut effects);
        assert!(effects.is_empty());
    }
    assert_eq!(net.lines(0), before);
}

/// One thing that may come from anywhere.
#[derive(Clone, Debug)]
enum Odd {
    Frame {
        kind: u8,
        sender: usize,
        own: Option<u64>,
        header: (u16, bool, bool, bool),
        gossip: Vec<(usize, usize, u16)>,
    },
    Up(u64),
    Down(u64),
    Wait(u16),
    Forget(usize),
    Meet(usize),
    Reset(bool),
}

fn odd() -> impl Strategy<Value = Odd> {
    let about = proptest::collection::vec((0..9_usize, 0..9_usize, any::<u16>()), 0..4);
    let header = (
        prop_oneof![Just(7711_u16), Just(0), Just(65_535), Just(7712)],
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    let frame = (0..4_u8, 0..9_usize, proptest::option::of(0..12_u64), header, about);
    prop_oneof![
        6 => frame.prop_map(|(kind, sender, own, header, gossip)| Odd::Frame { kind, sender, own, header, gossip }),
        2 => (0..12_u64).prop_map(Odd::Up),
        1 => (0..12_u64).prop_map(Odd::Down),
        2 => any::<u16>().prop_map(Odd::Wait),
        1 => (0..9_usize).prop_map(Odd::Forget),
        1 => (0..9_usize).prop_map(Odd::Meet),
        1 => any::<bool>().prop_map(Odd::Reset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever comes in whatever order, the engine goes on, contradicts itself nowhere, and stores what it can read.
    #[test]
    fn no_order_of_odd_events_confuses_the_engine(events in proptest::collection::vec(odd(), 1..60)) {
        let mut net = Net::of(0);
        net.add_node(1, EngineSettings { node_timeout: Millis(500), ..EngineSettings::default() });
        let engine = &mut net.nodes[0].engine;
        let mut now = START;
        let mut effects = disque::engine::Effects::new();
        for event in events {
            effects.clear();
            match event {
                Odd::Frame { kind, sender, own, header: (port, leaving, announces, capable), gossip: about } => {
                    let header = Header {
                        port,
                        leaving,
                        ip: announces.then(|| ip(sender + 20)),
                        bus_port: (announces && capable).then_some(4000),
                        features: capable.then_some(Features::OURS),
                        ..header(id(sender))
                    };
                    let about = about.into_iter().map(|(node, at, flags)| gossip(id(node), at, NodeFlags::from_bits(flags)));
                    let gossip: Vec<Gossip> = about.collect();
                    let via = match own {
                        Some(link) => Via::Own(LinkId(link)),
                        None => Via::Peer { link: PeerLinkId(now.0), from: ip(sender), to: ip(1) },
                    };
                    let message = match kind {
                        0 => Message::Ping { gossip },
                        1 => Message::Pong { gossip },
                        2 => Message::Meet { gossip },
                        _ => Message::Fail { node: id(gossip.len()) },
                    };
                    engine.step(now, Input::Message { via, header: &header, message }, &mut effects);
                }
                Odd::Up(link) => engine.step(now, Input::LinkUp { link: LinkId(link) }, &mut effects),
                Odd::Down(link) => engine.step(now, Input::LinkDown { link: LinkId(link) }, &mut effects),
                Odd::Wait(millis) => {
                    now += Millis(u64::from(millis) / 8);
                    engine.advance(now, &mut effects);
                    prop_assert!(engine.next_deadline().is_none_or(|at| at > now), "it gets done");
                }
                Odd::Forget(node) => ask(engine, now, ClusterRequest::Forget { id: id(node) }, &mut effects),
                Odd::Meet(at) => {
                    ask(engine, now, ClusterRequest::Meet { ip: ip(at), port: 7711, bus_port: 17_711 }, &mut effects);
                }
                Odd::Reset(hard) => ask(engine, now, ClusterRequest::Reset { hard }, &mut effects),
            }
            prop_assert_eq!(engine.audit(), Ok(()));
            let conf = engine.nodes_conf();
            prop_assert_eq!(disque::bus::NodesConf::parse(conf.to_string().as_bytes()), Ok(conf));
        }
    }
}

fn ask(
    engine: &mut disque::engine::Engine,
    now: UnixMillis,
    request: ClusterRequest,
    effects: &mut disque::engine::Effects,
) {
    let client = disque::engine::ClientId(1);
    engine.step(now, Input::Request { client, request: disque::engine::Request::Cluster(request) }, effects);
}
