//! Bytes to client protocol values and back.

/// A reply that is built as a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A status line.
    Status(String),
    /// An error line, with its code.
    Error(Vec<u8>),
    /// An integer.
    Int(i64),
    /// A string of bytes.
    Bulk(Vec<u8>),
    /// The absent string.
    NullBulk,
    /// The absent array.
    NullArray,
    /// Values in order.
    Array(Vec<Value>),
    /// Pairs in order.
    Map(Vec<(Value, Value)>),
}
