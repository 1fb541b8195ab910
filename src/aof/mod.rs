//! What is kept on disk, so that a restart knows it: records, the files that hold them, and what the writer does.
//!
//! Pure: bytes and values, and decisions about files behind the trait [`FileLayer`]. The threads and the real
//! files are in `disk/`.
//!
//! * `record.rs`: the vocabulary, and each record's bytes;
//! * `frame.rs`: the header of files, the frame around records;
//! * `reader.rs`, `window.rs`, `rc1.rs`: bytes to records, whatever has become of them;
//! * `chain.rs`: which files make up the log;
//! * `layer.rs`, `load.rs`, `journal.rs`, `writer.rs`, `rewriter.rs`: what is done with them, over any file
//!   system.

mod chain;
mod frame;
mod journal;
mod layer;
mod load;
mod rc1;
mod reader;
mod record;
mod rewriter;
#[cfg(test)]
mod tests;
mod window;
mod writer;

pub use chain::{Base, Chain, MissingFile, Names};
pub use frame::{FRAME_HEADER_LEN, FileHeader, FileKind, Framer, HEADER_LEN, HeaderError};
pub use journal::Journal;
pub use layer::FileLayer;
pub use load::{Damage, LoadError, Loader, MAX_DAMAGES, Ready, Step, Summary};
pub use rc1::{Flaw, Rc1Error, encode_rc1};
pub use reader::{Format, Next, ReadError, Reader};
pub use record::{Acked, JobRecord, MAX_PAYLOAD, Record, RecordError, Standing};
pub use rewriter::{BASE_SYNC_BYTES, BaseFrames, Finished, Origin, Rewriter};
pub use writer::{Failure, Health, LogFile, Progress, Seq, SyncPolicy, SyncTask, Writer};
