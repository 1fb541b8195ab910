//! The links that this node opens: one to each member whose address is known, and one for each handshake
//! (cluster-bus.md 2).
//!
//! A link that breaks is opened again after 100 ms, like RC1 does it; if nobody answers, less and less often, until
//! the node is heard of again. RC1 sends MEET once, and a lost one leaves a cluster that only one side believes in
//! (defect 11). Here MEET is said until it is answered, and as long as the new member has not been heard on a link of
//! its own, which proves that it has us in its table, it is greeted with MEET instead of PING.

use rand::Rng as _;

use super::Engine;
use super::effect::{Effect, Effects, SendTo};
use super::gossip::Heartbeat;
use super::input::LinkId;
use super::membership::Membership;
use super::node_table::{Address, Dial, Link};
use crate::types::{Millis, NodeIndex, UnixMillis};

/// How often links, pings and failures are looked at while there are other nodes.
pub(super) const TICK: Millis = Millis(100);
/// A tick that comes so late means that this node did not run, and that its unanswered pings prove nothing.
const LATE: Millis = Millis(1000);
/// How long a connection may take. The operating system would try for minutes, in growing intervals.
const CONNECT_TIMEOUT: Millis = Millis(3000);
/// When a node is heard of, a connection that has taken so long is begun anew.
const SLOW_CONNECTION: Millis = Millis(500);
/// How long after an unanswered greeting the next one is sent on the link of a handshake.
const GREETING_INTERVAL: Millis = Millis(1000);
/// The pause before a link is opened again, at first and at most.
const SHORTEST_PAUSE: Millis = Millis(100);
const LONGEST_PAUSE: Millis = Millis(5000);
/// How many times the pause is the shortest before it begins to double.
const QUICK_RETRIES: u32 = 5;

/// Whose link it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A member's.
    Node(NodeIndex),
    /// That of a handshake, by its place in the list.
    Handshake(usize),
}

impl Membership {
    pub(super) fn owner(&self, link: LinkId) -> Option<Owner> {
        if let Some(node) = self.table.find_link(link) {
            return Some(Owner::Node(node));
        }
        let mut handshakes = self.handshakes.iter();
        let at = handshakes.position(|handshake| handshake.link.is_some_and(|own| own.id == link))?;
        Some(Owner::Handshake(at))
    }

    fn new_link(&mut self, address: Address, now: UnixMillis, out: &mut Effects) -> Link {
        let id = LinkId(self.next_link);
        self.next_link += 1;
        out.push(Effect::OpenLink { link: id, address: address.bus() });
        Link { id, opened: now, up: false, answered: false }
    }
}

impl Engine {
    pub(super) fn link_up(&mut self, link: LinkId, out: &mut Effects) {
        match self.nodes.owner(link) {
            None => {}
            Some(Owner::Node(node)) => {
                let features = self.nodes.table.update(node, |row| {
                    row.link = row.link.map(|link| Link { up: true, ..link });
                    row.features
                });
                if features.is_some() {
                    out.push(Effect::PeerFeatures { link, features });
                }
                self.ping(node, out);
            }
            Some(Owner::Handshake(at)) => {
                let handshake = &mut self.nodes.handshakes[at];
                handshake.link = handshake.link.map(|link| Link { up: true, ..link });
                self.greet(at, out);
            }
        }
    }

    pub(super) fn link_down(&mut self, link: LinkId) {
        match self.nodes.owner(link) {
            None => {}
            Some(Owner::Node(node)) => self.redial(node),
            Some(Owner::Handshake(at)) => {
                let dial = self.next_dial(self.nodes.handshakes[at].dial, false);
                let handshake = &mut self.nodes.handshakes[at];
                handshake.link = None;
                handshake.dial = dial;
            }
        }
    }

    /// What is due about other nodes; does nothing unless it is time.
    pub(super) fn tick_nodes(&mut self, out: &mut Effects) {
        if self.nodes.next_deadline().is_none_or(|at| at > self.now) {
            return;
        }
        if self.now.since(self.nodes.tick_at) > LATE {
            self.restart_ping_clocks();
        }
        self.nodes.tick_at = self.now + TICK;
        self.try_seeds();
        self.drop_old_handshakes(out);
        self.watch_nodes(out);
        self.open_links(out);
        self.repeat_greetings(out);
    }

