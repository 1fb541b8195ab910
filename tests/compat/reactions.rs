//! What the engine does with recorded frames of other nodes: the part of a reaction that the codec cannot decide.

use disque::bus::{FrameReader, MAX_FRAME_LEN, Message, NodesConf, Notice, decode};
use disque::engine::{Effect, Effects, Engine, EngineSettings, Input, PeerLinkId, Seed, SendTo, Via};
use disque::types::NodeId;

use crate::frames::NOW;
use crate::vectors::frame;

/// The node that the probes were sent to, and the one in whose name they were sent.
const RECEIVER: &str = "b9e751e4ab9dd37ac3ae1b87582e1ce39dfd73c0";
const PROBER: &str = "5ca1ab1e00000000000000000000000000c0ffee";

fn receiver() -> Engine {
    let text = format!(
        "{RECEIVER} 127.0.0.1:7821 myself 0 0 connected\n{PROBER} 127.0.0.1:7829 noflags 0 1 connected\n"
    );
    let conf = NodesConf::parse(text.as_bytes()).expect("a node table");
    Engine::new(
        EngineSettings { port: 7821, bus_port: 17821, ..EngineSettings::default() },
        &conf,
        Seed([1; 32]),
        NOW,
    )
}

/// Hands a recorded frame to a node, as if it came on the prober's link; what the node wants done.
fn receive(engine: &mut Engine, name: &str) -> Effects {
    let mut reader = FrameReader::new(MAX_FRAME_LEN);
    let bytes = frame(name);
    reader.feed(&bytes);
    let mut effects = Effects::new();
    if let Ok(Some(frame)) = reader.next_frame()
        && let Ok((header, messages)) = decode(frame, NOW)
    {
        let from = "127.0.0.1".parse().expect("an address");
        let via = Via::Peer { link: PeerLinkId(7), from, to: from };
        for message in messages.flatten() {
            engine.step(NOW, Input::Message { via, header: &header, message }, &mut effects);
        }
    }
    assert_eq!(engine.audit(), Ok(()), "{name}");
    effects
}

/// Hands a recorded frame to a node; the names of the messages that go back on its link, and how many handshakes
/// there are then. Nothing else may happen.
fn react(engine: &mut Engine, name: &str) -> (Vec<&'static str>, u64) {
    let effects = receive(engine, name);
    let mut answers = Vec::new();
    for effect in effects.iter() {
        match effect {
            Effect::Send { to: SendTo::Peer(PeerLinkId(7)), message } => {
                answers.push(effects.message(message).name())
            }
            Effect::SaveNodes(_) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
    let mut shown = Effects::new();
    let request = disque::engine::Request::Cluster(disque::engine::ClusterRequest::Info);
    engine.step(NOW, Input::Request { client: disque::engine::ClientId(1), request }, &mut shown);
    let handshakes = shown.iter().find_map(|effect| match effect {
        Effect::Reply { reply: disque::engine::Reply::ClusterInfo(info), .. } => {
            Some(info.known_nodes - info.size)
        }
        _ => None,
    });
    (answers, handshakes.expect("CLUSTER INFO"))
}

#[test]
fn probes_about_membership_get_the_documented_reaction_or_a_better_one() {
    for (name, answers, handshakes) in [
        ("probe-01", vec![], 0),
        ("probe-02", vec![], 0),
        ("probe-03", vec![], 0),
        ("probe-04", vec![], 0),
        ("probe-05", vec!["PONG"], 0),
        ("probe-06", vec![], 0),
        ("probe-07", vec![], 0),
        // A job from a stranger is not taken, and his PING makes him no member.
        ("probe-20", vec![], 0),
        ("probe-21", vec!["PONG"], 0),
        // Gossip from a member about a node that nobody knows.
        ("probe-22", vec!["PONG"], 1),
        // RC1 aborts; there is nothing wrong with the node that this is about.
        ("probe-23", vec!["PONG"], 1),
    ] {
        assert_eq!(react(&mut receiver(), name), (answers, handshakes), "{name}");
    }
}

/// Hands a recorded frame to a node that has a link to the prober; what it says on that link.
fn say(engine: &mut Engine, name: &str) -> Vec<String> {
    let effects = receive(engine, name);
    let said = effects.iter().filter_map(|effect| match effect {
        Effect::Send { message, .. } => Some(text(&effects.message(message))),
        _ => None,
    });
    said.collect()
}

fn text(message: &Message<'_>) -> String {
    match message {
        Message::YourJobs { jobs } => format!("YOURJOBS flags={:#x}", jobs[0].flags),
        Message::Notice { notice: Notice::GotAck { known }, .. } => format!("GOTACK known={known}"),
        message => message.name().to_owned(),
    }
}

/// A receiver whose link to the prober is up.
fn linked() -> Engine {
    let (mut engine, mut effects) = (receiver(), Effects::new());
    engine.advance(NOW, &mut effects);
    let links = effects.iter().filter_map(|effect| match effect {
        Effect::OpenLink { link, .. } => Some(*link),
        _ => None,
    });
    for link in links.collect::<Vec<_>>() {
        engine.step(NOW, Input::LinkUp { link }, &mut Effects::new());
    }
    engine
}

/// How many jobs are in each state: waiting for copies, active, queued, acknowledged.
fn states(engine: &Engine) -> [u64; 4] {
    engine.job_counts()
}

#[test]
fn probes_about_jobs_get_the_documented_reaction_or_a_better_one() {
    let mut engine = linked();
    for (name, said, jobs) in [
        ("probe-11", vec![], [0, 0, 0, 0]),
        ("probe-12", vec!["GOTACK known=false"], [0, 0, 0, 0]),
        ("probe-13", vec!["GOTJOB"], [0, 1, 0, 0]),
        ("probe-14", vec![], [0, 1, 0, 0]),
        ("probe-15", vec![], [0, 1, 0, 0]),
        // It lists two nodes that nobody here knows. RC1 forgets them.
        ("probe-16", vec!["GOTJOB"], [0, 2, 0, 0]),
        ("probe-17", vec![], [0, 1, 1, 0]),
        ("probe-18", vec!["YOURJOBS flags=0xfb"], [0, 2, 0, 0]),
        // RC1 says nothing, and so is nowhere listed as a holder (defect 1 of job-lifecycle.md).
        ("probe-19", vec!["WILLQUEUE"], [0, 2, 1, 0]),
        ("probe-20", vec![], [0, 2, 1, 0]),
    ] {
        assert_eq!(say(&mut engine, name), said, "{name}");
        assert_eq!(states(&engine), jobs, "{name}");
    }
}

#[test]
fn a_recorded_meet_of_a_stranger_is_answered_and_starts_a_handshake() {
    for name in ["meet-01", "meet-02"] {
        let me = NodeId::from_bytes([0xab; 20]);
        let mut alone =
            Engine::new(EngineSettings::default(), &NodesConf::alone(me, 7711), Seed([1; 32]), NOW);
        assert_eq!(react(&mut alone, name), (vec!["PONG"], 1), "{name}");
    }
}
