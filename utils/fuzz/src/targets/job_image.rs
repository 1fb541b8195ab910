//! Bytes as the image of a job, in a message or in a file: refused with a reason, or an image that its own bytes give
//! back.

use disque::types::{Form, JobImage, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_795_315_000_123);

pub(super) fn run(data: &[u8]) {
    for form in [Form::Storage, Form::Message { now: NOW }] {
        let (image, rest) = match JobImage::decode(data, form) {
            Ok(decoded) => decoded,
            Err(error) => return assert!(!error.to_string().is_empty()),
        };
        let mut bytes = Vec::new();
        image.encode(form, &mut bytes);
        assert_eq!(bytes.len(), image.encoded_len());
        assert_eq!(bytes.len() + rest.len(), data.len());
        let (again, behind) = JobImage::decode(&bytes, form).expect("what is written can be read");
        assert!(behind.is_empty());
        let mut same = Vec::new();
        again.encode(form, &mut same);
        assert_eq!(same, bytes, "once cut to what the form can tell, nothing changes any more");
        if form == Form::Storage {
            assert_eq!(again, image, "a file loses nothing");
        }
    }
}

pub(super) fn words() -> Vec<Vec<u8>> {
    let words: [&[u8]; 6] = [
        b"\x54\0\0\0D-5ca1ab1e-PPPPPPPPPPPPPPPPPPPPPPPP-05a1",
        b"9be310b6f70a7b5c1430f7f83f94145a407ecdc6",
        b"\xff\xff\xff\xff",
        b"\x67\x66\x66\x06",
        b"\x01\0\0\0",
        b"\0\0\0\0",
    ];
    words.iter().map(|word| word.to_vec()).collect()
}