    fn open_links(&mut self, out: &mut Effects) {
        let now = self.now;
        for node in self.nodes.table.members().iter() {
            let row = &self.nodes.table[node];
            if let Some(address) = row.address
                && row.link.is_none()
                && row.dial.at <= now
            {
                let link = self.nodes.new_link(address, now, out);
                self.nodes.table.update(node, |row| {
                    row.link = Some(link);
                    // From here on the node owes an answer, whether or not the link comes up.
                    row.ping_sent.get_or_insert(now);
                });
            }
        }
        for at in 0..self.nodes.handshakes.len() {
            let handshake = &self.nodes.handshakes[at];
            if handshake.link.is_none() && handshake.dial.at <= now {
                self.nodes.handshakes[at].link = Some(self.nodes.new_link(handshake.address, now, out));
            }
        }
    }

    fn repeat_greetings(&mut self, out: &mut Effects) {
        for at in 0..self.nodes.handshakes.len() {
            let handshake = &self.nodes.handshakes[at];
            match handshake.link {
                Some(link) if link.up && self.now.since(handshake.greeted) >= GREETING_INTERVAL => {
                    self.greet(at, out);
                }
                Some(link) if !link.up && self.now.since(link.opened) > CONNECT_TIMEOUT => {
                    out.push(Effect::CloseLink { link: link.id });
                    self.link_down(link.id);
                }
                _ => {}
            }
        }
    }

    /// Says MEET or PING on the link of a handshake, which is up.
    fn greet(&mut self, at: usize, out: &mut Effects) {
        let handshake = &mut self.nodes.handshakes[at];
        handshake.greeted = self.now;
        let greeting = handshake.greeting();
        if let Some(link) = handshake.link {
            self.say(SendTo::Own(link.id), greeting, out);
        }
    }

    /// Pings a member on its link, if that is up. A ping that was not answered stays the one that counts.
    pub(super) fn ping(&mut self, node: NodeIndex, out: &mut Effects) {
        let Some(link) = self.nodes.table.link_up(node) else { return };
        let now = self.now;
        let introduce = self.nodes.table.update(node, |row| {
            row.ping_sent.get_or_insert(now);
            row.introduce
        });
        let greeting = if introduce { Heartbeat::Meet } else { Heartbeat::Ping };
        self.say(SendTo::Own(link), greeting, out);
    }

    /// Whether a member's link has to be given up: because it does not come up, or because it may be broken although
    /// the node is alive (cluster-bus.md 12.2).
    pub(super) fn is_link_spent(&self, node: NodeIndex) -> bool {
        let row = &self.nodes.table[node];
        let Some(link) = row.link else { return false };
        let age = self.now.since(link.opened);
        if !link.up {
            return age > CONNECT_TIMEOUT;
        }
        let timeout = self.settings.node_timeout;
        let silent = row.ping_sent.is_some_and(|ping| {
            self.now.since(ping) > Millis(timeout.0 / 2) && row.pong_received.is_none_or(|pong| pong < ping)
        });
        silent && age > timeout
    }

    /// A member is alive, since it was heard: it is worth a connection now.
    pub(super) fn hasten_link(&mut self, node: NodeIndex, out: &mut Effects) {
        let now = self.now;
        match self.nodes.table[node].link {
            Some(link) if link.up || now.since(link.opened) < SLOW_CONNECTION => return,
            Some(_) => self.close_link(node, out),
            None => {}
        }
        self.nodes.table.update(node, |row| row.dial = Dial::now(now));
        self.nodes.wake(now);
    }

    /// Gives up a member's link; another one is opened when its time has come.
    pub(super) fn close_link(&mut self, node: NodeIndex, out: &mut Effects) {
        if let Some(link) = self.nodes.table[node].link {
            out.push(Effect::CloseLink { link: link.id });
            self.redial(node);
        }
    }

    /// A member's link is gone. What it understood it may not understand when it is back.
    fn redial(&mut self, node: NodeIndex) {
        let row = &self.nodes.table[node];
        let answered = row.link.is_some_and(|link| link.answered);
        let dial = self.next_dial(row.dial, answered);
        self.nodes.table.update(node, |row| {
            row.link = None;
            row.features = None;
            row.dial = dial;
        });
    }

    /// When to connect again after a link on which a PONG came, or none.
    fn next_dial(&mut self, dial: Dial, answered: bool) -> Dial {
        let failures = if answered { 0 } else { dial.failures.saturating_add(1) };
        let doublings = failures.saturating_sub(QUICK_RETRIES).min(16);
        let pause = (SHORTEST_PAUSE.0 << doublings).min(LONGEST_PAUSE.0);
        // Quick retries are not spread: RC1 does not spread them either, and tests count on 100 ms.
        let spread = if doublings == 0 { 0 } else { self.chance.next_u64() % (pause / 4) };
        Dial { at: self.now + Millis(pause + spread), failures }
    }
}
