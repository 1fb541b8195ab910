//! What a cluster at rest costs.

use disque::types::Millis;

use crate::net::Net;

/// Frames and bytes that one node of a cluster at rest sends in a second.
fn at_rest(count: usize) -> (f64, f64) {
    let mut net = Net::of(count);
    for place in 1..count {
        net.meet(place, 0);
    }
    net.run(Millis(30_000));
    assert!(net.agrees());
    let before = net.traffic();
    let saves: usize = net.nodes.iter().map(|node| node.saves).sum();
    const SECONDS: u64 = 60;
    net.run(Millis(SECONDS * 1000));
    let after = net.traffic();
    assert_eq!(net.nodes.iter().map(|node| node.saves).sum::<usize>(), saves, "nothing is stored at rest");
    assert!(net.agrees());
    let per_second = |total: usize| total as f64 / (SECONDS as f64 * count as f64);
    (per_second(after.0 - before.0), per_second(after.1 - before.1))
}

/// Each node pings one other per second and each other once per half node timeout, which is 7.5 s; every ping is
/// answered.
#[test]
fn the_pings_of_a_cluster_at_rest_grow_with_its_size_and_no_faster() {
    for count in [3, 10, 25, 50, 64] {
        let (frames, bytes) = at_rest(count);
        println!("{count} nodes at rest: {frames:.1} frames and {bytes:.0} bytes per node and second");
        let pings = 1.0 + (count - 1) as f64 / 7.5;
        assert!(frames <= 2.0 * pings, "{count} nodes: {frames} frames per node and second");
        // A frame mentions a tenth of the cluster, three nodes at least.
        let longest = 144.0 + 104.0 * (count as f64 / 10.0).max(3.0);
        assert!(bytes <= frames * longest, "{count} nodes: {bytes} bytes per node and second");
    }
}
