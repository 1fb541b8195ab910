//! Which nodes there are, and what this node says about itself.

use rand::Rng as _;

use super::Engine;
use super::effect::{Effect, Effects};
use super::input::ClientId;
use super::reply::{ClusterInfo, HelloNode, Refusal, Reply};
use super::request::ClusterRequest;
use crate::bus::{NodeFlags, NodeLine, NodesConf};
use crate::types::{NodeId, NodeIndex, UnixMillis, limits};

/// HELLO's number for a node that should be used, and for one that should not.
const PRIORITY_GOOD: u8 = 1;
const PRIORITY_LEAVING: u8 = 100;

/// The table of nodes. Row 0 is this node; a node alone is a cluster of one.
#[derive(Debug)]
pub(super) struct Membership {
    me: NodeId,
    leaving: bool,
}

impl Membership {
    pub(super) fn new(me: NodeId, leaving: bool) -> Membership {
        Membership { me, leaving }
    }

    pub(super) fn me(&self) -> NodeId {
        self.me
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// The identity of a node.
    pub(super) fn id(&self, node: NodeIndex) -> NodeId {
        assert_eq!(node, NodeIndex::MYSELF, "there is one node");
        self.me
    }

    /// The row of a node that is known.
    pub(super) fn find(&self, id: &NodeId) -> Option<NodeIndex> {
        (*id == self.me).then_some(NodeIndex::MYSELF)
    }

    /// Members, this node and failing ones included.
    pub(super) fn size(&self) -> u64 {
        1
    }

    /// Whether nobody else is known.
    pub(super) fn is_alone(&self) -> bool {
        self.size() == 1
    }

    /// Other members that could take a copy now.
    pub(super) fn reachable(&self) -> u64 {
        self.size() - 1
    }

    pub(super) fn default_replicate(&self) -> u16 {
        self.size().min(u64::from(limits::DEFAULT_REPLICATE_MAX)) as u16
    }
}

impl Engine {
    pub(super) fn cluster(&mut self, client: ClientId, request: ClusterRequest, out: &mut Effects) {
        let reply = match request {
            ClusterRequest::Nodes => Reply::Nodes(Box::new(self.nodes_conf())),
            ClusterRequest::MyId => Reply::NodeId(self.nodes.me),
            ClusterRequest::Info => Reply::ClusterInfo(Box::new(self.cluster_info())),
            ClusterRequest::SaveConfig => {
                self.save_nodes(out);
                Reply::Ok
            }
            ClusterRequest::Forget { id } if id == self.nodes.me => Reply::Refused(Refusal::ForgetMyself),
            ClusterRequest::Forget { id } => Reply::Refused(Refusal::UnknownNode(id)),
            ClusterRequest::Reset { hard } => {
                self.flush(out);
                if hard {
                    self.nodes.me = self.new_node_id();
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

    /// The node table as it is stored and shown.
    pub fn nodes_conf(&self) -> NodesConf {
        let mut flags = NodeFlags::MYSELF;
        flags.set(NodeFlags::LEAVING, self.nodes.leaving);
        let myself = NodeLine {
            id: self.nodes.me,
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
        let myself = HelloNode { id: self.nodes.me, ip: None, port: self.settings.port, priority };
        Reply::Hello { me: self.nodes.me, nodes: vec![myself] }
    }
}
