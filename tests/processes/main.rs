//! Five real servers with append-only files, killed, stopped, cut off from each other, behind bad links and on full disks,
//! while producers and workers go on. What these were told is judged by the ledger of the simulation (`tests/sim`).
//!
//! ```text
//! cargo test --test processes
//! DISQUE_PROCESSES_SECONDS=600 DISQUE_PROCESSES_SEED=7 cargo test --release --test processes -- --nocapture
//! ```
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

mod cluster;
mod network;
mod people;
#[path = "../sim/simulator/mod.rs"]
mod simulator;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster::Cluster;
use nix::sys::signal::Signal;
use people::World;
use simulator::chance::Chance;
use simulator::ledger::Ledger;
use simulator::plan::Kind;

const NODES: usize = 5;
const PRODUCERS: u64 = 3;
const WORKERS: u64 = 5;
/// How long the faults go on in every run of the tests.
const SECONDS: u64 = 8;
/// How long what was promised may take afterwards.
const REST: Duration = Duration::from_secs(60);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn what_real_servers_promise_survives_their_faults() {
    let inside = std::env::var(network::INSIDE).is_ok();
    if !inside && network::is_possible() {
        assert!(network::run_inside("what_real_servers_promise_survives_their_faults"));
        return;
    }
    let mut cluster = Cluster::start(NODES, inside);
    let world = World {
        ledger: Mutex::new(Ledger::default()),
        begin: Instant::now(),
        addresses: cluster.nodes.iter().map(|node| node.address).collect(),
        produce: AtomicBool::new(true),
        work: AtomicBool::new(true),
    };
    let mut faults = Vec::new();
    std::thread::scope(|scope| {
        let world = &world;
        (0..PRODUCERS).for_each(|number| drop(scope.spawn(move || people::produce(world, number))));
        (0..WORKERS).for_each(|number| drop(scope.spawn(move || people::work(world, 100 + number))));
        faults = storm(&mut cluster, world, inside);
        world.produce.store(false, Ordering::Relaxed);
        let until = Instant::now() + REST;
        while Instant::now() < until && pending(world) > 0 {
            std::thread::sleep(Duration::from_millis(50));
        }
        world.work.store(false, Ordering::Relaxed);
    });
    cluster.wait_until_whole();
    judge(&world, &faults, inside);
}

fn pending(world: &World) -> usize {
    world.ledger.lock().expect("nobody panics with the ledger").pending(world.now())
}

/// One fault after the other; all are over at the end.
fn storm(cluster: &mut Cluster, world: &World, spaces: bool) -> Vec<Kind> {
    let mut chance = Chance::new(number("DISQUE_PROCESSES_SEED", 1)).split(2);
    let until = world.begin + Duration::from_secs(number("DISQUE_PROCESSES_SECONDS", SECONDS));
    let kinds: &[Kind] = if spaces {
        &[
            Kind::Crash,
            Kind::DiskFull,
            Kind::Loss,
            Kind::Pause,
            Kind::OneWayCut,
            Kind::PairCut,
            Kind::Halves,
            Kind::Crash,
        ]
    } else {
        &[Kind::Crash, Kind::Crash, Kind::Pause]
    };
    let mut faults = Vec::new();
    while Instant::now() < until {
        // Each kind once before any comes again by chance.
        let kind = kinds.get(faults.len()).copied().unwrap_or_else(|| chance.pick(kinds));
        let node = chance.below(NODES as u64) as usize;
        let lasts = Duration::from_millis(chance.spread(50, 1_500));
        world.ledger.lock().expect("nobody panics with the ledger").history.begin(kind, world.now());
        strike(cluster, kind, node, lasts);
        world.ledger.lock().expect("nobody panics with the ledger").history.end(kind, world.now());
        faults.push(kind);
        std::thread::sleep(Duration::from_millis(chance.spread(10, 300)));
    }
    faults
}

fn strike(cluster: &mut Cluster, kind: Kind, node: usize, lasts: Duration) {
    match kind {
        Kind::Crash => {
            cluster.nodes[node].kill();
            std::thread::sleep(lasts);
            cluster.nodes[node].start();
        }
        Kind::Pause => {
            cluster.nodes[node].signal(Signal::SIGSTOP);
            std::thread::sleep(lasts);
            cluster.nodes[node].signal(Signal::SIGCONT);
        }
        Kind::DiskFull => {
            cluster.nodes[node].fill_disk(true);
            std::thread::sleep(lasts);
            cluster.nodes[node].fill_disk(false);
        }
        Kind::Loss => {
            cluster.nodes[node].narrow(true);
            std::thread::sleep(lasts);
            cluster.nodes[node].narrow(false);
        }
        _ => {
            let ways = ways(kind, node);
            ways.iter().for_each(|(from, to)| cluster.nodes[*from].cut(*to, true));
            std::thread::sleep(lasts);
            ways.iter().for_each(|(from, to)| cluster.nodes[*from].cut(*to, false));
        }
    }
}

/// The directions that a cut at a node takes away.
fn ways(kind: Kind, node: usize) -> Vec<(usize, usize)> {
    let next = (node + 1) % NODES;
    match kind {
        Kind::OneWayCut => vec![(node, next)],
        Kind::PairCut => vec![(node, next), (next, node)],
        _ => {
            let is_in = |other: usize| other == node || other == next;
            let all = (0..NODES).flat_map(|from| (0..NODES).map(move |to| (from, to)));
            all.filter(|(from, to)| is_in(*from) != is_in(*to)).collect()
        }
    }
}

fn judge(world: &World, faults: &[Kind], spaces: bool) {
    let mut ledger = world.ledger.lock().expect("nobody panics with the ledger");
    let now = world.now();
    ledger.judge_the_end(now);
    let counts = &ledger.counts;
    println!(
        "{}",
        serde_json::json!({
            "namespaces": spaces,
            "seconds": now / 1_000_000,
            "faults": faults.len(),
            "kills": faults.iter().filter(|kind| **kind == Kind::Crash).count(),
            "acknowledged_adds": counts.told,
            "uncertain_adds": counts.unknown,
            "deliveries": counts.deliveries,
            "acks": counts.acks,
            "extra_deliveries": counts.extra.iter().map(|(cause, n)| (cause.clone(), *n)).collect::<std::collections::BTreeMap<_, _>>(),
            "violations": ledger.violations.len(),
        })
    );
    assert!(counts.told > 100, "there was no load: {} jobs", counts.told);
    assert!(!faults.is_empty(), "there were no faults");
    assert!(ledger.violations.is_empty(), "{:#?}", ledger.violations);
}
