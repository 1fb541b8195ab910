//! Reading what other nodes say: so much in one turn, that clients and other nodes need not wait for one.

use super::MAX_INPUT_HELD;
use super::link::Link;
use super::log_limit::Said;
use crate::admin::{Cut, Dropped};
use crate::bus::{BusError, FrameReader, decode};
use crate::engine::{Input, Via};
use crate::net::client::ReadEnd;
use crate::net::server::Server;
use crate::types::{Millis, UnixMillis};

/// How much one link may bring in one turn. More than a client's share, since a link carries what all clients of
/// another node cause.
const BUDGET_BYTES: usize = 256 * 1024;
const BUDGET_MESSAGES: usize = 2048;
/// Most messages that are taken of one frame. Nodes close their batches at 64 KiB, and the shortest message takes two
/// bytes.
const MAX_BATCH_MESSAGES: usize = 32 * 1024;
/// A link that uses up its share for so long without a pause is worth a line in the log.
const BUSY: Millis = Millis(5_000);

/// Why reading a link stopped.
enum Stop {
    /// Nothing more is there.
    Drained,
    /// It had its share.
    Share,
    /// The link is gone, or must go.
    Gone,
}

impl Server {
    /// Takes in what a link brings, until it is drained or has had its share.
    pub(super) fn serve_link(&mut self, slot: u32) {
        let Some(link) = self.bus.links.get_mut(slot) else { return };
        let via = link.via();
        // The engine may close this link at any message, so what is needed to go on is taken out of it.
        let mut reader = std::mem::replace(&mut link.reader, FrameReader::new(0));
        self.bus.input_held -= reader.pending();
        let mut scratch = std::mem::take(&mut self.scratch);
        let stop = self.read_link(slot, via, &mut reader, &mut scratch);
        self.scratch = scratch;
        let Some(link) = self.bus.links.get_mut(slot) else { return };
        self.bus.input_held += reader.pending();
        link.reader = reader;
        match stop {
            Stop::Gone => {}
            Stop::Drained => link.busy_since = None,
            Stop::Share => self.after_share(slot),
        }
        self.bound_input();
    }

    fn read_link(&mut self, slot: u32, via: Via, reader: &mut FrameReader, scratch: &mut [u8]) -> Stop {
        let (mut bytes, mut messages) = (BUDGET_BYTES, BUDGET_MESSAGES);
        loop {
            match self.take_frames(slot, via, reader, &mut messages) {
                Stop::Drained => {}
                stop => return stop,
            }
            let Some(link) = self.bus.links.get_mut(slot) else { return Stop::Gone };
            if !link.readable {
                return Stop::Drained;
            }
            if bytes == 0 {
                return Stop::Share;
            }
            let n = match read_once(link, scratch, self.now) {
                Ok(n) => n,
                Err(why) => {
                    self.bus.lose(slot, self.poll.registry(), &why);
                    return Stop::Gone;
                }
            };
            bytes = bytes.saturating_sub(n);
            self.bus.traffic.count_input(n);
            reader.feed(&scratch[..n]);
        }
    }

