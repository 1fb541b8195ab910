//! Saying that jobs are done: ACKJOB, FASTACK.

use super::arguments;
use super::job::IDS;
use super::spec::{Arity, CommandSpec, Flags, Group, Runs};
use crate::engine::Request;

pub(super) const ACKJOB: CommandSpec = CommandSpec {
    name: "ackjob",
    arity: Arity::AtLeast(1),
    flags: Flags::WRITE.and(Flags::DRAINS).and(Flags::FAST),
    group: Group::Jobs,
    summary: "Acknowledges jobs: they are done, and no node delivers them again.",
    complexity: "O(N), N the number of IDs",
    args: &[IDS],
    runs: Runs::InEngine(|args| Ok(Request::AckJob { ids: arguments::job_ids(args)? })),
    ..CommandSpec::BASE
};

pub(super) const FASTACK: CommandSpec = CommandSpec {
    name: "fastack",
    arity: Arity::AtLeast(1),
    flags: Flags::WRITE.and(Flags::DRAINS).and(Flags::FAST),
    group: Group::Jobs,
    summary: "Acknowledges jobs with fewer messages; during failures they may be delivered again.",
    complexity: "O(N), N the number of IDs",
    args: &[IDS],
    runs: Runs::InEngine(|args| Ok(Request::FastAck { ids: arguments::job_ids(args)? })),
    ..CommandSpec::BASE
};

#[cfg(test)]
mod tests {
    use crate::command::testing::{BAD_ID, ID, UNKNOWABLE_ID, check_parsing};

    #[test]
    fn all_ids_are_checked_before_any_is_used() {
        for (command, request) in [("ACKJOB", "AckJob"), ("FASTACK", "FastAck")] {
            check_parsing(command, &format!("{request} {{ ids: [] }}"));
            check_parsing(&format!("{command} {ID}"), &format!("{request} {{ ids: [{ID:?}] }}"));
            check_parsing(
                &format!("{command} {ID} {UNKNOWABLE_ID}"),
                &format!("{request} {{ ids: [{ID:?}, {UNKNOWABLE_ID:?}] }}"),
            );
            for ids in [format!("{BAD_ID} {ID}"), format!("{ID} {BAD_ID}"), format!("{ID} ''")] {
                check_parsing(&format!("{command} {ids}"), "-BADID Invalid Job ID format.");
            }
        }
    }
}
