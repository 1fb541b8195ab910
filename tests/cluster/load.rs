//! What nodes say to each other while jobs are added, consumed elsewhere and acknowledged.

use disque::engine::ClientId;
use disque::types::Millis;

use crate::net::Net;
use crate::talk::job_in;

/// Jobs that each node gets per second, and for how long.
const PER_SECOND: u64 = 20;
const SECONDS: u64 = 2;

/// Every node has a queue of its own, whose jobs a consumer at the next node takes and acknowledges.
struct Load {
    net: Net,
    consumers: Vec<ClientId>,
    acked: usize,
}

impl Load {
    fn new(count: usize) -> Load {
        let mut net = Net::cluster(count);
        let consumers = (0..count).map(|of| net.tell((of + 1) % count, &wish(of))).collect();
        Load { net, consumers, acked: 0 }
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds * PER_SECOND {
            for place in 0..self.consumers.len() {
                let body = "x".repeat(100);
                self.net.tell(place, &format!("ADDJOB q{place} {body} 1000 REPLICATE 3 RETRY 60"));
            }
            for _ in 0..10 {
                self.net.run(Millis(1000 / PER_SECOND / 10));
                self.consume();
            }
        }
    }

    fn consume(&mut self) {
        let count = self.consumers.len();
        for of in 0..count {
            let at = (of + 1) % count;
            let Some(answer) = self.net.answer(at, self.consumers[of]) else { continue };
            let job = job_in(&answer).expect("a consumer gets a job");
            self.net.tell(at, &format!("ACKJOB {job}"));
            self.acked += 1;
            self.consumers[of] = self.net.tell(at, &wish(of));
        }
    }
}

fn wish(queue: usize) -> String {
    format!("GETJOB FROM q{queue}")
}

/// Messages and bytes that a node sends per second, each message counted as a frame of its own; and messages per job.
fn under_load(count: usize) -> (f64, f64, f64) {
    let mut load = Load::new(count);
    load.run(1);
    let (before, acked) = (load.net.traffic(), load.acked);
    load.run(SECONDS);
    let (after, acked) = (load.net.traffic(), load.acked - acked);
    let jobs = count * (PER_SECOND * SECONDS) as usize;
    assert!(acked * 10 >= jobs * 9, "{acked} of {jobs} jobs went through");
    let per_second = |total: usize| total as f64 / (SECONDS * count as u64) as f64;
    let messages = after.0 - before.0;
    (per_second(messages), per_second(after.1 - before.1), messages as f64 / acked as f64)
}

#[test]
fn what_a_job_costs_does_not_grow_with_the_cluster() {
    for count in [3, 10, 25, 50] {
        let (messages, bytes, per_job) = under_load(count);
        println!(
            "{count} nodes, {PER_SECOND} jobs each: {messages:.0} messages and {bytes:.0} bytes per node and second, \
             {per_job:.1} messages per job"
        );
        // Copies 4, federation 3, acknowledgement 9; the pings of 50 nodes add less than one per job.
        assert!(per_job < 24.0, "{count} nodes: {per_job} messages per job");
    }
}
