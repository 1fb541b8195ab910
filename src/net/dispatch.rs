//! From one request to its execution: who may run what, in the published order of checks (commands.md 3).

use super::client::{Closing, ReplyMode, Transaction};
use super::operator::Timing;
use super::server::Server;
use crate::admin::trace_line;
use crate::command::{self, CommandError, CommandSpec, Flags, Runs};
use crate::engine::{ClientId, GetJob, Input, Request, Wait};
use crate::resp::{Value, write};
use crate::types::{Args, Span};

/// Most commands and bytes that may wait between MULTI and EXEC on one connection.
const TRANSACTION_COMMANDS: usize = 100_000;
const TRANSACTION_BYTES: usize = 64 * 1024 * 1024;

/// Whether a command may wait before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Allowed,
    /// Inside EXEC, whose replies come together: GETJOB takes what there is.
    Forbidden,
}

impl Server {
    /// Runs one request of a client, and answers it unless it blocks.
    pub(super) fn execute(&mut self, slot: u32, args: Args<'_>) {
        match self.admit_command(slot, &args) {
            Ok(Some(spec)) => self.run_command(slot, spec, args, Waiting::Allowed),
            Ok(None) => {}
            Err(error) => self.refuse(slot, &error.text()),
        }
        let client = self.clients.acting(slot);
        if !client.blocked {
            client.end_skip();
        } else if client.last_command.is_some_and(CommandSpec::adds_a_job) && client.replies == ReplyMode::On
        {
            // Others may be added while its copies are made, so that one connection can keep a cluster busy.
            self.clients.await_answer(slot);
        }
    }

