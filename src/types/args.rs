//! The arguments of one request, still where they were read.

use super::BodyArg;

/// Where one argument lies: in the request's buffer, or in a block of its own because it is large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// `len` bytes of the request's buffer from `start` on.
    Buffer {
        /// Offset of the first byte.
        start: u32,
        /// Number of bytes.
        len: u32,
    },
    /// The large argument with this number.
    Large(u32),
}

/// The arguments of one request, command name first.
///
/// Cheap to pass around; the bytes stay in the connection's buffer until a job is made of them.
#[derive(Debug)]
pub struct Args<'a> {
    spans: &'a [Span],
    buffer: &'a [u8],
    large: &'a mut [Vec<u8>],
}

impl<'a> Args<'a> {
    /// Arguments at `spans`, over a buffer and the large arguments that were read into own blocks.
    ///
    /// The spans must lie inside the buffer and the list of large arguments.
    pub fn new(spans: &'a [Span], buffer: &'a [u8], large: &'a mut [Vec<u8>]) -> Args<'a> {
        Args { spans, buffer, large }
    }

    /// Number of arguments, the command name included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is not even a command name.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The argument at `index`; the index must be below [`Args::len`].
    pub fn at(&self, index: usize) -> &[u8] {
        bytes_at(self.spans[index], self.buffer, self.large)
    }

    /// The argument at `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.spans.get(index).map(|span| bytes_at(*span, self.buffer, self.large))
    }

    /// All arguments, command name first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.spans.iter().map(|span| bytes_at(*span, self.buffer, self.large))
    }

    /// The arguments from `first` on as a list that a request can keep.
    pub fn list_from(self, first: usize) -> ArgList<'a> {
        ArgList { spans: self.spans.get(first..).unwrap_or_default(), buffer: self.buffer, large: self.large }
    }

    /// Splits into the queue name at `name` and the body at `body`; a large body is moved out, not copied.
    /// The two indices must differ and be below [`Args::len`].
    pub fn into_name_and_body(self, name: usize, body: usize) -> (&'a [u8], BodyArg<'a>) {
        let body = match self.spans[body] {
            Span::Buffer { start, len } => BodyArg::Borrowed(slice(self.buffer, start, len)),
            Span::Large(index) => BodyArg::Owned(std::mem::take(&mut self.large[index as usize])),
        };
        (bytes_at(self.spans[name], self.buffer, self.large), body)
    }

    /// The single argument at `index` for as long as the request lives.
    pub fn into_arg(self, index: usize) -> &'a [u8] {
        bytes_at(self.spans[index], self.buffer, self.large)
    }

    /// A copy of all arguments, for requests that are run later (MULTI) or shown later (SLOWLOG).
    pub fn to_vecs(&self) -> Vec<Vec<u8>> {
        self.iter().map(<[u8]>::to_vec).collect()
    }
}

/// A list of arguments of one request: queue names or job IDs.
#[derive(Clone, Copy, Debug)]
pub struct ArgList<'a> {
    spans: &'a [Span],
    buffer: &'a [u8],
    large: &'a [Vec<u8>],
}

impl<'a> ArgList<'a> {
    /// The first `len` entries only.
    pub fn truncated(self, len: usize) -> ArgList<'a> {
        ArgList { spans: &self.spans[..len.min(self.spans.len())], ..self }
    }

    /// Number of arguments.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The arguments in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let (buffer, large) = (self.buffer, self.large);
        self.spans.iter().map(move |span| bytes_at(*span, buffer, large))
    }
}

fn bytes_at<'b>(span: Span, buffer: &'b [u8], large: &'b [Vec<u8>]) -> &'b [u8] {
    match span {
        Span::Buffer { start, len } => slice(buffer, start, len),
        Span::Large(index) => &large[index as usize],
    }
}

fn slice(buffer: &[u8], start: u32, len: u32) -> &[u8] {
    &buffer[start as usize..][..len as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_found_in_the_buffer_and_beside_it() {
        let spans = [Span::Buffer { start: 0, len: 3 }, Span::Large(0), Span::Buffer { start: 3, len: 0 }];
        let mut large = [b"large".to_vec()];
        let args = Args::new(&spans, b"abc", &mut large);
        assert_eq!(args.to_vecs(), [b"abc".to_vec(), b"large".to_vec(), Vec::new()]);
        assert_eq!((args.get(1), args.get(3)), (Some(&b"large"[..]), None));
        let (name, body) = args.into_name_and_body(0, 1);
        assert_eq!(name, b"abc");
        assert!(matches!(body, BodyArg::Owned(bytes) if bytes == b"large"));
        let list = Args::new(&spans, b"abc", &mut large).list_from(1);
        assert_eq!(list.iter().map(<[u8]>::len).collect::<Vec<_>>(), [0, 0], "the body was moved out");
        assert_eq!(list.truncated(1).len(), 1);
    }
}
