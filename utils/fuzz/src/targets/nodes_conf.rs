//! Bytes as `nodes.conf`: refused with a reason, or a table that its own text gives back.

use disque::bus::NodesConf;

pub(super) fn run(data: &[u8]) {
    let conf = match NodesConf::parse(data) {
        Ok(conf) => conf,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let me = conf.myself().expect("a table that was taken has this node");
    let text = conf.to_string();
    let again = NodesConf::parse(text.as_bytes()).expect("what is printed can be read");
    assert_eq!(again, conf);
    assert_eq!(again.myself(), Some(me));
    assert_eq!(again.to_string(), text);
    assert_eq!(text.lines().count(), conf.nodes.len());
    for line in text.lines() {
        assert_eq!(line.split(' ').count(), 6, "{line}");
    }
}

pub(super) fn words() -> Vec<Vec<u8>> {
    const WORDS: [&str; 22] = [
        "9be310b6f70a7b5c1430f7f83f94145a407ecdc6",
        " ",
        "\n",
        "\t",
        ",",
        ":",
        "127.0.0.1:7711",
        "::1",
        "::ffff:1.2.3.4",
        "fe80::1%1",
        ":0",
        "myself",
        "fail?",
        "fail",
        "handshake",
        "noaddr",
        "leaving",
        "noflags",
        "connected",
        "disconnected",
        "vars currentEpoch 0",
        "18446744073709551615",
    ];
    WORDS.iter().map(|word| word.as_bytes().to_vec()).collect()
}
