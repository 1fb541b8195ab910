//! The addresses of `cluster-seeds`: nodes that are met without anybody typing CLUSTER MEET.
//!
//! A seed is met again and again, less and less often, until its node is a member. A seed that turns out to be this
//! node, or one that was forgotten on purpose, is left alone.

use rand::Rng as _;
use std::net::SocketAddr;

use super::Engine;
use super::handshake::Origin;
use super::node_table::Address;
use crate::types::{Millis, NodeId, UnixMillis};

/// Most seeds that are kept: as many as there can be nodes.
const MAX_SEEDS: usize = 64;
/// The pause after the first attempt; it doubles with each.
const FIRST_PAUSE: Millis = Millis(1000);
const LONGEST_PAUSE: Millis = Millis(30_000);

#[derive(Debug)]
struct Seed {
    address: Address,
    /// Who answered there.
    met: Option<NodeId>,
}

/// All seeds.
#[derive(Debug)]
pub(super) struct Seeds {
    list: Vec<Seed>,
    next_try: UnixMillis,
    tries: u32,
}

impl Seeds {
    pub(super) fn none() -> Seeds {
        Seeds { list: Vec::new(), next_try: UnixMillis::NEVER, tries: 0 }
    }

    /// When to look at them again.
    pub(super) fn next_deadline(&self) -> Option<UnixMillis> {
        Some(self.next_try).filter(|at| !at.is_never())
    }

    /// A node was lost: maybe it is found at a seed's address again.
    pub(super) fn look_again(&mut self, now: UnixMillis) {
        if !self.list.is_empty() {
            self.tries = 0;
            self.next_try = self.next_try.min(now + FIRST_PAUSE);
        }
    }

    /// Somebody answered at this address.
    pub(super) fn met(&mut self, address: Address, id: NodeId) {
        for seed in self.list.iter_mut().filter(|seed| seed.address == address) {
            seed.met = Some(id);
        }
    }
}

impl Engine {
    /// Takes over the addresses of nodes to meet, in place of those it had.
    pub(super) fn meet_seeds(&mut self, seeds: Vec<SocketAddr>) {
        let mut list: Vec<Seed> = Vec::new();
        for seed in seeds {
            let Some(address) = Address::new(seed.ip(), seed.port(), None) else {
                tracing::warn!(%seed, "no node can be at this address of cluster-seeds");
                continue;
            };
            let before = self.nodes.seeds.list.iter().find(|old| old.address == address);
            let met = before.and_then(|old| old.met);
            if list.len() < MAX_SEEDS && !list.iter().any(|other| other.address == address) {
                list.push(Seed { address, met });
            }
        }
        self.nodes.seeds = Seeds { list, next_try: self.now, tries: 0 };
    }

    /// Begins a handshake with every seed that is not known, when it is time to.
    pub(super) fn try_seeds(&mut self) {
        if self.nodes.seeds.next_try > self.now {
            return;
        }
        let unknown: Vec<Address> = self
            .nodes
            .seeds
            .list
            .iter()
            .filter(|seed| !self.is_known(seed))
            .map(|seed| seed.address)
            .collect();
        if unknown.is_empty() {
            self.nodes.seeds.next_try = UnixMillis::NEVER;
            return;
        }
        for address in unknown {
            // What is refused now is tried again.
            let _ = self.invite(address, Origin::Seed);
        }
        let seeds = &mut self.nodes.seeds;
        let pause = FIRST_PAUSE.0.saturating_mul(1 << seeds.tries.min(10)).min(LONGEST_PAUSE.0);
        seeds.tries = seeds.tries.saturating_add(1);
        seeds.next_try = self.now + Millis(pause + self.chance.next_u64() % (pause / 4));
    }

    fn is_known(&self, seed: &Seed) -> bool {
        let table = &self.nodes.table;
        let has_address = |id| table.find_member(&id).is_some_and(|node| table[node].address.is_some());
        match seed.met {
            Some(id) if id == table.me() => true,
            Some(id) if has_address(id) || self.nodes.forgotten.contains(&id, self.now) => true,
            _ => table.members().iter().any(|node| table[node].address == Some(seed.address)),
        }
    }
}