    /// The checks before a command runs; `None` if it was kept for EXEC instead.
    fn admit_command(
        &mut self,
        slot: u32,
        args: &Args<'_>,
    ) -> Result<Option<&'static CommandSpec>, CommandError> {
        let resolved = command::resolve(&self.commands, args);
        let client = self.clients.acting(slot);
        let transaction = client.about.transaction.as_mut();
        let spec = match resolved {
            Ok(spec) => spec,
            Err(error) => {
                // EXEC must not run a part of what was meant.
                transaction.into_iter().for_each(|transaction| transaction.failed = true);
                return Err(error);
            }
        };
        if self.operator.needs_password && !client.authenticated && !spec.is_allowed_without_auth() {
            return Err(CommandError::NoAuth);
        }
        client.last_command = Some(spec);
        match transaction {
            Some(transaction) if !spec.flags.has(Flags::AT_ONCE) => {
                transaction.keep(spec, args)?;
                self.clients.reply_value(slot, &Value::status("QUEUED"));
                Ok(None)
            }
            _ => Ok(Some(spec)),
        }
    }

    /// Runs a command and keeps the books about it.
    fn run_command(&mut self, slot: u32, spec: &'static CommandSpec, args: Args<'_>, waiting: Waiting) {
        if !self.clients.monitors.is_empty() {
            self.show_monitors(slot, spec, &args);
        }
        match self.operator.begin(spec, args.len()) {
            Timing::Untimed => self.run_spec(slot, spec, args, waiting),
            Timing::Sample(begin) => {
                self.run_spec(slot, spec, args, waiting);
                self.operator.sampled(spec, begin.elapsed());
            }
            Timing::Each(begin) => {
                let kept = self.operator.keep_args(spec, &args);
                self.run_spec(slot, spec, args, waiting);
                self.operator.ended(spec, begin.elapsed(), kept, self.now);
            }
        }
    }

    fn run_spec(&mut self, slot: u32, spec: &'static CommandSpec, args: Args<'_>, waiting: Waiting) {
        match spec.runs {
            Runs::InEngine(parse) => match parse(args) {
                Ok(request) if waiting == Waiting::Forbidden => {
                    self.ask_engine(slot, without_waiting(request))
                }
                Ok(request) => self.ask_engine(slot, request),
                Err(error) => self.refuse(slot, &error.text()),
            },
            Runs::InShell(command) => self.run_in_shell(slot, command, args),
        }
    }

    /// Hands a request to the engine; the client is blocked until the reply comes, most often in the same step.
    pub(super) fn ask_engine(&mut self, slot: u32, request: Request<'_>) {
        let client = self.clients.acting(slot);
        client.blocked = true;
        let input = Input::Request { client: client.id, request };
        self.step(input, slot);
    }

    /// Takes back the request that the client waits for: nothing is handed to it any more.
    pub(super) fn withdraw(&mut self, slot: u32) {
        let asked: Vec<ClientId> = self.clients.acting(slot).asked().collect();
        self.clients.acting(slot).blocked = false;
        for client in asked {
            self.step(Input::ClientGone { client }, u32::MAX);
        }
    }

    /// Answers with an error; the text begins with its code.
    pub(super) fn refuse(&mut self, slot: u32, text: &[u8]) {
        let client = self.clients.acting(slot);
        if client.replies == ReplyMode::On {
            client.answer_in_order(|output| write::error(output.bytes_mut(), text));
        }
        self.clients.mark_dirty(slot);
    }

    pub(super) fn reply_ok(&mut self, slot: u32) {
        self.clients.reply_value(slot, &Value::ok());
    }

    pub(super) fn multi(&mut self, slot: u32) {
        let about = &mut self.clients.acting(slot).about;
        if about.transaction.is_some() {
            return self.refuse(slot, &CommandError::MultiNested.text());
        }
        about.transaction = Some(Transaction::default());
        self.reply_ok(slot);
    }

    pub(super) fn discard(&mut self, slot: u32) {
        match self.clients.acting(slot).about.transaction.take() {
            Some(_) => self.reply_ok(slot),
            None => self.refuse(slot, &CommandError::DiscardWithoutMulti.text()),
        }
    }

    /// WATCH: nothing can change, so outside MULTI it has nothing to do.
    pub(super) fn watch(&mut self, slot: u32) {
        match self.clients.acting(slot).about.transaction {
            Some(_) => self.refuse(slot, &CommandError::WatchInsideMulti.text()),
            None => self.reply_ok(slot),
        }
    }

    /// EXEC: runs what was kept, one after the other. GETJOB takes what there is instead of waiting. ADDJOB waits for
    /// its copies, as nobody else may tell whether they exist; other clients are served meanwhile.
    pub(super) fn exec(&mut self, slot: u32) {
        let client = self.clients.acting(slot);
        let transaction = match client.about.transaction.take() {
            None => return self.refuse(slot, &CommandError::ExecWithoutMulti.text()),
            Some(transaction) if transaction.failed => {
                return self.refuse(slot, &CommandError::ExecAborted.text());
            }
            Some(transaction) => transaction,
        };
        if client.replies == ReplyMode::On {
            write::array(client.output.bytes_mut(), transaction.commands.len());
        }
        client.about.executing = transaction.commands.into();
        self.clients.mark_dirty(slot);
        self.go_on_executing(slot);
    }

    /// Runs what is left of an EXEC, until a command waits: ADDJOB for its copies. False if something is left.
    pub(super) fn go_on_executing(&mut self, slot: u32) -> bool {
        loop {
            let client = self.clients.acting(slot);
            if client.blocked || client.closing != Closing::No {
                return client.about.executing.is_empty();
            }
            let Some((spec, mut command)) = client.about.executing.pop_front() else { return true };
            let spans: Vec<Span> = (0..command.len() as u32).map(Span::Large).collect();
            self.run_command(slot, spec, Args::new(&spans, &[], &mut command), Waiting::Forbidden);
        }
    }

    /// Shows the command to everybody who watches (MONITOR), before it runs.
    fn show_monitors(&mut self, slot: u32, spec: &CommandSpec, args: &Args<'_>) {
        let client = self.clients.acting(slot);
        let peer = match client.about.peer.strip_suffix(":0") {
            Some(path) if client.stream.is_unix() => format!("unix:{path}"),
            _ => client.about.peer.clone(),
        };
        let mut line = Vec::new();
        trace_line(self.clock.now_us(), &peer, spec.name, args.iter(), &mut line);
        for monitor in self.clients.monitors.clone() {
            if let Some(client) = self.clients.get_mut(monitor) {
                client.output.bytes_mut().extend_from_slice(&line);
                self.clients.mark_dirty(monitor);
            }
        }
    }
}

impl Transaction {
    /// Keeps a command for EXEC.
    fn keep(&mut self, spec: &'static CommandSpec, args: &Args<'_>) -> Result<(), CommandError> {
        if spec.flags.has(Flags::NO_MULTI) {
            self.failed = true;
            return Err(CommandError::NotInsideMulti(spec.name));
        }
        self.bytes += args.iter().map(|arg| arg.len() + size_of::<Vec<u8>>()).sum::<usize>();
        if self.commands.len() >= TRANSACTION_COMMANDS || self.bytes > TRANSACTION_BYTES {
            self.failed = true;
            self.commands = Vec::new();
            return Err(CommandError::TransactionTooLarge);
        }
        self.commands.push((spec, args.to_vecs()));
        Ok(())
    }
}

fn without_waiting(request: Request<'_>) -> Request<'_> {
    match request {
        Request::GetJob(get) => Request::GetJob(GetJob { wait: Wait::No, ..get }),
        other => other,
    }
}
