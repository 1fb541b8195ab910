//! Finds a smaller schedule that still fails in the same way: first the storm ends when the failure is found, then
//! faults are taken away, in pieces that get smaller, then people.

use super::plan::{Plan, SECOND};
use super::trace::Talk;
use super::{Outcome, run};

/// How many runs it may take.
const TRIES: u32 = 400;

/// The smallest plan found, and what became of it.
pub fn shrink(outcome: &Outcome) -> Plan {
    let kind = outcome.violations[0].kind;
    let mut best = outcome.plan.clone();
    let mut tries = TRIES;
    let mut fails = |plan: &Plan| {
        tries = tries.saturating_sub(1);
        tries > 0
            && run(plan.clone(), Talk::Silent, 0).violations.first().is_some_and(|found| found.kind == kind)
    };
    let at = outcome.violations[0].at;
    for storm in [at / 4, at / 2, at + SECOND] {
        let mut shorter = best.clone();
        shorter.storm = storm.max(30 * SECOND);
        shorter.faults.retain(|fault| fault.at < shorter.storm);
        if shorter.storm < best.storm && fails(&shorter) {
            best = shorter;
            break;
        }
    }
    let mut piece = best.faults.len().div_ceil(2);
    while piece > 0 {
        let mut at = 0;
        while at < best.faults.len() {
            let mut fewer = best.clone();
            fewer.faults.drain(at..(at + piece).min(best.faults.len()));
            if fails(&fewer) {
                best = fewer;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    for simpler in [
        |plan: &mut Plan| plan.rc1 = 0,
        |plan: &mut Plan| plan.queues = 1,
        |plan: &mut Plan| {
            plan.loss_permille = 0;
        },
    ] {
        let mut plan = best.clone();
        simpler(&mut plan);
        if fails(&plan) {
            best = plan;
        }
    }
    best
}
