//! What happens to links without anybody saying anything: connections that take too long, frames that are not
//! finished, links that ended.

use super::CHECK_PERIOD;
use super::log_limit::Said;
use crate::admin::Cut;
use crate::engine::Input;
use crate::net::server::Server;
use crate::types::Millis;

/// A frame may stand still for this long at least before its link is closed.
const MIN_STALL: Millis = Millis(1_000);

impl Server {
    /// Looks after the links; called once in a turn.
    pub(in crate::net) fn watch_links(&mut self) {
        self.give_up_connecting();
        if self.now >= self.bus.next_check {
            self.bus.next_check = self.now + CHECK_PERIOD;
            self.cut_stalled();
        }
        self.report_lost_links();
        for slot in std::mem::take(&mut self.bus.unwritten) {
            self.bus.mark_dirty(slot);
        }
        self.bus.made_room = false;
    }

    fn give_up_connecting(&mut self) {
        while let Some((at, slot)) = self.bus.connecting.first().copied()
            && at <= self.now
        {
            self.bus.lose(slot, self.poll.registry(), "connecting took too long");
        }
    }

    /// Closes links that began a frame and do not go on with it.
    fn cut_stalled(&mut self) {
        let patience = self.config.cluster_node_timeout.max(MIN_STALL);
        let (now, links) = (self.now, &self.bus.links);
        let is_stalled = |slot: &u32| {
            links
                .get(*slot)
                .is_some_and(|link| link.reader.pending() > 0 && now.since(link.last_input) >= patience)
        };
        let stalled: Vec<u32> = links.iter().map(|(slot, _)| slot).filter(is_stalled).collect();
        for slot in stalled {
            self.bus.traffic.count_cut(Cut::Stalled);
            if let (Some(link), Some(unsaid)) =
                (self.bus.links.get(slot), self.bus.log.due(Said::Stalled, now))
            {
                tracing::warn!(
                    address = %link.address(), bytes = link.reader.pending(), silent_ms = patience.0, unsaid,
                    "closing a link between nodes: it stopped in the middle of a frame"
                );
            }
            self.bus.lose(slot, self.poll.registry(), "stalled");
        }
    }

    /// Tells the engine which of its links ended; those that end meanwhile have their turn in the next turn.
    fn report_lost_links(&mut self) {
        for _ in 0..self.bus.downs.len() {
            let Some(link) = self.bus.downs.pop_front() else { return };
            self.step(Input::LinkDown { link }, u32::MAX);
        }
    }
}
