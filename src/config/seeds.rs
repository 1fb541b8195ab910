//! The types of the parameters by which nodes find each other: seeds and the announced address.

use std::net::{IpAddr, Ipv6Addr};

use super::value::{Value, ValueError, one};

/// A node to join: where its clients connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seed {
    /// An address, or a name to look up.
    pub host: String,
    /// The port for clients.
    pub port: u16,
}

/// The nodes to join, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seeds(Vec<Seed>);

/// Most seeds: enough to name every node of the largest cluster.
const MAX_SEEDS: usize = 64;
/// Longest name that name services know.
const MAX_NAME_LEN: usize = 253;

impl Seeds {
    /// The seeds.
    pub fn seeds(&self) -> &[Seed] {
        &self.0
    }
}

impl Seed {
    fn parse(word: &[u8]) -> Option<Seed> {
        let (host, port) = std::str::from_utf8(word).ok()?.rsplit_once(':')?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().ok().map(|_| address)?,
            None => Some(host).filter(|host| is_name(host))?,
        };
        Some(Seed { host: host.to_owned(), port })
    }

    fn text(&self) -> String {
        let Seed { host, port } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// Whether it can be the name of a machine, or an IPv4 address; underscores are used inside of some networks.
fn is_name(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=MAX_NAME_LEN).contains(&host.len()) && host.bytes().all(allowed)
}

impl Value for Seeds {
    const MANY_WORDS: bool = true;

    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        const EXPECTED: ValueError = ValueError::Expected(
            "up to 64 nodes as HOST:PORT, such as disque-0.example.com:7711 or [::1]:7711",
        );
        if matches!(words, [b""]) {
            return Ok(Seeds::default());
        }
        if words.is_empty() || words.len() > MAX_SEEDS {
            return Err(EXPECTED);
        }
        words.iter().map(|word| Seed::parse(word)).collect::<Option<Vec<Seed>>>().map(Seeds).ok_or(EXPECTED)
    }

    fn show(&self) -> Vec<u8> {
        let seeds: Vec<String> = self.0.iter().map(Seed::text).collect();
        seeds.join(" ").into_bytes()
    }

    fn write(&self) -> Option<Vec<u8>> {
        if self.0.is_empty() { None } else { Some(self.show()) }
    }
}

/// The address that a node tells the others to reach it at; `None` leaves it to them to see where its connections
/// come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnnouncedIp(pub Option<IpAddr>);

impl Value for AnnouncedIp {
    fn parse(words: &[&[u8]]) -> Result<Self, ValueError> {
        const EXPECTED: &str = "one IP address that others can reach, such as 203.0.113.7 (no host name)";
        let word = one(words, EXPECTED)?;
        if word.is_empty() {
            return Ok(AnnouncedIp(None));
        }
        let ip: Option<IpAddr> = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
        let ip = ip.map(|ip| ip.to_canonical()).filter(|ip| !ip.is_unspecified() && !ip.is_multicast());
        ip.map(|ip| AnnouncedIp(Some(ip))).ok_or(ValueError::Expected(EXPECTED))
    }

    fn show(&self) -> Vec<u8> {
        self.0.map_or(Vec::new(), |ip| ip.to_string().into_bytes())
    }

    fn write(&self) -> Option<Vec<u8>> {
        self.0.map(|ip| ip.to_string().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(line: &str) -> Result<Seeds, ValueError> {
        Seeds::parse(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn seeds_are_names_and_addresses_with_ports() {
        for line in ["a:1", "disque-0.disque:7711 10.0.0.1:65535", "[::1]:7711 x_y.z:80", ""] {
            let read = seeds(line).unwrap();
            assert_eq!(read.show(), line.as_bytes());
            assert_eq!(read.write().is_none(), line.is_empty());
        }
        assert_eq!(seeds("[2001:DB8::5]:7").unwrap().seeds()[0].host, "2001:DB8::5");
        for line in [
            "a", "a:", ":7711", "a:0", "a:65536", "a:+1", "::1:7711", "[::1]", "[a]:1", "a b:1", "ä:1",
            "a/b:1",
        ] {
            assert!(seeds(line).is_err(), "{line}");
        }
        assert!(seeds(&["a:1"; 64].join(" ")).is_ok() && seeds(&["a:1"; 65].join(" ")).is_err());
        assert!(seeds(&format!("{}:1", "n".repeat(253))).is_ok());
        assert!(seeds(&format!("{}:1", "n".repeat(254))).is_err());
    }

    #[test]
    fn the_announced_address_is_one_that_others_can_reach() {
        let parse = |word: &str| AnnouncedIp::parse(&[word.as_bytes()]);
        assert_eq!(parse(""), Ok(AnnouncedIp(None)));
        for word in ["203.0.113.7", "2001:db8::7"] {
            let ip = parse(word).unwrap();
            assert_eq!((ip.show(), ip.write()), (word.into(), Some(word.into())));
        }
        assert_eq!(parse("::ffff:10.0.0.1"), parse("10.0.0.1"));
        for word in ["0.0.0.0", "::", "224.0.0.1", "localhost", "10.0.0.1 "] {
            assert!(parse(word).is_err(), "{word}");
        }
    }
}
