//! Which faults were active when, so that what happened can be judged by what could excuse it.

use super::plan::{Kind, SECOND};

/// How long a fault that has ended may still be felt: suspicions are withdrawn, links opened again, messages that
/// waited arrive.
pub const AFTERMATH: u64 = 60 * SECOND;

#[derive(Clone, Copy, Debug)]
struct Span {
    kind: Kind,
    begin: u64,
    /// `u64::MAX` while it lasts.
    end: u64,
}

#[derive(Debug, Default)]
pub struct History {
    spans: Vec<Span>,
}

impl History {
    pub fn begin(&mut self, kind: Kind, now: u64) {
        self.spans.push(Span { kind, begin: now, end: u64::MAX });
    }

    /// Ends the oldest one of this kind that lasts.
    pub fn end(&mut self, kind: Kind, now: u64) {
        if let Some(span) = self.spans.iter_mut().find(|span| span.kind == kind && span.end == u64::MAX) {
            span.end = now;
        }
    }

    /// How many of this kind last.
    pub fn lasting(&self, kind: Kind) -> usize {
        self.spans.iter().filter(|span| span.kind == kind && span.end == u64::MAX).count()
    }

    pub fn end_all(&mut self, now: u64) {
        self.spans.iter_mut().for_each(|span| span.end = span.end.min(now));
    }

    /// The kinds that were active, or might still be felt, at some time in between; as bits.
    pub fn between(&self, from: u64, to: u64) -> u64 {
        let felt = |span: &&Span| span.begin <= to && span.end.saturating_add(AFTERMATH) >= from;
        self.spans.iter().filter(felt).fold(0, |mask, span| mask | 1 << span.kind as u8)
    }

    /// For how long in all, each fault for itself, something was active in between.
    pub fn overlap(&self, from: u64, to: u64) -> u64 {
        let overlap = |span: &Span| span.end.min(to).saturating_sub(span.begin.max(from));
        self.spans.iter().map(overlap).sum()
    }

    /// Whether there was a time in between, this long, in which nothing was active.
    pub fn was_whole_for(&self, len: u64, from: u64, to: u64) -> bool {
        // Quiet can begin at `from` or where a fault ends.
        let starts = std::iter::once(from).chain(self.spans.iter().map(|span| span.end));
        starts.filter(|start| (from..to).contains(start)).any(|start| {
            let end = start.saturating_add(len);
            end <= to && !self.spans.iter().any(|span| span.begin < end && span.end > start)
        })
    }

    /// One of the kinds in a set, the one that explains most.
    pub fn chief(mask: u64) -> Option<Kind> {
        const ORDER: [Kind; 33] = [
            Kind::Flush,
            Kind::NewId,
            Kind::DiskLost,
            Kind::BitFlip,
            Kind::DiskStop,
            Kind::Crash,
            Kind::PowerLoss,
            Kind::CrashMidStep,
            Kind::CrashAgain,
            Kind::Forget,
            Kind::Halves,
            Kind::Bridge,
            Kind::PairCut,
            Kind::OneWayCut,
            Kind::Flapping,
            Kind::Pause,
            Kind::Freeze,
            Kind::MemoryCritical,
            Kind::Merge,
            Kind::LinkReset,
            Kind::Delay,
            Kind::Loss,
            Kind::Slow,
            Kind::MemoryHigh,
            Kind::Leave,
            Kind::ClientsCut,
            Kind::ClockJump,
            Kind::Drift,
            Kind::Join,
            Kind::QueuePause,
            Kind::SyncFails,
            Kind::DiskBroken,
            Kind::DiskFull,
        ];
        ORDER.into_iter().find(|kind| mask & (1 << *kind as u8) != 0)
    }
}
