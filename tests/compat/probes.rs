//! Frames that were sent to a server to see what it does. Ours must react alike, except where the server's
//! reaction is a defect.

use disque::bus::BusError;
use disque::types::ImageError;

use crate::frames::{NOW, receive};
use crate::show;
use crate::vectors::{Legend, frame};
use crate::wire::rc1_frame;

/// What becomes of a probe.
enum Reaction {
    /// The link is closed.
    Closes(BusError),
    /// The frame is dropped, the link stays.
    Drops(BusError),
    /// It is a message that says this, and would be sent with the same bytes.
    Takes(&'static str),
    /// It is a message that says this; bytes that nobody reads are not kept.
    TakesPart(&'static str),
}

use Reaction::{Closes, Drops, Takes, TakesPart};

fn wrong_length(message_type: u16, len: usize) -> Reaction {
    Drops(BusError::Length { message_type, len })
}

fn check(name: &str, reaction: &Reaction) {
    let bytes = frame(name);
    let legend = Legend::of("node P 5ca1ab1e00000000000000000000000000c0ffee");
    receive(&bytes, |outcome| match (outcome, reaction) {
        (Err(error), Closes(expected)) => {
            assert_eq!(error, *expected, "{name}");
            assert!(error.closes_link(), "{name}: {error}");
        }
        (Err(error), Drops(expected)) => {
            assert_eq!(error, *expected, "{name}");
            assert!(!error.closes_link(), "{name}: {error}");
        }
        (Ok((header, message)), Takes(expected) | TakesPart(expected)) => {
            assert_eq!(show::frame(name, bytes.len(), &header, &message, NOW, &legend), *expected);
            assert_eq!(header.features, None, "{name}");
            assert_eq!(
                rc1_frame(&header, &message, NOW) == bytes,
                matches!(reaction, Takes(_)),
                "{name}: bytes kept"
            );
        }
        (outcome, _) => panic!("{name}: {outcome:?}"),
    });
}

#[test]
fn frames_that_rc1_refuses_are_refused_and_the_link_shares_its_fate() {
    for (name, reaction) in [
        // Type 16 is a batch only behind our marker.
        ("probe-01", Drops(BusError::UnknownType(16))),
        ("probe-02", Drops(BusError::UnknownType(65535))),
        ("probe-03", wrong_length(0, 152)),
        ("probe-04", wrong_length(0, 144)),
        ("probe-06", Drops(BusError::Version(0))),
        ("probe-07", Drops(BusError::Version(2))),
        ("probe-08", Closes(BusError::Signature)),
        ("probe-09", Closes(BusError::FrameTooShort { len: 143 })),
        ("probe-11", wrong_length(8, 190)),
        ("probe-14", Drops(BusError::JobCount(2))),
        ("probe-15", Drops(BusError::Image(ImageError::Lengths))),
    ] {
        check(name, &reaction);
    }
}

#[test]
fn frames_that_rc1_takes_are_taken() {
    for (name, reaction) in [
        ("probe-05", TakesPart("probe-05 PING totlen=144 sender=P port=7829 leaving=no")),
        (
            "probe-12",
            TakesPart(
                "probe-12 SETACK totlen=188 sender=P port=7829 leaving=no \
                 job=D-5ca1ab1e-PPPPPPPPPPPPPPPPPPPPPPPP-05a1 nodes_known=0",
            ),
        ),
        (
            "probe-13",
            TakesPart(
                "probe-13 REPLJOB totlen=325 sender=P port=7829 leaving=no no_reply=no jobs=1\n  \
                 job D-5ca1ab1e-QQQQQQQQQQQQQQQQQQQQQQQQ-05a1 len=164 state=1 flags=248 repl=2 etime=3600 \
                 ctime=1795315436930000000 delay=0 retry=300 nacks=0 deliv=0 queue=\"pq\" body=\"bb\" \
                 nodes=Pb9e751e4ab9dd37ac3ae1b87582e1ce39dfd73c0",
            ),
        ),
        (
            "probe-16",
            Takes(
                "probe-16 REPLJOB totlen=360 sender=P port=7829 leaving=no no_reply=no jobs=1\n  \
                 job D-5ca1ab1e-UUUUUUUUUUUUUUUUUUUUUUUU-05a1 len=204 state=1 flags=0 repl=2 etime=3600 \
                 ctime=1795315438180000000 delay=0 retry=300 nacks=0 deliv=0 queue=\"pq\" body=\"bb\" \
                 nodes=11111111111111111111111111111111111111112222222222222222222222222222222222222222P",
            ),
        ),
        (
            "probe-17",
            Takes(
                "probe-17 ENQUEUE totlen=188 sender=P port=7829 leaving=no \
                 job=D-5ca1ab1e-QQQQQQQQQQQQQQQQQQQQQQQQ-05a1 delay=0",
            ),
        ),
        (
            "probe-18",
            Takes("probe-18 NEEDJOBS totlen=154 sender=P port=7829 leaving=no queue=\"pq\" count=5"),
        ),
        (
            "probe-19",
            TakesPart(
                "probe-19 YOURJOBS totlen=287 sender=P port=7829 leaving=no jobs=1\n  \
                 job D-5ca1ab1e-VVVVVVVVVVVVVVVVVVVVVVVV-05a1 len=124 state=1 flags=0 repl=2 etime=3600 \
                 ctime=1795315439447000000 delay=0 retry=300 nacks=0 deliv=0 queue=\"pv\" body=\"bb\" nodes=P",
            ),
        ),
    ] {
        check(name, &reaction);
    }
}

/// The codec knows no members: that a REPLJOB of a stranger has no effect, and that his PING is answered, is
/// decided with the message in hand.
#[test]
fn frames_of_strangers_are_read() {
    check(
        "probe-20",
        &Takes(
            "probe-20 REPLJOB totlen=280 sender=eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee port=7828 leaving=no \
             no_reply=no jobs=1\n  \
             job D-5ca1ab1e-WWWWWWWWWWWWWWWWWWWWWWWW-05a1 len=124 state=1 flags=0 repl=2 etime=3600 \
             ctime=1795315439869000000 delay=0 retry=300 nacks=0 deliv=0 queue=\"pq\" body=\"bb\" nodes=P",
        ),
    );
    check(
        "probe-21",
        &Takes(
            "probe-21 PING totlen=144 sender=eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee port=7828 leaving=no",
        ),
    );
}

/// Bits without a name are not relayed: gossiped alone they make an RC1 node abort (probe-23 did).
#[test]
fn gossip_flags_without_a_name_are_taken_off() {
    check(
        "probe-22",
        &TakesPart(
            "probe-22 PING totlen=248 sender=P port=7829 leaving=no\n  \
             gossip aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ping_sent=1 pong_received=2 ip=127.0.0.1 port=7826 \
             flags=128",
        ),
    );
    check(
        "probe-23",
        &TakesPart(
            "probe-23 PING totlen=248 sender=P port=7829 leaving=no\n  \
             gossip aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ping_sent=1 pong_received=2 ip=127.0.0.1 port=7826 \
             flags=0",
        ),
    );
}

/// RC1 looks at the signature only of frames that are not eight bytes long (defect 8 of cluster-bus.md).
#[test]
fn eight_bytes_do_not_slip_past_the_signature() {
    check("probe-10", &Closes(BusError::Signature));
}
