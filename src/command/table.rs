//! All commands, and how one is found by its name.

use std::fmt;

use super::spec::CommandSpec;
use super::{CommandError, ack, cluster, connection, job, queue, scan, server, transaction};
use crate::types::Args;

const COUNT: usize = 43;

/// All commands. The first 32 are those of the reference server in its order, which INFO commandstats keeps.
pub static COMMANDS: [CommandSpec; COUNT] = ROWS;

const ROWS: [CommandSpec; COUNT] = numbered([
    connection::AUTH,
    connection::PING,
    server::INFO,
    server::SHUTDOWN,
    server::MONITOR,
    server::DEBUG,
    server::CONFIG,
    cluster::CLUSTER,
    server::CLIENT,
    server::SLOWLOG,
    server::TIME,
    server::COMMAND,
    server::LATENCY,
    cluster::HELLO,
    job::ADDJOB,
    queue::GETJOB,
    ack::ACKJOB,
    ack::FASTACK,
    job::DELJOB,
    job::SHOW,
    job::LOADJOB,
    server::BGREWRITEAOF,
    queue::QLEN,
    queue::QPEEK,
    queue::QSTAT,
    scan::QSCAN,
    scan::JSCAN,
    queue::ENQUEUE,
    queue::NACK,
    queue::DEQUEUE,
    queue::WORKING,
    queue::PAUSE,
    connection::ECHO,
    connection::SELECT,
    connection::RESET,
    connection::QUIT,
    transaction::MULTI,
    transaction::EXEC,
    transaction::DISCARD,
    transaction::WATCH,
    transaction::UNWATCH,
    connection::READONLY,
    connection::READWRITE,
]);

const fn numbered(mut rows: [CommandSpec; COUNT]) -> [CommandSpec; COUNT] {
    let mut i = 0;
    while i < COUNT {
        rows[i].index = i as u8;
        i += 1;
    }
    rows
}

const _: () = assert!(
    matches!(ROWS[cluster::HELLO_INDEX as usize].with_arguments, Some(row) if row.index == cluster::HELLO_INDEX)
);

/// A third of the slots is used, so that most names are found, or not found, at the first look.
const SLOTS: usize = 128;
const VACANT: u8 = u8::MAX;
const _: () = assert!(COUNT < SLOTS / 2 && COUNT < VACANT as usize);

/// A command in the table by names.
#[derive(Clone, Copy)]
struct Slot {
    /// [`word`] of the name.
    word: u64,
    /// Length of the name.
    len: u8,
    /// Place in [`COMMANDS`], or [`VACANT`].
    index: u8,
}

static SLOT_TABLE: [Slot; SLOTS] = {
    let mut slots = [Slot { word: 0, len: 0, index: VACANT }; SLOTS];
    let mut i = 0;
    while i < COUNT {
        let name = ROWS[i].name.as_bytes();
        let Some(word) = word(name) else { panic!("all names have four letters") };
        let mut slot = first_slot(word, name.len());
        while slots[slot].index != VACANT {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = Slot { word, len: name.len() as u8, index: i as u8 };
        i += 1;
    }
    slots
};

/// Names up to this length are all in their word.
const WORD_LEN: usize = 8;

/// The first and the last four bytes of a name, which may overlap, in lower case. `None` for shorter ones, which no
/// command has.
///
/// Bit 5 set makes lower case of letters and a letter of nothing else, so with the length this tells all of a name of
/// four to eight letters, in any case, from all others.
const fn word(name: &[u8]) -> Option<u64> {
    match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            let word = (u32::from_le_bytes(*last) as u64) << 32 | u32::from_le_bytes(*first) as u64;
            Some(word | 0x2020_2020_2020_2020)
        }
        _ => None,
    }
}

const _: () = {
    let mut i = 0;
    while i < COUNT {
        let name = ROWS[i].name.as_bytes();
        let mut at = 0;
        while at < name.len() {
            assert!(name[at].is_ascii_lowercase(), "words tell names of letters only");
            at += 1;
        }
        i += 1;
    }
};

