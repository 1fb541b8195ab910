//! One connection of the closed load: the step it is in, the replies it awaits and the jobs it holds.

use std::net::SocketAddr;
use std::time::Instant;

use super::fault::Fault;
use super::peer::Step;
use super::scan::Says;
use super::speech::{Expected, Speech};
use super::wire::{Heard, Scratch, Wire};

/// A connection, with at most one window of requests in flight.
pub(super) struct Link {
    pub(super) wire: Wire,
    awaiting: Awaiting,
    pub(super) sent_at: Instant,
    /// Which step of the plan is next.
    pub(super) next_step: usize,
    /// The jobs of this turn: their first number, and how many.
    pub(super) turn: (u64, u32),
    /// Jobs that it added and has not begun to get.
    pub(super) added: u64,
    pub(super) held: Held,
}

/// The step whose replies are awaited.
struct Awaiting {
    step: Step,
    /// How many replies are yet to come, in groups of so many for so many jobs.
    expected: Expected,
    /// How many jobs these are for.
    jobs: u32,
    /// Number of the first job of the turn, and how many queues jobs are spread over.
    first: u64,
    queues: u64,
    /// How many jobs of the step are done.
    done: u32,
}

/// Jobs that were got and not acknowledged, oldest first.
#[derive(Default)]
pub(super) struct Held {
    ids: Vec<u8>,
    /// Where each ID ends, and its queue.
    jobs: Vec<(usize, u32)>,
    acknowledged: usize,
}

impl Held {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.jobs.len() - self.acknowledged
    }

    fn push(&mut self, id: &[u8], queue: u32) {
        self.ids.extend_from_slice(id);
        self.jobs.push((self.ids.len(), queue));
    }

    /// Takes out the oldest; there must be one.
    fn pop(&mut self) -> (&[u8], u32) {
        let at = self.acknowledged;
        let start = if at == 0 { 0 } else { self.jobs[at - 1].0 };
        let (end, queue) = self.jobs[at];
        self.acknowledged += 1;
        (&self.ids[start..end], queue)
    }

    fn clear_if_empty(&mut self) {
        if self.len() == 0 {
            self.ids.clear();
            self.jobs.clear();
            self.acknowledged = 0;
        }
    }
}

/// What a piece of the input brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    /// Jobs that are done with this step.
    pub(super) jobs: u32,
    /// Jobs with which nothing was done.
    pub(super) voids: u32,
    /// Whether there may be more to read at once.
    pub(super) more: bool,
}

impl Link {
    pub(super) fn open(address: SocketAddr, speech: &Speech, number: u32) -> Result<Link, Fault> {
        Ok(Link {
            wire: Wire::open(address, speech, number)?,
            awaiting: Awaiting::nothing(),
            sent_at: Instant::now(),
            next_step: 0,
            turn: (0, 0),
            added: 0,
            held: Held::default(),
        })
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.awaiting.expected.replies > 0
    }

    /// Writes the requests of a step; what they bring is then awaited.
    pub(super) fn prepare(&mut self, speech: &Speech, step: Step, window: u32) {
        assert!(!self.is_waiting(), "a window is sent when the one before is answered");
        let jobs = if step == Step::Ack { self.held.len().min(window as usize) as u32 } else { self.turn.1 };
        self.awaiting = Awaiting {
            step,
            expected: speech.expected(step, jobs),
            jobs,
            first: self.turn.0,
            queues: speech.queues.len() as u64,
            done: 0,
        };
        if jobs == 0 {
            self.awaiting.expected.replies = 0;
            return;
        }
        let (out, inbox) = (&mut self.wire.output, self.wire.inbox.as_slice());
        match step {
            Step::Ping => (0..jobs).for_each(|_| speech.write_ping(out)),
            Step::Add => {
                for i in 0..jobs {
                    let body = speech.bodies.of(self.turn.0 + u64::from(i));
                    speech.write_add(out, inbox, self.awaiting.queue_of(i), body);
                }
                self.added += u64::from(jobs);
            }
            Step::Get => {
                let mut asked = 0;
                while asked < jobs {
                    let at_once = speech.get_at_once(jobs - asked);
                    speech.write_get(out, inbox, self.awaiting.queue_of(asked), at_once);
                    asked += at_once;
                }
                self.added = self.added.saturating_sub(u64::from(jobs));
            }
            Step::Ack => self.write_acks(speech, jobs),
        }
    }

    fn write_acks(&mut self, speech: &Speech, jobs: u32) {
        let out = &mut self.wire.output;
        if speech.ack_batch == 1 {
            for _ in 0..jobs {
                let (id, queue) = self.held.pop();
                speech.write_ack(out, queue, &[id]);
            }
        } else {
            let mut left = jobs;
            while left > 0 {
                let at_once = left.min(speech.ack_batch);
                let ids: Vec<Vec<u8>> = (0..at_once).map(|_| self.held.pop().0.to_vec()).collect();
                let ids: Vec<&[u8]> = ids.iter().map(Vec::as_slice).collect();
                speech.write_ack(out, 0, &ids);
                left -= at_once;
            }
        }
        speech.write_ack_end(out);
        self.held.clear_if_empty();
    }

    /// Reads once and takes the complete replies out of what came.
    pub(super) fn receive(&mut self, speech: &Speech, scratch: &mut Scratch) -> Result<Received, Fault> {
        let mut received = Received::default();
        let Link { wire, awaiting, held, .. } = self;
        let more =
            wire.receive(speech, scratch, |heard| awaiting.take(speech, held, &heard, &mut received))?;
        received.more = more && self.is_waiting();
        Ok(received)
    }
}

