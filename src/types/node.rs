//! The identity of nodes, and sets of them.

use std::fmt;

/// A node's identity: 20 bytes, written as 40 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 20]);

impl NodeId {
    /// Length of the text form.
    pub const TEXT_LEN: usize = 40;

    /// An identity made of 20 random bytes.
    pub const fn from_bytes(bytes: [u8; 20]) -> NodeId {
        NodeId(bytes)
    }

    /// The raw bytes.
    pub const fn bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The first four bytes: what the IDs of jobs created by this node begin with.
    pub const fn prefix(&self) -> [u8; 4] {
        [self.0[0], self.0[1], self.0[2], self.0[3]]
    }

    /// Reads 40 lower-case hexadecimal digits; anything else is no identity.
    pub fn parse(text: &[u8]) -> Option<NodeId> {
        let text: &[u8; 40] = text.try_into().ok()?;
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(text.as_chunks::<2>().0) {
            *byte = hex_value(pair[0])? << 4 | hex_value(pair[1])?;
        }
        Some(NodeId(bytes))
    }

    /// The text form.
    pub fn text(&self) -> [u8; 40] {
        let mut text = [0; 40];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        }
        text
    }
}

pub(super) const HEX: &[u8; 16] = b"0123456789abcdef";

pub(super) const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A row of the node table. Row 0 is always this node itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u16);

impl NodeIndex {
    /// This node.
    pub const MYSELF: NodeIndex = NodeIndex(0);
}

/// A set of nodes: one bit for each of the first 64 rows of the node table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeSet(u64);

impl NodeSet {
    /// No node.
    pub const EMPTY: NodeSet = NodeSet(0);
    /// How many rows a set can name.
    pub const CAPACITY: u16 = 64;

    /// The set of one node.
    pub const fn only(node: NodeIndex) -> NodeSet {
        assert!(node.0 < NodeSet::CAPACITY);
        NodeSet(1 << node.0)
    }

    /// Adds a node.
    pub fn insert(&mut self, node: NodeIndex) {
        *self = self.union(NodeSet::only(node));
    }

    /// Removes a node.
    pub fn remove(&mut self, node: NodeIndex) {
        *self = self.without(NodeSet::only(node));
    }

    /// Adds or removes a node.
    pub fn set(&mut self, node: NodeIndex, is_in: bool) {
        if is_in { self.insert(node) } else { self.remove(node) }
    }

    /// Whether the node is in the set.
    pub const fn contains(self, node: NodeIndex) -> bool {
        node.0 < NodeSet::CAPACITY && self.0 & (1 << node.0) != 0
    }

    /// Whether every node of `other` is in this set.
    pub const fn contains_all(self, other: NodeSet) -> bool {
        other.0 & !self.0 == 0
    }

    /// The nodes of either set.
    pub const fn union(self, other: NodeSet) -> NodeSet {
        NodeSet(self.0 | other.0)
    }

    /// The nodes of this set that are not in `other`.
    pub const fn without(self, other: NodeSet) -> NodeSet {
        NodeSet(self.0 & !other.0)
    }

    /// The nodes of both sets.
    pub const fn intersection(self, other: NodeSet) -> NodeSet {
        NodeSet(self.0 & other.0)
    }

    /// How many nodes are in the set.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether no node is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The nodes in the order of their rows.
    pub fn iter(self) -> impl Iterator<Item = NodeIndex> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let node = NodeIndex(rest.trailing_zeros() as u16);
            // Clears the lowest bit; of nothing, nothing.
            let found = rest != 0;
            rest &= rest.wrapping_sub(1);
            found.then_some(node)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_its_text_form() {
        let id = NodeId::from_bytes([0xda; 20]);
        assert_eq!(NodeId::parse(&id.text()), Some(id));
        assert_eq!(id.to_string(), "da".repeat(20));
        assert_eq!(NodeId::parse(b"DA"), None);
        assert_eq!(NodeId::parse("DA".repeat(20).as_bytes()), None);
        assert_eq!(NodeId::parse("g0".repeat(20).as_bytes()), None);
    }

    #[test]
    fn inclusion_is_about_members_not_sizes() {
        let (a, b) = (NodeSet::only(NodeIndex(0)), NodeSet::only(NodeIndex(63)));
        assert_eq!(a.len(), b.len());
        assert!(!a.contains_all(b) && a.union(b).contains_all(b) && a.contains_all(NodeSet::EMPTY));
        assert_eq!(a.union(b).iter().collect::<Vec<_>>(), [NodeIndex(0), NodeIndex(63)]);
        assert!(!b.contains(NodeIndex(64)));
    }
}
