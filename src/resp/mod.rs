//! Bytes to client protocol values and back.
