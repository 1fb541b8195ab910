//! Limits and constants that more than one room needs. Those with one user stand beside it.

use super::Millis;

/// Longest argument of a request, and so the longest queue name or job body: 512 MiB (commands.md 2.2).
pub const MAX_BULK_LEN: usize = 512 * 1024 * 1024;

/// Most arguments of one request (commands.md 2.2).
pub const MAX_ARGS: usize = 1_048_576;

/// Most bytes of an inline request, or of a length line, without its line feed (commands.md 2.2).
pub const MAX_LINE_LEN: usize = 65_536;

/// Unparsed input one client may have pending before it is closed: 1 GiB (commands.md 2.4).
pub const MAX_QUERY_BUFFER: usize = 1024 * 1024 * 1024;

/// Longest password (commands.md 12).
pub const MAX_PASSWORD_LEN: usize = 512;

/// Time to live of a job added without TTL: one day (commands.md 6.1).
pub const DEFAULT_TTL: Millis = Millis(86_400_000);

/// Longest retry period that is chosen by default: five minutes (commands.md 6.1).
pub const DEFAULT_RETRY_MAX: Millis = Millis(300_000);

/// Copies asked for by default, when the cluster is large enough (commands.md 6.1).
pub const DEFAULT_REPLICATE_MAX: u16 = 3;

/// Longest time to live, 2³¹ − 1 seconds or 68 years; longer ones are cut to it, since RC1's 32 bits of
/// absolute seconds would wrap (defect O1 of commands.md).
pub const MAX_TTL: Millis = super::Span32::MAX;

/// How far from a client port the node-to-node port lies (cluster-bus.md 2.1).
pub const BUS_PORT_OFFSET: u16 = 10_000;

/// Highest client port that leaves room for the bus port.
pub const MAX_CLIENT_PORT: u16 = 65_535 - BUS_PORT_OFFSET;

/// Whether `id` may name a client connection: printable ASCII without blanks (commands.md 12, CLIENT SETNAME).
pub fn is_client_name(name: &[u8]) -> bool {
    name.iter().all(|b| (b'!'..=b'~').contains(b))
}
