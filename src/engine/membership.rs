//! Which nodes there are, and what this node says about itself.

use rand::Rng as _;

use super::Engine;
use super::effect::{Effect, Effects};
use super::input::ClientId;
use super::node_table::NodeTable;
use super::reply::{ClusterInfo, HelloNode, Refusal, Reply};
use super::request::ClusterRequest;
use crate::bus::{NodeFlags, NodeLine, NodesConf};
use crate::types::{NodeId, NodeIndex, UnixMillis};
use std::net::{IpAddr, SocketAddr};

/// HELLO's number for a node that should be used, and for one that should not.
const PRIORITY_GOOD: u8 = 1;
const PRIORITY_LEAVING: u8 = 100;

/// Which nodes there are.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) table: NodeTable,
    pub(super) ip: Option<IpAddr>,
    pub(super) leaving: bool,
    pub(super) messages_sent: u64,
    pub(super) messages_received: u64,
}

impl Membership {
    pub(super) fn new(conf: &NodesConf, seed: u64, _now: UnixMillis) -> Membership {
        let myself = conf.myself().expect("a node table names its owner");
        Membership {
            table: NodeTable::new(myself.id, seed),
            ip: None,
            leaving: myself.flags.has(NodeFlags::LEAVING),
            messages_sent: 0,
            messages_received: 0,
        }
    }

    pub(super) fn me(&self) -> NodeId {
        self.table.me()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Members, this node and failing ones included.
    pub(super) fn size(&self) -> u64 {
        self.table.size()
    }

    /// Whether nobody else is known.
    pub(super) fn is_alone(&self) -> bool {
        self.table.is_alone()
    }

    /// How many other members could take a copy now.
    pub(super) fn reachable(&self) -> u64 {
        u64::from(self.table.reachable().len())
    }

    pub(super) fn default_replicate(&self) -> u16 {
        self.table.default_replicate()
    }
}

impl Engine {
    pub(super) fn cluster(&mut self, client: ClientId, request: ClusterRequest, out: &mut Effects) {
        let reply = match request {
            ClusterRequest::Nodes => Reply::Nodes(Box::new(self.nodes_conf())),
            ClusterRequest::Meet { .. } => Reply::Ok,
            ClusterRequest::MyId => Reply::NodeId(self.nodes.me()),
            ClusterRequest::Info => Reply::ClusterInfo(Box::new(self.cluster_info())),
            ClusterRequest::SaveConfig => {
                self.save_nodes(out);
                Reply::Ok
            }
            ClusterRequest::Forget { id } if id == self.nodes.me() => Reply::Refused(Refusal::ForgetMyself),
            ClusterRequest::Forget { id } => Reply::Refused(Refusal::UnknownNode(id)),
            ClusterRequest::Reset { hard } => {
                self.flush(out);
                if hard {
                    let me = self.new_node_id();
                    self.nodes.table.rename_me(me);
                }
                self.save_nodes(out);
                Reply::Ok
            }
            ClusterRequest::IsLeaving => Reply::Leaving(self.nodes.leaving),
            ClusterRequest::SetLeaving(leaving) => {
                self.nodes.leaving = leaving;
                if leaving {
                    self.send_waiters_away(out);
                }
                self.save_nodes(out);
                Reply::Ok
            }
        };
        out.reply(client, reply);
    }

    pub(super) fn holder_row(&mut self, id: NodeId) -> Option<NodeIndex> {
        self.nodes.table.find(&id)
    }

    pub(super) fn release_row(&mut self, _node: NodeIndex) {}

    pub(super) fn meet_seeds(&mut self, _seeds: Vec<SocketAddr>) {}

    /// The node table as it is stored and shown.
    pub fn nodes_conf(&self) -> NodesConf {
        let mut flags = NodeFlags::MYSELF;
        flags.set(NodeFlags::LEAVING, self.nodes.leaving);
        let myself = NodeLine {
            id: self.nodes.me(),
            ip: None,
            port: self.settings.port,
            flags,
            ping_sent: UnixMillis(0),
            pong_received: UnixMillis(0),
            connected: true,
        };
        NodesConf { nodes: vec![myself] }
    }

    fn save_nodes(&self, out: &mut Effects) {
        out.push(Effect::SaveNodes(Box::new(self.nodes_conf())));
    }

    fn new_node_id(&mut self) -> NodeId {
        let mut bytes = [0; 20];
        self.ids.fill_bytes(&mut bytes);
        NodeId::from_bytes(bytes)
    }

    fn cluster_info(&self) -> ClusterInfo {
        ClusterInfo {
            known_nodes: self.nodes.size(),
            reachable_nodes: self.nodes.reachable(),
            size: self.nodes.size(),
            ..ClusterInfo::default()
        }
    }

    pub(super) fn hello(&self) -> Reply {
        let priority = if self.nodes.leaving { PRIORITY_LEAVING } else { PRIORITY_GOOD };
        let myself = HelloNode { id: self.nodes.me(), ip: None, port: self.settings.port, priority };
        Reply::Hello { me: self.nodes.me(), nodes: vec![myself] }
    }
}
