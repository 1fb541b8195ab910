//! Which of two nodes keeps a job that both have queued.

use std::cmp::Ordering;

use crate::types::{JobId, NodeId};

/// Compares two nodes for a job; the greater one keeps it (job-lifecycle.md 8.4).
///
/// The texts of the IDs are compared after each character was XORed with one of the job ID's random characters.
/// Without that the node with the greatest ID would win all jobs.
pub fn compare_for_job(job: JobId, a: NodeId, b: NodeId) -> Ordering {
    let job = job.text();
    let random = job[RANDOM].iter().cycle();
    let (a, b) = (a.text(), b.text());
    a.iter()
        .zip(&b)
        .zip(random)
        .map(|((a, b), random)| (a ^ random).cmp(&(b ^ random)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Where the random characters stand in the text of a job ID.
const RANDOM: std::ops::Range<usize> = 11..35;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_equal_to_itself_and_the_order_can_be_turned_around() {
        let job = JobId::parse(b"D-9009a8a8-EqV8ib8HDy88YtDtXbiufMdI-05a1").expect("a job ID");
        let (a, b) = (NodeId::from_bytes([0x12; 20]), NodeId::from_bytes([0x1f; 20]));
        assert_eq!(compare_for_job(job, a, a), Ordering::Equal);
        assert_eq!(compare_for_job(job, a, b), compare_for_job(job, b, a).reverse());
        // The second characters differ, `2` and `f`; XORed with `q` they are `C` and 0x17.
        assert_eq!(compare_for_job(job, a, b), Ordering::Greater);
    }

    #[test]
    fn the_random_characters_start_over_after_the_last_one() {
        let job = JobId::parse(b"D-9009a8a8-EqV8ib8HDy88YtDtXbiufMdI-05a1").expect("a job ID");
        let mut bytes = [0; 20];
        let a = NodeId::from_bytes(bytes);
        // Character 25 is the first to differ, `0` and `a`; the random character at 25 − 24 is `q`.
        bytes[12] = 0x0a;
        assert_eq!(compare_for_job(job, a, NodeId::from_bytes(bytes)), (b'0' ^ b'q').cmp(&(b'a' ^ b'q')));
    }
}
