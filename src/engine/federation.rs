//! Jobs flow to where their consumers are: NEEDJOBS, YOURJOBS and HAVEJOBS (job-lifecycle.md 11).
//!
//! A node whose consumers find a queue empty asks the others. It asks everybody rarely, and those that lately had jobs
//! often, for as many as it consumes. To peers of RC1 that is all there is. A peer that knows more remembers who asked
//! in vain, and says so when it has jobs (W19 of reliability.md): a waiting consumer then has its job one and a half
//! round trips later, however rarely everybody is asked.
//!
//! A node that gives a job away stays one of its holders, and the one that takes it becomes one.

use super::Engine;
use super::effect::{Effects, Outgoing};
use super::job::{Job, JobFlags, JobIndex, NameId};
use super::persist::Touch;
use super::request::JobState;
use super::requeue::Cause;
use crate::bus::{MAX_JOBS, Message, Notice};
use crate::types::{JobImage, Millis, NodeId, NodeIndex, NodeSet, Span32, UnixMillis};

/// How many jobs are asked for when it is not known how fast they are consumed, and at least (job-lifecycle.md 1).
const FEWEST_WANTED: u64 = 5;
/// How many are asked of everybody: the point is to find out who has any.
const WANTED_OF_ALL: u32 = 1;
/// First and longest pause between two questions to everybody.
const ALL_PAUSE: Backoff = Backoff { first: Millis(2_000), longest: Millis(30_000) };
/// First and longest pause between two questions to known providers.
const PROVIDERS_PAUSE: Backoff = Backoff { first: Millis(25), longest: Millis(2_000) };
/// How long a node counts as a provider after its last job, in whole seconds.
const PROVIDER_SECS: u64 = 5;
/// Imports are counted in two buckets of this length, and forgotten after this time.
const BUCKET: Millis = Millis(1000);
const RATE_WINDOW: Millis = Millis(5000);
/// An import rate is not measured over less.
const SHORTEST_MEASURE: Millis = Millis(50);
/// How long it is remembered that a node asked in vain: a little longer than two questions to everybody lie apart.
const INTEREST: Millis = Millis(65_000);
/// How long after an offer the next nodes are told, if jobs still wait: several round trips.
const NEXT_OFFER: Millis = Millis(50);
/// How many queues ask again in one call of `advance`.
pub(super) const HUNGRY_PER_ADVANCE: usize = 100;

#[derive(Clone, Copy, Debug)]
struct Backoff {
    first: Millis,
    longest: Millis,
}

impl Backoff {
    fn pause(self, attempt: u8) -> Millis {
        // Saturating: RC1's counter overflows after some minutes of waiting (defect 18 of job-lifecycle.md).
        let doubled = self.first.0.checked_shl(u32::from(attempt)).unwrap_or(u64::MAX);
        Millis(doubled.min(self.longest.0))
    }
}

/// When and how often one kind of question was asked.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    last: UnixMillis,
    attempt: u8,
}

impl Asked {
    /// When the next question may be asked.
    fn next(&self, backoff: Backoff) -> UnixMillis {
        self.last + backoff.pause(self.attempt)
    }

    fn asked(&mut self, now: UnixMillis) {
        self.last = now;
        // Far above what any back-off tells apart.
        self.attempt = self.attempt.saturating_add(1).min(32);
    }
}

/// Jobs counted by time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    since: UnixMillis,
    count: u64,
}

/// What a node knows about the traffic of one queue between nodes.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    all: Asked,
    providers_asked: Asked,
    /// Nodes that sent jobs, or said that they have some, and when last.
    providers: Vec<(NodeIndex, UnixMillis)>,
    current: Bucket,
    previous: Bucket,
    /// Nodes that asked in vain, and until when they are told.
    interested: Vec<(NodeIndex, UnixMillis)>,
    /// When this queue asks again on behalf of waiting clients, or offers what it has, if it is among the hungry.
    pub(super) ask_at: Option<UnixMillis>,
}