/// Where a name is looked for first.
const fn first_slot(word: u64, len: usize) -> usize {
    // The 64-bit golden ratio spreads the words over the highest bits.
    ((word ^ len as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOTS.trailing_zeros())) as usize
}

/// The command with this built-in name, in any case.
pub fn lookup(name: &[u8]) -> Option<&'static CommandSpec> {
    let word = word(name)?;
    let mut at = first_slot(word, name.len());
    // Ends, since more than half of the slots are vacant.
    loop {
        let slot = SLOT_TABLE[at];
        if slot.index == VACANT {
            return None;
        }
        if slot.word == word && usize::from(slot.len) == name.len() {
            let spec = &COMMANDS[usize::from(slot.index)];
            if name.len() <= WORD_LEN || spec.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(spec);
            }
        }
        at = (at + 1) % SLOTS;
    }
}

/// The commands of one server: all of them, but some perhaps under another name, or under none.
#[derive(Clone, Debug, Default)]
pub struct CommandTable {
    /// One bit for each command whose built-in name is not its name here.
    hidden: u64,
    renamed: Vec<(Box<[u8]>, &'static CommandSpec)>,
}

const _: () = assert!(COUNT <= u64::BITS as usize);

/// Why a command cannot be renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameError {
    /// No command has the old name.
    NoSuchCommand,
    /// A command has the new name already.
    NameTaken,
}

impl fmt::Display for RenameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RenameError::NoSuchCommand => "No such command in rename-command",
            RenameError::NameTaken => "Target command name already exists",
        })
    }
}

impl std::error::Error for RenameError {}

impl CommandTable {
    /// All commands under their built-in names.
    pub const fn new() -> CommandTable {
        CommandTable { hidden: 0, renamed: Vec::new() }
    }

    /// Gives a command another name, or none if `new` is empty. The command keeps its built-in name wherever
    /// it is shown: COMMAND, statistics, errors.
    pub fn rename(&mut self, old: &[u8], new: &[u8]) -> Result<(), RenameError> {
        let spec = self.find(old).ok_or(RenameError::NoSuchCommand)?;
        if self.find(new).is_some_and(|taken| taken.index != spec.index) {
            return Err(RenameError::NameTaken);
        }
        self.hidden |= 1 << spec.index;
        self.renamed.retain(|(_, renamed)| renamed.index != spec.index);
        if !new.is_empty() {
            self.renamed.push((new.into(), spec));
        }
        Ok(())
    }

    /// The command with this name, in any case.
    pub fn find(&self, name: &[u8]) -> Option<&'static CommandSpec> {
        if self.hidden == 0 {
            return lookup(name);
        }
        let renamed = self.renamed.iter().find(|(new, _)| new.eq_ignore_ascii_case(name));
        renamed.map(|(_, spec)| *spec).or_else(|| lookup(name).filter(|spec| !self.is_hidden(spec)))
    }

    /// The commands that have a name, in the order of [`COMMANDS`].
    pub fn iter(&self) -> impl Iterator<Item = &'static CommandSpec> {
        let is_renamed = |spec: &CommandSpec| self.renamed.iter().any(|(_, other)| other.index == spec.index);
        COMMANDS.iter().filter(move |spec| !self.is_hidden(spec) || is_renamed(spec))
    }

    fn is_hidden(&self, spec: &CommandSpec) -> bool {
        self.hidden & (1 << spec.index) != 0
    }
}

/// Finds the command and checks the number of its arguments: the first steps of dispatch (commands.md 3).
pub fn resolve(table: &CommandTable, args: &Args<'_>) -> Result<&'static CommandSpec, CommandError> {
    let name = args.get(0).unwrap_or_default();
    let spec = table.find(name).ok_or_else(|| CommandError::UnknownCommand(name.to_vec()))?;
    if !spec.arity.admits(args.len()) {
        return Err(CommandError::WrongArity(spec.name));
    }
    match spec.with_arguments {
        Some(other) if args.len() > 1 => Ok(other),
        _ => Ok(spec),
    }
}
