//! The mio shell: event loop, listeners, connections, clock, signals.