impl Traffic {
    pub(super) fn new(now: UnixMillis) -> Traffic {
        let bucket = Bucket { since: now, count: 0 };
        Traffic {
            all: Asked::default(),
            providers_asked: Asked::default(),
            providers: Vec::new(),
            current: bucket,
            previous: bucket,
            interested: Vec::new(),
            ask_at: None,
        }
    }

    /// Jobs per second that other nodes send, rounded up.
    pub(super) fn import_rate(&self, now: UnixMillis) -> u64 {
        if now.since(self.current.since) > RATE_WINDOW {
            return 0;
        }
        let span = now.since(self.previous.since).max(SHORTEST_MEASURE);
        ((self.previous.count + self.current.count) * 1000).div_ceil(span.0)
    }

    fn count_import(&mut self, now: UnixMillis) {
        if now.since(self.current.since) > BUCKET {
            self.previous = self.current;
            self.current = Bucket { since: now, count: 0 };
        }
        self.current.count += 1;
        self.providers_asked.attempt = 0;
    }

    fn add_provider(&mut self, node: NodeIndex, now: UnixMillis) {
        match self.providers.iter_mut().find(|(provider, _)| *provider == node) {
            Some((_, last)) => *last = now,
            None => {
                self.providers.push((node, now));
                self.all.attempt = 0;
            }
        }
    }

    fn purge_providers(&mut self, now: UnixMillis) {
        self.providers.retain(|(_, last)| now.secs().saturating_sub(last.secs()) <= PROVIDER_SECS);
    }

    /// The nodes that sent jobs lately.
    pub(super) fn provider_set(&self, now: UnixMillis) -> NodeSet {
        let fresh =
            |(_, last): &&(NodeIndex, UnixMillis)| now.secs().saturating_sub(last.secs()) <= PROVIDER_SECS;
        self.providers
            .iter()
            .filter(fresh)
            .fold(NodeSet::EMPTY, |set, (node, _)| set.union(NodeSet::only(*node)))
    }

    fn add_interest(&mut self, node: NodeIndex, until: UnixMillis) {
        match self.interested.iter_mut().find(|(other, _)| *other == node) {
            Some((_, end)) => *end = until,
            None => self.interested.push((node, until)),
        }
    }

    /// Whether somebody is to be told when there are jobs.
    pub(super) fn is_wanted(&self) -> bool {
        !self.interested.is_empty()
    }

    /// How many jobs to ask each provider for, when so many clients wait.
    fn wanted(&self, providers: u32, waiting: u32, now: UnixMillis) -> u32 {
        let by_rate =
            if providers == 0 { FEWEST_WANTED } else { self.import_rate(now) / u64::from(providers) };
        by_rate.max(u64::from(waiting)).clamp(FEWEST_WANTED, u64::from(MAX_JOBS)) as u32
    }
}

/// Why jobs are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A client found nothing, or waits.
    Clients,
    /// The last job was taken; more will soon be wanted if others send them.
    ReachedZero,
}

impl Engine {
    /// Asks other nodes for jobs of a queue that exists, if it is time to.
    pub(super) fn need(&mut self, name: NameId, need: Need, out: &mut Effects) {
        if self.nodes.is_alone() || self.nodes.is_leaving() {
            return;
        }
        let now = self.now;
        let Some(queue) = self.queues.queue_mut(name) else { return };
        if need == Need::ReachedZero
            && queue.traffic.as_ref().is_none_or(|traffic| traffic.import_rate(now) == 0)
        {
            return;
        }
        let waiting = queue.line.len();
        let traffic = queue.traffic.get_or_insert_with(|| Box::new(Traffic::new(now)));
        traffic.purge_providers(now);
        let providers = traffic.provider_set(now);
        let wanted = traffic.wanted(providers.len(), waiting, now);
        let ask_all = now > traffic.all.next(ALL_PAUSE);
        if ask_all {
            traffic.all.asked(now);
        }
        let ask_providers = !providers.is_empty()
            && (need == Need::ReachedZero || now > traffic.providers_asked.next(PROVIDERS_PAUSE));
        if ask_providers {
            traffic.providers_asked.asked(now);
        }
        if ask_all {
            let others = if ask_providers {
                self.nodes.table.members().without(providers)
            } else {
                self.nodes.table.members()
            };
            self.ask(others, name, WANTED_OF_ALL, out);
        }
        if ask_providers {
            self.ask(providers, name, wanted, out);
        }
    }

