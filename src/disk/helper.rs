//! The helper thread: what may take long and need not be in order with the writes of the log: its syncs once a
//! second, and the files of a rewrite.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::threads::{Event, Shared};
use crate::aof::{FileLayer, LogFile, Origin, Rewriter, SyncTask};

/// What the helper is to do.
pub(super) enum Errand<L: FileLayer> {
    /// Sync the log; the writer is told.
    Sync(SyncTask<L::File>),
    /// Make a log and begin the base that goes with it; the loop is told.
    Begin { number: u64, log: Origin, base: Origin, incremental_sync: bool },
    /// Append frames to the base.
    Base(Vec<u8>),
    /// The base is whole.
    Finish,
}

/// Runs errands until nobody can send any.
pub(super) fn run<L: FileLayer>(
    mut layer: L,
    mut rewriter: Rewriter<L>,
    errands: &Receiver<Errand<L>>,
    shared: &Arc<Shared<L>>,
) {
    // After a failure the rest of the base that is on its way is dropped.
    let mut failed = false;
    while let Ok(errand) = errands.recv() {
        match errand {
            Errand::Sync(task) => {
                let result = task.perform(&mut layer);
                shared.synced(task, result);
            }
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
