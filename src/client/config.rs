//! Where to connect, and how long to try.

use std::time::Duration;

use super::connection::Address;
use super::error::Error;
use super::session::{Credentials, Protocol, Target};
use super::url::ServerUrl;

/// Addresses, password and time-outs of a client.
///
/// From a text: URLs or `host:port`, with commas between them, such as `disque://:secret@a,b:7712`. A password counts
/// for all nodes, since the others of a cluster become known by address only; the first one given is taken. A comma
/// in a password is written `%2C`.
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) seeds: Vec<Address>,
    credentials: Option<Credentials>,
    pub(super) connect_timeout: Duration,
    pub(super) reply_timeout: Duration,
    pub(super) rounds: u32,
    pub(super) backoff_min: Duration,
    pub(super) backoff_max: Duration,
    pub(super) refresh: Duration,
}

impl Config {
    /// The addresses of a text, with the default time-outs.
    pub fn new(addresses: &str) -> Result<Config, Error> {
        let mut seeds = Vec::new();
        let mut credentials = None;
        for part in addresses.split(',').map(str::trim) {
            let url = if part.contains("://") { part.to_string() } else { format!("disque://{part}") };
            let url: ServerUrl = url.parse().map_err(|fault: super::url::UrlError| Error::BadAddress {
                // What stands before the @ is not for logs.
                address: part.rsplit('@').next().unwrap_or_default().to_string(),
                reason: fault.to_string(),
            })?;
            credentials = credentials.or(url.credentials);
            seeds.push(url.address);
        }
        Ok(Config {
            seeds,
            credentials,
            connect_timeout: Duration::from_secs(3),
            reply_timeout: Duration::from_secs(10),
            rounds: 5,
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            refresh: Duration::from_secs(10),
        })
    }

    /// Bounds each attempt to connect, and each step of the handshake. 3 s unless said otherwise.
    #[must_use]
    pub fn connect_timeout(self, connect_timeout: Duration) -> Config {
        Config { connect_timeout, ..self }
    }

    /// Bounds the wait for a reply, beyond the time that the command itself may take (the timeouts of GETJOB and
    /// ADDJOB). 10 s unless said otherwise.
    #[must_use]
    pub fn reply_timeout(self, reply_timeout: Duration) -> Config {
        Config { reply_timeout, ..self }
    }

    /// How often all known nodes are tried before giving up, with doubling pauses of 50 ms to 2 s between. 5 unless
    /// said otherwise, at least 1.
    #[must_use]
    pub fn rounds(self, rounds: u32) -> Config {
        Config { rounds: rounds.max(1), ..self }
    }

    /// How old the knowledge about the cluster may become before the node is asked again, so that a client leaves a
    /// node that is leaving. 10 s unless said otherwise.
    #[must_use]
    pub fn refresh(self, refresh: Duration) -> Config {
        Config { refresh, ..self }
    }

    pub(super) fn target(&self, address: Address) -> Target {
        Target {
            address,
            credentials: self.credentials.clone(),
            protocol: Protocol::Resp2,
            timeout: Some(self.connect_timeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_mix_urls_and_plain_addresses() {
        let config = Config::new("disque://:se%2Ccret@a, b:2,[::1]:3").expect("well-formed");
        let seeds: Vec<_> = config.seeds.iter().map(Address::to_string).collect();
        assert_eq!(seeds, ["a:7711", "b:2", "[::1]:3"]);
        let credentials =
            config.target(config.seeds[1].clone()).credentials.expect("the first counts for all");
        assert_eq!(credentials.password, b"se,cret");
    }

    #[test]
    fn a_bad_address_is_named_without_its_password() {
        let error = Config::new("a:1,disque://u:secret@h:0").expect_err("port 0");
        assert!(
            error.to_string().starts_with("\"h:0\" is no address of a server: \"0\" is not a port"),
            "{error}"
        );
        assert!(Config::new("").is_err());
    }
}