    fn ask(&mut self, nodes: NodeSet, name: NameId, count: u32, out: &mut Effects) {
        if nodes.intersection(self.nodes.table.linked()).is_empty() {
            return;
        }
        let queue = self.queues.name(name).to_vec().into();
        self.send_all(nodes, &Message::NeedJobs { queue, count }, out);
    }

    /// Asks on behalf of a queue's waiting clients, and sees to it that it asks again while they wait.
    pub(super) fn stay_hungry(&mut self, name: NameId, out: &mut Effects) {
        self.need(name, Need::Clients, out);
        let now = self.now;
        let Some(traffic) = self.queues.queue_mut(name).and_then(|queue| queue.traffic.as_mut()) else {
            return;
        };
        let mut at = traffic.all.next(ALL_PAUSE);
        if !traffic.providers.is_empty() {
            at = at.min(traffic.providers_asked.next(PROVIDERS_PAUSE));
        }
        // Strictly later than the pause allows.
        self.look_again(name, at.max(now) + Millis(1));
    }

    /// The queue, which has traffic, asks or offers again at this time.
    fn look_again(&mut self, name: NameId, at: UnixMillis) {
        let traffic = self.queues.queue_mut(name).and_then(|queue| queue.traffic.as_mut());
        if let Some(before) = traffic.and_then(|traffic| traffic.ask_at.replace(at)) {
            self.hungry.remove(&(before, name));
        }
        self.hungry.insert((at, name));
    }

    /// Lets queues ask again whose clients still wait.
    pub(super) fn ask_again(&mut self, out: &mut Effects) {
        for _ in 0..HUNGRY_PER_ADVANCE {
            let Some(&(at, name)) = self.hungry.first() else { return };
            if at > self.now {
                return;
            }
            self.hungry.pop_first();
            let queue = self.queues.queue_mut(name).expect("a hungry queue stays");
            let traffic = queue.traffic.as_mut().expect("a hungry queue asks others");
            traffic.ask_at = None;
            if queue.line.is_empty() {
                self.offer(name, out);
                self.queues.watch_idle(name, self.now);
            } else {
                self.stay_hungry(name, out);
            }
        }
    }

    /// Members can be talked to, again or for the first time, and do not know who waits here: the queue in a slot asks
    /// them if it has waiting clients.
    pub(super) fn ask_the_returned(&mut self, slot: usize, nodes: NodeSet, out: &mut Effects) {
        let Some((name, queue)) = self.queues.slot(slot) else { return };
        if self.nodes.is_leaving() || queue.line.is_empty() {
            return;
        }
        if queue.traffic.as_ref().is_some_and(|traffic| traffic.ask_at.is_some()) {
            self.ask(nodes, name, WANTED_OF_ALL, out);
        } else {
            // The clients have waited since before there were others.
            self.stay_hungry(name, out);
        }
    }