impl Awaiting {
    fn nothing() -> Awaiting {
        let expected = Expected { replies: 0, group: 1, jobs: 1 };
        Awaiting { step: Step::Ping, expected, jobs: 0, first: 0, queues: 1, done: 0 }
    }

    /// The queue of the i-th job of this turn.
    fn queue_of(&self, i: u32) -> u32 {
        match self.queues {
            // A division per request would be paid by every run with a single queue.
            1 => 0,
            queues => ((self.first + u64::from(i)) % queues) as u32,
        }
    }

    fn take(
        &mut self,
        speech: &Speech,
        held: &mut Held,
        heard: &Heard<'_>,
        received: &mut Received,
    ) -> Result<(), Fault> {
        if self.expected.replies == 0 {
            return Err(Fault::Malformed("a reply to nothing".to_string()));
        }
        let left = self.jobs - self.done;
        if heard.says == Says::End {
            self.expected.replies = 0;
            received.voids += left;
            received.jobs += left;
            self.done = self.jobs;
            return Ok(());
        }
        let wanted = left.min(self.expected.jobs);
        // The first replies of a group only repeat what the last one says.
        if (self.expected.replies - 1).is_multiple_of(self.expected.group) {
            let had = match (self.step, heard.says) {
                (_, Says::Nothing) => 0,
                (Step::Get, _) => self.hold(speech, held, heard, wanted),
                (Step::Ack, Says::Number(number)) => u32::try_from(number).unwrap_or(wanted).min(wanted),
                _ => wanted,
            };
            received.voids += wanted - had;
            received.jobs += wanted;
            self.done += wanted;
        }
        self.expected.replies -= 1;
        Ok(())
    }

    /// Keeps the jobs that came; how many they are.
    fn hold(&self, speech: &Speech, held: &mut Held, heard: &Heard<'_>, wanted: u32) -> u32 {
        let queue = self.queue_of(self.done);
        if speech.needs_ids() {
            heard.jobs.iter().for_each(|job| held.push(&heard.bytes[job.id.clone()], queue));
            heard.jobs.len() as u32
        } else {
            (0..wanted).for_each(|_| held.push(b"", queue));
            wanted
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bodies::{Bodies, Lengths};
    use super::super::peer::Peer;
    use super::super::scan;
    use super::*;

    /// What a step of so many jobs receives for these bytes, and the jobs that are then held.
    fn taken(peer: Peer, batch: u32, step: Step, jobs: u32, bytes: &[u8]) -> (Received, u32, Held) {
        let mut speech = Speech::new(peer, "q", 1, Bodies::new(Lengths::Fixed(1)));
        (speech.get_batch, speech.ack_batch) = (batch, batch);
        let expected = speech.expected(step, jobs);
        let mut awaiting = Awaiting { step, expected, jobs, ..Awaiting::nothing() };
        let (mut received, mut held) = (Received::default(), Held::default());
        let (mut picks, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let scanned = scan::reply(peer, &bytes[at..], &mut picks).expect("replies").expect("complete");
            let reply = &bytes[at..at + scanned.len];
            let heard = Heard { says: scanned.says, bytes: reply, jobs: &picks };
            awaiting.take(&speech, &mut held, &heard, &mut received).expect("it was expected");
            at += scanned.len;
        }
        (received, awaiting.expected.replies, held)
    }

    #[test]
    fn held_jobs_are_taken_oldest_first() {
        let mut held = Held::default();
        held.push(b"a", 1);
        held.push(b"", 2);
        assert_eq!(held.pop(), (b"a".as_slice(), 1));
        held.clear_if_empty();
        held.push(b"bc", 3);
        assert_eq!(held.len(), 2);
        assert_eq!(held.pop(), (b"".as_slice(), 2));
        assert_eq!(held.pop(), (b"bc".as_slice(), 3));
        held.clear_if_empty();
        assert!(held.len() == 0 && held.ids.is_empty());
    }

    #[test]
    fn short_batches_are_counted_as_jobs_that_did_not_come() {
        let one = b"*1\r\n*3\r\n$1\r\nq\r\n$1\r\nA\r\n$1\r\nx\r\n";
        let (received, left, held) = taken(Peer::Disque, 4, Step::Get, 6, one);
        assert_eq!((received.jobs, received.voids, left, held.len()), (4, 3, 1, 1));
        let (received, left, _) = taken(Peer::Disque, 4, Step::Ack, 6, b":4\r\n:1\r\n");
        assert_eq!((received.jobs, received.voids, left), (6, 1, 0));
    }

    #[test]
    fn job_of_a_stream_is_done_when_it_is_deleted_too() {
        let (received, left, _) = taken(Peer::RedisStreams, 1, Step::Ack, 2, b":1\r\n:1\r\n:1\r\n");
        assert_eq!((received.jobs, received.voids, left), (1, 0, 1));
    }

    #[test]
    fn status_of_nats_ends_a_fetch_and_one_pong_ends_all_acknowledgements() {
        let job = b"MSG q 1 $JS.ACK.q.c.1 1\r\nx\r\n".as_slice();
        let none = b"HMSG i 1 28 28\r\nNATS/1.0 404 No Messages\r\n\r\n\r\n";
        let (received, left, held) = taken(Peer::Nats, 1, Step::Get, 3, &[job, none].concat());
        assert_eq!((received.jobs, received.voids, left, held.len()), (3, 2, 0, 1));
        let (received, left, _) = taken(Peer::Nats, 1, Step::Ack, 3, b"PONG\r\n");
        assert_eq!((received.jobs, received.voids, left), (3, 0, 0));
    }
}
