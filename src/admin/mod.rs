//! What operators look at: INFO, SLOWLOG, LATENCY, command statistics. Keeps numbers, performs no I/O.