    /// Hands all complete frames to the engine, within the share.
    fn take_frames(&mut self, slot: u32, via: Via, reader: &mut FrameReader, share: &mut usize) -> Stop {
        loop {
            if *share == 0 {
                return Stop::Share;
            }
            let frame = match reader.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Stop::Drained,
                Err(error) => {
                    self.cut_garbage(slot, error);
                    return Stop::Gone;
                }
            };
            let messages = self.take_frame(slot, via, frame);
            *share = share.saturating_sub(messages.max(1));
            if self.bus.links.get(slot).is_none() {
                return Stop::Gone;
            }
        }
    }

    /// Hands the messages of one frame to the engine; how many there were.
    fn take_frame(&mut self, slot: u32, via: Via, frame: &[u8]) -> usize {
        self.bus.traffic.count_frame_in();
        let (header, messages) = match decode(frame, self.now) {
            Ok(frame) => frame,
            Err(error) => {
                self.drop_frame(slot, error);
                return 0;
            }
        };
        if let (Via::Peer { .. }, Some(link)) = (via, self.bus.links.get_mut(slot)) {
            // What is answered on a link of the peer's own; for links of this node the engine tells.
            link.output.set_features(header.features);
        }
        let mut count = 0;
        for message in messages.take(MAX_BATCH_MESSAGES) {
            match message {
                Ok(message) => {
                    self.bus.traffic.count_message_in();
                    self.step(Input::Message { via, header: &header, message }, u32::MAX);
                }
                Err(error) => self.drop_frame(slot, error),
            }
            count += 1;
            // What a node says on a link that the engine has just given up is not heard.
            if self.bus.links.get(slot).is_none() {
                break;
            }
        }
        count
    }

    fn after_share(&mut self, slot: u32) {
        self.bus.mark_resume(slot);
        let Some(link) = self.bus.links.get_mut(slot) else { return };
        let since = *link.busy_since.get_or_insert(self.now);
        if self.now.since(since) >= BUSY {
            link.busy_since = Some(self.now);
            let address = link.address();
            if let Some(unsaid) = self.bus.log.due(Said::Busy, self.now) {
                tracing::warn!(
                    %address, unsaid,
                    "a node says more than this one takes in; its messages wait their turn"
                );
            }
        }
    }

    fn cut_garbage(&mut self, slot: u32, error: BusError) {
        self.bus.traffic.count_cut(Cut::Garbage);
        if let (Some(link), Some(unsaid)) =
            (self.bus.links.get(slot), self.bus.log.due(Said::Garbage, self.now))
        {
            let address = link.address();
            tracing::warn!(%address, %error, unsaid, "closing a link between nodes: it brings no frames");
        }
        self.bus.lose(slot, self.poll.registry(), "garbage");
    }

    fn drop_frame(&mut self, slot: u32, error: BusError) {
        self.bus.traffic.count_dropped(reason(error));
        if let (Some(link), Some(unsaid)) =
            (self.bus.links.get(slot), self.bus.log.due(Said::Dropped, self.now))
        {
            tracing::warn!(address = %link.address(), %error, unsaid, "dropped a frame of another node");
        }
    }

    /// All unfinished frames together take no more than [`MAX_INPUT_HELD`]; the longest goes first.
    fn bound_input(&mut self) {
        while self.bus.input_held > MAX_INPUT_HELD {
            let longest = self.bus.links.iter().max_by_key(|(_, link)| link.reader.pending());
            let Some((slot, link)) = longest else { return };
            let (address, bytes) = (link.address(), link.reader.pending());
            self.bus.traffic.count_cut(Cut::Stalled);
            if let Some(unsaid) = self.bus.log.due(Said::Stalled, self.now) {
                tracing::warn!(%address, bytes, unsaid, "closing a link between nodes: too many unfinished frames");
            }
            self.bus.lose(slot, self.poll.registry(), "unfinished frames take too much memory");
        }
    }
}

/// Reads once; why the link ended, if it did.
fn read_once(link: &mut Link, scratch: &mut [u8], now: UnixMillis) -> Result<usize, String> {
    let (n, end) = link.read(scratch).map_err(|error| error.to_string())?;
    link.readable = end == ReadEnd::More;
    if end == ReadEnd::Eof {
        return Err("closed by the other end".to_owned());
    }
    if n > 0 {
        link.last_input = now;
    }
    Ok(n)
}

fn reason(error: BusError) -> Dropped {
    match error {
        BusError::Version(_) => Dropped::Version,
        BusError::UnknownType(_) => Dropped::UnknownType,
        BusError::NodeId | BusError::JobId(_) => Dropped::Identity,
        BusError::JobCount(_) | BusError::Image(_) => Dropped::Job,
        BusError::Length { .. }
        | BusError::Signature
        | BusError::FrameTooShort { .. }
        | BusError::FrameTooLong { .. } => Dropped::Length,
        BusError::Checksum { .. } => Dropped::Checksum,
        BusError::InBatch { .. } => Dropped::Batch,
    }
}
