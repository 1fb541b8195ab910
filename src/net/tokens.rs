//! What the tokens of the event loop stand for.

use mio::Token;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A client, by its slot.
    Client(u32),
    /// A link to another node, by its slot.
    Link(u32),
    /// Where clients come in.
    Listener(usize),
    /// Where other nodes come in.
    BusListener(usize),
    /// A signal.
    Signal(usize),
    /// Another thread has something to tell.
    Waker,
}

/// Clients are tokens 0 and up, links come above them; the few others count down from the top.
const FIRST_LINK: usize = 1 << 25;
const WAKER: usize = usize::MAX - 1;
const FIRST_SIGNAL: usize = usize::MAX - 16;
const FIRST_BUS_LISTENER: usize = FIRST_SIGNAL - 32;
const FIRST_LISTENER: usize = FIRST_BUS_LISTENER - 32;

pub(super) fn client(slot: u32) -> Token {
    assert!((slot as usize) < FIRST_LINK);
    Token(slot as usize)
}

pub(super) fn link(slot: u32) -> Token {
    Token(FIRST_LINK + slot as usize)
}

pub(super) fn listener(offset: usize) -> Token {
    Token(FIRST_LISTENER + offset)
}

pub(super) fn bus_listener(offset: usize) -> Token {
    Token(FIRST_BUS_LISTENER + offset)
}

pub(super) fn signal(offset: usize) -> Token {
    Token(FIRST_SIGNAL + offset)
}

pub(super) fn waker() -> Token {
    Token(WAKER)
}

/// What a token stands for.
#[inline]
pub(super) fn source(Token(token): Token) -> Source {
    match token {
        0..FIRST_LINK => Source::Client(token as u32),
        FIRST_LINK..FIRST_LISTENER => Source::Link((token - FIRST_LINK) as u32),
        FIRST_LISTENER..FIRST_BUS_LISTENER => Source::Listener(token - FIRST_LISTENER),
        FIRST_BUS_LISTENER..FIRST_SIGNAL => Source::BusListener(token - FIRST_BUS_LISTENER),
        FIRST_SIGNAL..WAKER => Source::Signal(token - FIRST_SIGNAL),
        _ => Source::Waker,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_read_as_what_it_was_made_of() {
        for slot in [0, 1, 1000, (1 << 24) - 1] {
            assert_eq!(source(client(slot)), Source::Client(slot));
            assert_eq!(source(link(slot)), Source::Link(slot));
        }
        for offset in [0, 17, 31] {
            assert_eq!(source(listener(offset)), Source::Listener(offset));
            assert_eq!(source(bus_listener(offset)), Source::BusListener(offset));
        }
        assert_eq!([signal(0), signal(14)].map(source), [Source::Signal(0), Source::Signal(14)]);
        assert_eq!(source(waker()), Source::Waker);
    }
}
