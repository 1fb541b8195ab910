//! Turning the file on and off, writing it anew at once, and the end of the server.

use super::{AofError, Load, OpenFile, lock, origin, place, policy};
use crate::aof::{BaseFrames, Failure, FileLayer as _, LoadError, Origin, Rewriter};
use crate::disk::OsFiles;
use crate::engine::{Control, Input, Persistence, Request, Walk};
use crate::net::server::Server;

/// How many slots are visited between two pieces that are written.
const SLOTS: usize = 4096;

/// What a file that is written once is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Purpose {
    /// To be written from now on.
    ToStay,
    /// To hold what is known now.
    Once,
}

impl Server {
    /// CONFIG SET appendonly yes, and BGREWRITEAOF while it is off: makes a file, and writes all that is known to it in
    /// the background.
    pub(in crate::net) fn turn_on_file(&mut self, purpose: Purpose) -> Result<(), AofError> {
        if let Some(file) = &mut self.aof.file {
            // It was to be written once only.
            if file.once && purpose == Purpose::ToStay {
                file.once = false;
                self.step(Input::Control(Control::Persist(Persistence::On)), u32::MAX);
            }
            return Ok(());
        }
        let mut file = OpenFile::turn_on(&self.config, self.engine.me(), self.now, &self.waker)?;
        file.once = purpose == Purpose::Once;
        self.aof.file = Some(Box::new(file));
        let persistence = if purpose == Purpose::Once { Persistence::Once } else { Persistence::On };
        self.step(Input::Control(Control::Persist(persistence)), u32::MAX);
        self.consider_rewrite();
        Ok(())
    }

    /// Writes and syncs what there is, and writes no more. Waits for the disk. Whoever waited for it is answered if it
    /// has come so far.
    pub(in crate::net) fn turn_off_file(&mut self) {
        self.submit_records();
        let Some(file) = self.aof.file.take() else { return };
        self.step(Input::Control(Control::Persist(Persistence::Off)), u32::MAX);
        self.step(Input::Control(Control::DiskFailing(false)), u32::MAX);
        let all = file.stop();
        self.end_of_holding(all);
    }

    /// Writes a fresh file with all that is known, here and now, in the place of whatever there is. The file is off
    /// afterwards.
    pub(in crate::net) fn rewrite_now(&mut self) -> Result<(), AofError> {
        self.turn_off_file();
        let (mut files, names) = place(&self.config)?;
        let _lock = lock(&files, &names)?;
        let listed = files.list().map_err(AofError::Io)?;
        let chain = names.chain(&listed).map_err(|missing| AofError::Load(LoadError::Missing(missing)))?;
        let number = chain.logs.last().map_or(1, |last| last + 1);
        let mut rewriter = Rewriter::new(files, names.clone(), &chain);
        let (log, base) = (origin(self.engine.me(), self.now)?, origin(self.engine.me(), self.now)?);
        if let Err(failure) = self.write_all_files(&mut rewriter, number, log, base) {
            // The disk may be full, and the file that is turned on again needs room.
            rewriter.give_up();
            return Err(AofError::Load(LoadError::Io { file: names.base(number), failure }));
        }
        tracing::info!(number, "SYNC append only file rewrite performed");
        Ok(())
    }

    fn write_all_files(
        &self,
        rewriter: &mut Rewriter<OsFiles>,
        number: u64,
        log: Origin,
        base: Origin,
    ) -> Result<(), Failure> {
        rewriter.make_log(number, log)?;
        rewriter.begin(number, base)?;
        let (mut walk, mut frames, mut bytes) = (Walk::Start, BaseFrames::new(base.salt), Vec::new());
        while walk != Walk::Done {
            walk = self.engine.walk(walk, SLOTS, |record| frames.add(record, &mut bytes));
            rewriter.write(&bytes)?;
            bytes.clear();
        }
        frames.end(&mut bytes);
        rewriter.write(&bytes)?;
        rewriter.finish().map(drop)
    }

    /// SHUTDOWN REWRITE-AOF. If it fails the server goes on, and so does its file.
    pub(in crate::net) fn rewrite_for_shutdown(&mut self) -> Result<(), AofError> {
        if self.aof.load.is_some() {
            return Ok(());
        }
        let result = self.rewrite_now();
        if result.is_err()
            && self.config.appendonly
            && let Err(error) = self.turn_on_file(Purpose::ToStay)
        {
            tracing::error!(%error, "the append-only file cannot be written any more");
        }
        result
    }

    /// The end of the server in good order: everything is written and synced.
    pub(in crate::net) fn close_file(&mut self) {
        let incomplete = self.aof.file.as_ref().is_some_and(|file| file.awaits_base);
        if !incomplete {
            return self.turn_off_file();
        }
        // It was just turned on: without what was known then it would be worth nothing.
        if let Err(error) = self.rewrite_now() {
            tracing::error!(%error, "the append-only file could not be finished");
        }
    }

    /// DEBUG LOADAOF: forgets everything and loads it again, here and now.
    pub(in crate::net) fn load_again(&mut self) -> Result<(), AofError> {
        self.turn_off_file();
        self.step(
            Input::Request { client: crate::engine::ClientId(u64::MAX), request: Request::FlushAll },
            u32::MAX,
        );
        self.aof.load = Load::open(&self.config, self.now)?.map(Box::new);
        while self.aof.load.is_some() {
            self.load_on()?;
        }
        Ok(())
    }

    /// CONFIG SET appendfsync.
    pub(in crate::net) fn change_sync_policy(&mut self) {
        let policy = policy(self.config.appendfsync);
        if let Some(file) = &mut self.aof.file {
            file.set_policy(policy);
        }
    }
}
