//! Totals of the links between nodes, for INFO.

/// Why a frame of another node was not taken, as INFO tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Another version of the protocol.
    Version,
    /// A type of message that this node does not know.
    UnknownType,
    /// A length that is not that of its type.
    Length,
    /// The ID of a node or of a job that is none.
    Identity,
    /// Jobs that cannot be read, or a wrong number of them.
    Job,
    /// It was damaged on its way.
    Checksum,
    /// A message of a batch that cannot be read; those behind it went with it.
    Batch,
}

/// Why a link was ended by this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// What came cannot be cut into frames.
    Garbage,
    /// A frame was begun and not gone on with, or unfinished frames took too much memory.
    Stalled,
    /// Too much waited to be sent.
    Overflow,
    /// There were too many links.
    TooMany,
}

/// What the links between nodes have carried, since the start or CONFIG RESETSTAT.
#[derive(Clone, Debug, Default)]
pub struct BusTraffic {
    bytes_sent: u64,
    bytes_received: u64,
    frames_sent: u64,
    frames_received: u64,
    messages_sent: u64,
    messages_received: u64,
    dropped: [u64; Dropped::ALL.len()],
    cut: [u64; Cut::ALL.len()],
}

impl Dropped {
    /// All reasons, in the order of INFO.
    pub const ALL: [Dropped; 7] = [
        Dropped::Version,
        Dropped::UnknownType,
        Dropped::Length,
        Dropped::Identity,
        Dropped::Job,
        Dropped::Checksum,
        Dropped::Batch,
    ];

    /// The name in INFO.
    pub const fn name(self) -> &'static str {
        match self {
            Dropped::Version => "version",
            Dropped::UnknownType => "unknown_type",
            Dropped::Length => "length",
            Dropped::Identity => "identity",
            Dropped::Job => "job",
            Dropped::Checksum => "checksum",
            Dropped::Batch => "batch",
        }
    }
}

impl Cut {
    /// All reasons, in the order of INFO.
    pub const ALL: [Cut; 4] = [Cut::Garbage, Cut::Stalled, Cut::Overflow, Cut::TooMany];

    /// The name in INFO.
    pub const fn name(self) -> &'static str {
        match self {
            Cut::Garbage => "garbage",
            Cut::Stalled => "stalled",
            Cut::Overflow => "overflow",
            Cut::TooMany => "too_many",
        }
    }
}

impl BusTraffic {
    /// Bytes were read from a link.
    #[inline]
    pub fn count_input(&mut self, bytes: usize) {
        self.bytes_received += bytes as u64;
    }

    /// Bytes were written to a link.
    #[inline]
    pub fn count_output(&mut self, bytes: usize) {
        self.bytes_sent += bytes as u64;
    }

    /// A complete frame came, be it dropped later.
    #[inline]
    pub fn count_frame_in(&mut self) {
        self.frames_received += 1;
    }

    /// Frames were begun.
    #[inline]
    pub fn count_frames_out(&mut self, frames: u64) {
        self.frames_sent += frames;
    }

    /// A message was handed on.
    #[inline]
    pub fn count_message_in(&mut self) {
        self.messages_received += 1;
    }

    /// A message was queued to be sent.
    #[inline]
    pub fn count_message_out(&mut self) {
        self.messages_sent += 1;
    }

    /// A frame was dropped.
    pub fn count_dropped(&mut self, why: Dropped) {
        self.dropped[why as usize] += 1;
    }

    /// A link was ended by this node.
    pub fn count_cut(&mut self, why: Cut) {
        self.cut[why as usize] += 1;
    }

    /// The totals by the names that they have in INFO.
    pub fn fields(&self) -> impl Iterator<Item = (String, u64)> {
        let totals = [
            ("cluster_stats_bytes_sent", self.bytes_sent),
            ("cluster_stats_bytes_received", self.bytes_received),
            ("cluster_stats_frames_sent", self.frames_sent),
            ("cluster_stats_frames_received", self.frames_received),
            ("cluster_stats_messages_sent", self.messages_sent),
            ("cluster_stats_messages_received", self.messages_received),
        ];
        let totals = totals.into_iter().map(|(name, total)| (name.to_owned(), total));
        let dropped = Dropped::ALL
            .map(|why| (format!("cluster_frames_dropped_{}", why.name()), self.dropped[why as usize]));
        let cut = Cut::ALL.map(|why| (format!("cluster_links_cut_{}", why.name()), self.cut[why as usize]));
        totals.chain(dropped).chain(cut)
    }

    /// Zeroes everything (CONFIG RESETSTAT).
    pub fn reset(&mut self) {
        *self = BusTraffic::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_total_has_a_name_of_its_own() {
        let mut traffic = BusTraffic::default();
        Dropped::ALL.into_iter().for_each(|why| traffic.count_dropped(why));
        Cut::ALL.into_iter().for_each(|why| traffic.count_cut(why));
        traffic.count_input(2);
        traffic.count_output(3);
        traffic.count_frame_in();
        traffic.count_frames_out(4);
        traffic.count_message_in();
        traffic.count_message_out();
        let (mut names, totals): (Vec<String>, Vec<u64>) = traffic.fields().unzip();
        assert_eq!(totals, [3, 2, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), totals.len());
        traffic.reset();
        assert!(traffic.fields().all(|(_, total)| total == 0));
    }
}