    /// NEEDJOBS: another node has hungry consumers.
    pub(super) fn need_jobs(&mut self, sender: NodeIndex, name: &[u8], count: u32, out: &mut Effects) {
        let now = self.now;
        let knows_more = self.nodes.table.capable().contains(sender);
        let found = self.queues.find_queue(name).map(|(id, _)| id);
        let Some(id) = found.or_else(|| knows_more.then(|| self.queues.intern(name))) else { return };
        let queue = self.queues.open(id, now);
        let len = queue.lanes.len();
        // RC1 does not pass on what it imports itself, to avoid passing jobs around. Between nodes that ask only for
        // clients that wait now, a job that is queued here has no client here.
        let imports = queue.traffic.as_ref().is_some_and(|traffic| traffic.import_rate(now) > 0);
        if len == 0 || queue.pause.output || (imports && !knows_more) {
            if knows_more {
                let traffic = queue.traffic.get_or_insert_with(|| Box::new(Traffic::new(now)));
                traffic.add_interest(sender, now + INTEREST);
                self.queues.watch_idle(id, now);
            }
            return;
        }
        let count = count.clamp(1, MAX_JOBS) as usize;
        // One question must not empty the queue.
        let count = if len >= 2 * count { count } else { (len / 2).max(1) };
        self.give_away(id, sender, count, out);
    }

    /// Hands the first jobs of a queue to another node.
    fn give_away(&mut self, name: NameId, to: NodeIndex, count: usize, out: &mut Effects) {
        // RC1 takes them out first, and loses them if there is no link (defect 8 of job-lifecycle.md).
        if self.nodes.table.link_up(to).is_none() {
            return;
        }
        let (now, mark) = (self.now, out.images_mark());
        for _ in 0..count {
            let queue = self.queues.queue_mut(name).expect("the caller found it");
            let Some(index) = queue.lanes.pop_first(&mut self.jobs) else { break };
            queue.jobs_out += 1;
            queue.last_access = now;
            self.set_state(index, JobState::Active);
            self.jobs[index].delivered.insert(to);
            self.touch(index, Touch::Holders);
            self.image_of(index, Span32::ZERO, out);
            self.given_away(index);
        }
        let queue = self.queues.queue(name).expect("the caller found it");
        if queue.lanes.is_empty() {
            self.queues.watch_idle(name, now);
        }
        let images = out.images_since(mark);
        self.send(to, Outgoing::YourJobs { images }, out);
    }

    /// The job is in another node's queue now. This node's copy only takes care that it is not forgotten; of an
    /// at-most-once job there must be no copy.
    fn given_away(&mut self, index: JobIndex) {
        if self.jobs[index].retry.is_zero() {
            return self.forget(index);
        }
        let jitter = self.jitter();
        let job = &mut self.jobs[index];
        job.flags.insert(JobFlags::ANNOUNCED);
        job.requeue_at = self.now + job.patience() + jitter;
        self.warn_in_time(index);
    }

    /// HAVEJOBS: jobs wait at another node that was asked in vain.
    pub(super) fn have_jobs(&mut self, sender: NodeIndex, name: &[u8], out: &mut Effects) {
        let now = self.now;
        let Some(id) = self.queues.find(name) else { return };
        let Some(queue) = self.queues.queue_mut(id) else { return };
        let waiting = queue.line.len();
        let traffic = queue.traffic.get_or_insert_with(|| Box::new(Traffic::new(now)));
        traffic.add_provider(sender, now);
        if waiting > 0 && !self.nodes.is_leaving() {
            let wanted = traffic.wanted(1, waiting, now);
            traffic.providers_asked.asked(now);
            self.ask(NodeSet::only(sender), id, wanted, out);
        }
    }

