//! Job bodies: bytes that the server never looks into.

use std::sync::Arc;

/// A job's body, 16 bytes beside its heap block.
///
/// Small bodies have a block of their own of exactly their length. From [`Body::SHARED_FROM`] bytes on
/// the block is shared, so that a body that came in as one piece is handed to a consumer, and later to a
/// peer or a file, without being copied again.
#[derive(Clone, Debug)]
pub enum Body {
    /// A body shorter than [`Body::SHARED_FROM`].
    Small(Box<[u8]>),
    /// Any other.
    Shared(Arc<Vec<u8>>),
}

const _: () = assert!(size_of::<Body>() == 16);

impl Body {
    /// Length from which bodies are shared instead of copied, in bytes. Sharing costs a block more and
    /// counting references, copying costs the bytes; where the balance lies exactly has not been measured.
    pub const SHARED_FROM: usize = 2048;

    /// Copies the bytes.
    pub fn copied(bytes: &[u8]) -> Body {
        if bytes.len() < Body::SHARED_FROM {
            Body::Small(bytes.into())
        } else {
            Body::Shared(Arc::new(bytes.to_vec()))
        }
    }

    /// Takes the bytes over, giving back spare capacity.
    pub fn owned(mut bytes: Vec<u8>) -> Body {
        if bytes.len() < Body::SHARED_FROM {
            return Body::Small(bytes.into_boxed_slice());
        }
        bytes.shrink_to_fit();
        Body::Shared(Arc::new(bytes))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::Small(bytes) => bytes,
            Body::Shared(bytes) => bytes,
        }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether the body is empty, which is allowed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A body on its way, in a request or in a [`JobImage`](super::JobImage): still in the read buffer, already a
/// block of its own, or kept by a job. Equal if the bytes are.
#[derive(Clone, Debug)]
pub enum BodyArg<'a> {
    /// In the read buffer; to be copied.
    Borrowed(&'a [u8]),
    /// Read from the socket into its own block; to be taken over.
    Owned(Vec<u8>),
    /// A job's own body, shared with it if it is long. Requests never bring one.
    Kept(Body),
}

impl BodyArg<'_> {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            BodyArg::Borrowed(bytes) => bytes,
            BodyArg::Owned(bytes) => bytes,
            BodyArg::Kept(body) => body.bytes(),
        }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The body for the job table.
    pub fn into_body(self) -> Body {
        match self {
            BodyArg::Borrowed(bytes) => Body::copied(bytes),
            BodyArg::Owned(bytes) => Body::owned(bytes),
            BodyArg::Kept(body) => body,
        }
    }
}

impl PartialEq for BodyArg<'_> {
    fn eq(&self, other: &BodyArg<'_>) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for BodyArg<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_the_same_on_both_sides_of_the_sharing_limit() {
        for len in [0, 1, Body::SHARED_FROM - 1, Body::SHARED_FROM, Body::SHARED_FROM + 1] {
            let bytes = vec![7u8; len];
            let borrowed = BodyArg::Borrowed(&bytes).into_body();
            let owned = BodyArg::Owned(bytes.clone()).into_body();
            let kept = BodyArg::Kept(owned.clone()).into_body();
            assert_eq!(borrowed.bytes(), &bytes[..]);
            assert_eq!(owned.bytes(), &bytes[..]);
            assert_eq!(kept.bytes(), &bytes[..]);
            assert_eq!(matches!(owned, Body::Shared(_)), len >= Body::SHARED_FROM);
        }
    }
}
