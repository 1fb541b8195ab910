//! Bytes to client protocol values and back.

use std::sync::Arc;

pub mod write;

/// Which version of the protocol a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Version 2.
    #[default]
    Resp2,
    /// Version 3.
    Resp3,
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `+text`.
    Status(String),
    /// `-text`.
    Error(Vec<u8>),
    /// `:n`.
    Int(i64),
    /// `$len` and bytes.
    Bulk(Vec<u8>),
    /// `$-1`, or `_`.
    NullBulk,
    /// `*-1`, or `_`.
    NullArray,
    /// `*n` and values.
    Array(Vec<Value>),
    /// `%n` and pairs; flat in version 2.
    Map(Vec<(Value, Value)>),
}

impl Value {
    /// Appends the encoded value.
    pub fn encode(&self, protocol: Protocol, out: &mut Vec<u8>) {
        match self {
            Value::Status(text) => write::status(out, text.as_bytes()),
            Value::Error(text) => write::error(out, text),
            Value::Int(n) => write::int(out, *n),
            Value::Bulk(bytes) => write::bulk(out, bytes),
            Value::NullBulk => write::null(out, protocol),
            Value::NullArray => write::null_array(out, protocol),
            Value::Array(items) => {
                write::array(out, items.len());
                items.iter().for_each(|item| item.encode(protocol, out));
            }
            Value::Map(pairs) => {
                write::map(out, pairs.len(), protocol);
                for (key, value) in pairs {
                    key.encode(protocol, out);
                    value.encode(protocol, out);
                }
            }
        }
    }
}

/// Bytes on their way to a client.
#[derive(Debug, Default)]
pub struct Output {
    done: Vec<Arc<Vec<u8>>>,
    tail: Vec<u8>,
}

impl Output {
    /// Where to append.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Appends a shared block.
    pub fn push_shared(&mut self, block: Arc<Vec<u8>>) {
        self.done.push(Arc::new(std::mem::take(&mut self.tail)));
        self.done.push(block);
    }

    /// What is to be sent.
    pub fn slices<'a>(&'a self, into: &mut [std::io::IoSlice<'a>]) -> usize {
        let blocks = self.done.iter().map(|block| &block[..]).chain([&self.tail[..]]);
        let mut used = 0;
        for (slot, block) in into.iter_mut().zip(blocks) {
            *slot = std::io::IoSlice::new(block);
            used += 1;
        }
        used
    }
}
