//! The threads beside the writer, for what may take long and need not be in order with the writes of the log: one for its
//! syncs once a second, and one for the files of a rewrite. The syncs must not wait until a large base is on the disk, or
//! its predecessor removed.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::threads::{Event, Shared};
use crate::aof::{FileLayer, LogFile, Origin, Rewriter, SyncTask};

/// What the helper is to do.
pub(super) enum Errand {
    /// Make a log and begin the base that goes with it; the loop is told.
    Begin { number: u64, log: Origin, base: Origin, incremental_sync: bool },
    /// Append frames to the base.
    Base(Vec<u8>),
    /// The base is whole.
    Finish,
}

/// Runs errands until nobody can send any.
pub(super) fn run<L: FileLayer>(
    mut rewriter: Rewriter<L>,
    errands: &Receiver<Errand>,
    shared: &Arc<Shared<L>>,
) {
    // After a failure the rest of the base that is on its way is dropped.
    let mut failed = false;
    while let Ok(errand) = errands.recv() {
        match errand {
            Errand::Begin { number, log, base, incremental_sync } => {
                rewriter.set_incremental_sync(incremental_sync);
                let begun = begin(&mut rewriter, number, log, base);
                failed = begun.is_err();
                shared.tell(begun.map_or_else(Event::Failed, Event::Begun));
            }
            Errand::Base(bytes) => {
                shared.base_written(bytes.len());
                if failed {
                    continue;
                }
                if let Err(failure) = rewriter.write(&bytes) {
                    failed = true;
                    rewriter.give_up();
                    shared.tell(Event::Failed(failure));
                }
            }
            Errand::Finish if failed => {}
            Errand::Finish => match rewriter.finish() {
                Ok(finished) => {
                    shared.anchored(finished.number);
                    shared.tell(Event::Finished(finished));
                }
                Err(failure) => shared.tell(Event::Failed(failure)),
            },
        }
    }
    rewriter.give_up();
}

/// Syncs the log until nobody can ask for it; the writer is told.
pub(super) fn run_syncs<L: FileLayer>(
    mut layer: L,
    tasks: &Receiver<SyncTask<L::File>>,
    shared: &Arc<Shared<L>>,
) {
    while let Ok(task) = tasks.recv() {
        let result = task.perform(&mut layer);
        shared.synced(task, result);
    }
}

fn begin<L: FileLayer>(
    rewriter: &mut Rewriter<L>,
    number: u64,
    log: Origin,
    base: Origin,
) -> Result<LogFile<L::File>, crate::aof::Failure> {
    let file = rewriter.make_log(number, log)?;
    rewriter.begin(number, base)?;
    Ok(file)
}
