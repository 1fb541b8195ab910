//! Numbers with what they count, for people.

use std::fmt::Display;

/// `1 node`, `3 nodes`: a count and its noun, of which `one` is the singular and `many` the plural.
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    let noun = if count == N::from(1) { one } else { many };
    format!("{count} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_one() {
        let nodes = [0, 1, 2].map(|count: usize| counted(count, "node", "nodes"));
        assert_eq!(nodes, ["0 nodes", "1 node", "2 nodes"]);
        assert_eq!(counted(1_u64, "reply", "replies"), "1 reply");
    }
}