    /// Jobs wait here and nobody here takes them: tells a node that asked for some, one for each job.
    pub(super) fn offer(&mut self, name: NameId, out: &mut Effects) {
        let now = self.now;
        let Some(queue) = self.queues.queue_mut(name) else { return };
        let Some(traffic) = queue.traffic.as_mut() else { return };
        if queue.pause.output || queue.lanes.is_empty() || !queue.line.is_empty() {
            return;
        }
        let mut told = NodeSet::EMPTY;
        // One that is just back is asked what it understands first; it will ask again itself.
        let able = self.nodes.table.linked().intersection(self.nodes.table.capable());
        let len = queue.lanes.len();
        traffic.interested.retain(|(node, until)| {
            let tell = (told.len() as usize) < len && able.contains(*node) && *until > now;
            if tell {
                told.insert(*node);
            }
            !tell && *until > now
        });
        let others = traffic.is_wanted();
        if !told.is_empty() {
            if others {
                // Those who are told may need it no more.
                self.look_again(name, now + NEXT_OFFER);
            }
            let queue = self.queues.name(name).to_vec().into();
            self.send_all(told, &Message::HaveJobs { queue }, out);
        }
    }

    /// YOURJOBS: jobs for the consumers here.
    pub(super) fn your_jobs(&mut self, sender: NodeIndex, jobs: Vec<JobImage<'_>>, out: &mut Effects) {
        for image in jobs {
            self.import(sender, image, out);
        }
    }

    fn import(&mut self, sender: NodeIndex, image: JobImage<'_>, out: &mut Effects) {
        let id = image.id;
        if image.expires_at <= self.now {
            return;
        }
        let index = match self.jobs.find(&id) {
            None if self.tombstones.contains(&id, self.now) => {
                return self.answer_for_the_gone(sender, id, out);
            }
            None => {
                let index = self.register(image, None);
                self.wake_in_time(index);
                self.jobs[index].confirmed.insert(sender);
                tracing::debug!(job = %id, "imported");
                index
            }
            Some(index) => {
                self.learn_holders(index, &image.nodes, out);
                // Acknowledged is final (W6 of reliability.md).
                if self.jobs[index].state == JobState::Acked {
                    return self.tell_of_ack(sender, index, out);
                }
                index
            }
        };
        self.queue_import(sender, index, out);
    }

    fn queue_import(&mut self, sender: NodeIndex, index: JobIndex, out: &mut Effects) {
        let job = &mut self.jobs[index];
        if job.retry.is_zero() {
            // It has forgotten it, and names itself still.
            job.delivered.remove(sender);
            job.confirmed.remove(sender);
        } else {
            job.delivered.insert(sender);
        }
        if job.state == JobState::WaitReplication || job.state == JobState::Queued {
            return;
        }
        if job.is_leased(self.now) {
            // A worker here has it; the sender did not know.
            let id = job.id;
            return self.tell(sender, id, Notice::Working, out);
        }
        // It only changes its queue: nothing to announce.
        job.flags.remove(JobFlags::ANNOUNCED);
        job.flags.remove(JobFlags::PARKED);
        if !self.enqueue(index, Cause::First, out) {
            return;
        }
        let name = self.jobs[index].queue;
        let now = self.now;
        let traffic = self.queues.open(name, now).traffic.get_or_insert_with(|| Box::new(Traffic::new(now)));
        traffic.add_provider(sender, now);
        traffic.count_import(now);
        self.announce_holder(index, sender, out);
    }

    /// Tells the other holders that this node is one now, so that acknowledgements and warnings reach it too (defect 1 of
    /// job-lifecycle.md). RC1 understands WILLQUEUE as that; and only RC1 has not noted it when it sent the job.
    fn announce_holder(&mut self, index: JobIndex, sender: NodeIndex, out: &mut Effects) {
        let job: &Job = &self.jobs[index];
        let (id, mut others) = (job.id, job.delivered.without(NodeSet::only(NodeIndex::MYSELF)));
        if job.retry.is_zero() {
            // There are no others.
            return;
        }
        let capable = self.nodes.table.capable();
        self.tell_all(others.without(capable), id, Notice::WillQueue, out);
        others.remove(sender);
        let me: Vec<NodeId> = vec![self.nodes.me()];
        let told = others.intersection(capable);
        if !told.is_empty() {
            self.send_all(told, &Message::Holders { job: id, nodes: me.into() }, out);
        }
    }
}
