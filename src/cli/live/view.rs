//! All nodes of a cluster, looked at again and again. A node that fails stays in view, and is tried again.

use std::time::Instant;

use super::queues::Queue;
use crate::cli::cluster::{Cluster, Fault, Node, all_nodes, short};
use crate::client::connection::Address;

/// Most queues that are asked for at a node.
pub(super) const MOST_QUEUES: usize = 1000;

/// What is asked for, beside INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All queues, up to [`MOST_QUEUES`] per node.
    Queues,
    /// One.
    Queue(Vec<u8>),
}

/// The nodes, in the order in which they were found.
pub(super) struct View {
    cluster: Cluster,
    asked: Asked,
    pub(super) places: Vec<Place>,
}

/// A node, or where one was.
pub(super) struct Place {
    pub(super) address: Address,
    pub(super) id: String,
    node: Option<Node>,
    /// Why it cannot be looked at, if so.
    pub(super) fault: Option<String>,
    pub(super) before: Option<Sample>,
    pub(super) last: Option<Sample>,
}

/// What a node said at some time.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    info: String,
    pub(super) queues: Vec<Queue>,
    /// Flags of its own row, without `myself`.
    pub(super) flags: Vec<String>,
    /// Other nodes that it has a link to, and all others that it knows.
    pub(super) links: (usize, usize),
}

impl View {
    /// Finds all nodes from the one that the options name.
    pub(super) fn open(cluster: Cluster, asked: Asked) -> Result<View, Fault> {
        let first = cluster.node(None)?;
        let (nodes, missing) = all_nodes(&cluster, first);
        let found = nodes.into_iter().map(|node| {
            let (address, id) = (node.address().clone(), node.id.clone());
            Place { address, id, node: Some(node), fault: None, before: None, last: None }
        });
        let lost = missing.into_iter().filter_map(|(member, why)| {
            let address = member.dial()?;
            Some(Place { address, id: member.id, node: None, fault: Some(why), before: None, last: None })
        });
        let mut view = View { places: found.chain(lost).collect(), cluster, asked };
        view.look();
        Ok(view)
    }

    /// Asks all nodes at the same time, lost ones and new ones too.
    pub(super) fn look(&mut self) {
        let (cluster, asked) = (&self.cluster, &self.asked);
        std::thread::scope(|scope| {
            for place in &mut self.places {
                scope.spawn(move || place.look(cluster, asked));
            }
        });
        self.take_in_new_ones();
    }

    /// Nodes that joined meanwhile; they are looked at next time.
    fn take_in_new_ones(&mut self) {
        let members: Vec<_> = self
            .places
            .iter()
            .filter_map(|place| place.node.as_ref())
            .flat_map(Node::others)
            .cloned()
            .collect();
        for member in members {
            let known = self.places.iter().any(|place| place.id == member.id);
            if let Some(address) = member.dial().filter(|_| !known) {
                let id = member.id;
                self.places.push(Place { address, id, node: None, fault: None, before: None, last: None });
            }
        }
    }

    /// Whether all nodes answer.
    pub(super) fn is_whole(&self) -> bool {
        self.places.iter().all(|place| place.fault.is_none())
    }
}

impl Place {
    /// Address and the start of the ID.
    pub(super) fn name(&self) -> String {
        format!("{} ({})", self.address, short(&self.id))
    }

    fn look(&mut self, cluster: &Cluster, asked: &Asked) {
        match self.sample(cluster, asked) {
            Ok(sample) => {
                self.before = self.last.replace(sample);
                self.fault = None;
            }
            Err(fault) => {
                self.node = None;
                // What it counts begins anew if it was restarted.
                (self.before, self.last) = (None, None);
                self.fault = Some(fault.to_string().lines().next().unwrap_or_default().to_string());
            }
        }
    }

    fn sample(&mut self, cluster: &Cluster, asked: &Asked) -> Result<Sample, Fault> {
        if self.node.is_none() {
            self.node = Some(cluster.open(self.address.clone())?);
        }
        let node = self.node.as_mut().expect("it was opened above");
        node.look()?;
        let at = Instant::now();
        let queues = match asked {
            Asked::Queues => node.queue_names(MOST_QUEUES).and_then(|names| node.queue_stats(&names))?,
            Asked::Queue(name) => node.queue_stats(std::slice::from_ref(name))?,
        };
        let flags = node.own().map(|own| own.flags.clone()).unwrap_or_default();
        let others = node.others();
        let (linked, known) =
            others.fold((0, 0), |(linked, known), other| (linked + usize::from(other.connected), known + 1));
        Ok(Sample {
            at,
            info: node.info().to_string(),
            queues: queues.iter().filter_map(Queue::read).collect(),
            flags: flags.into_iter().filter(|flag| flag != "myself").collect(),
            links: (linked, known),
        })
    }

    /// A number of INFO; `None` while the node is lost.
    pub(super) fn number(&self, field: &str) -> Option<u64> {
        self.last.as_ref().map(|sample| sample.number(field))
    }

    /// How much a number of INFO grew per second between the last two looks.
    pub(super) fn rate(&self, field: &str) -> Option<f64> {
        let (before, last) = (self.before.as_ref()?, self.last.as_ref()?);
        Some(per_second(before, last, before.number(field), last.number(field)))
    }
}

/// Growth per second. What begins anew grows from nothing.
pub(super) fn per_second(before: &Sample, last: &Sample, from: u64, to: u64) -> f64 {
    let seconds = last.at.duration_since(before.at).as_secs_f64();
    let grown = if to >= from { to - from } else { to };
    if seconds > 0.0 { grown as f64 / seconds } else { 0.0 }
}

impl Sample {
    pub(super) fn number(&self, field: &str) -> u64 {
        self.text(field).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim)
    }
}
