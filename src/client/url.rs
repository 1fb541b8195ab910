//! Server URLs: `disque://[user:password@]host[:port]`; `redis://` means the same.

use std::fmt;

use super::connection::{Address, DEFAULT_PORT};
use super::session::Credentials;

/// What a URL says about where to connect and as whom.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerUrl {
    pub(crate) address: Address,
    pub(crate) credentials: Option<Credentials>,
}

/// Why a URL was refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum UrlError {
    Scheme(String),
    NoHost,
    Port(String),
    /// There are no numbered databases, hence no path.
    Path(String),
    /// A user without password, or a password without the colon before it: one cannot tell.
    NoColon,
    Escape(String),
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UrlError::Scheme(scheme) => {
                write!(f, "a server URL begins with disque:// or redis://, not \"{scheme}\"")
            }
            UrlError::NoHost => f.write_str("the URL names no host"),
            UrlError::Port(port) => write!(f, "\"{port}\" is not a port, which is a number from 1 to 65535"),
            UrlError::Path(path) => {
                write!(f, "the URL must end after the host and port, not with \"{path}\"")
            }
            UrlError::NoColon => f.write_str("what stands before the @ must be user:password or :password"),
            UrlError::Escape(part) => write!(f, "\"{part}\" has a % without two hexadecimal digits after it"),
        }
    }
}

impl std::error::Error for UrlError {}

impl std::str::FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| UrlError::Scheme(url.to_string()))?;
        if !["disque", "redis"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(UrlError::Scheme(scheme.to_string()));
        }
        let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |end| rest.split_at(end));
        if !matches!(path, "" | "/") {
            return Err(UrlError::Path(path.to_string()));
        }
        // The last @: passwords copied without escaping often contain one.
        let (credentials, host_port) = match authority.rsplit_once('@') {
            Some((user_info, host_port)) => (Some(parse_credentials(user_info)?), host_port),
            None => (None, authority),
        };
        let (host, port) = parse_host_port(host_port)?;
        Ok(ServerUrl { address: Address::Tcp { host, port }, credentials })
    }
}

fn parse_credentials(user_info: &str) -> Result<Credentials, UrlError> {
    let (user, password) = user_info.split_once(':').ok_or(UrlError::NoColon)?;
    let user = percent_decoded(user)?;
    let user = if user.is_empty() { None } else { Some(user) };
    Ok(Credentials { user, password: percent_decoded(password)? })
}

fn parse_host_port(host_port: &str) -> Result<(String, u16), UrlError> {
    let (host, port) = match host_port.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(UrlError::NoHost)?;
            (host, after.strip_prefix(':').unwrap_or(after))
        }
        None => host_port.rsplit_once(':').unwrap_or((host_port, "")),
    };
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    let port = match port {
        "" => DEFAULT_PORT,
        digits => match digits.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(UrlError::Port(digits.to_string())),
        },
    };
    Ok((host.to_string(), port))
}

fn percent_decoded(part: &str) -> Result<Vec<u8>, UrlError> {
    let mut decoded = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    loop {
        rest = match rest {
            [] => return Ok(decoded),
            [b'%', after @ ..] => {
                let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                let byte = digits
                    .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                    .ok_or_else(|| UrlError::Escape(part.to_string()))?;
                decoded.push(byte);
                &after[2..]
            }
            [byte, after @ ..] => {
                decoded.push(*byte);
                after
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.to_string(), port }
    }

    fn parsed(url: &str) -> ServerUrl {
        url.parse().expect(url)
    }

    #[test]
    fn host_alone_uses_the_default_port() {
        for url in ["disque://queue.example", "redis://queue.example/", "DISQUE://queue.example:"] {
            assert_eq!(parsed(url), ServerUrl { address: tcp("queue.example", 7711), credentials: None });
        }
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        let url = parsed("disque://ann%40x:p%3a%ff:y@h:1");
        let credentials = Credentials { user: Some(b"ann@x".to_vec()), password: b"p:\xff:y".to_vec() };
        assert_eq!(url, ServerUrl { address: tcp("h", 1), credentials: Some(credentials) });
    }

    #[test]
    fn password_needs_no_user() {
        let credentials = Credentials { user: None, password: b"a@b".to_vec() };
        assert_eq!(parsed("redis://:a@b@h").credentials, Some(credentials));
    }

    #[test]
    fn ipv6_addresses_stand_in_brackets() {
        assert_eq!(parsed("disque://[::1]").address, tcp("::1", 7711));
        assert_eq!(parsed("disque://[fe80::2]:65535").address, tcp("fe80::2", 65535));
    }

    #[test]
    fn faults_are_named() {
        let fault = |url: &str| url.parse::<ServerUrl>().expect_err(url);
        assert_eq!(fault("http://h"), UrlError::Scheme("http".into()));
        assert_eq!(fault("h:7711"), UrlError::Scheme("h:7711".into()));
        assert_eq!(fault("disque://"), UrlError::NoHost);
        assert_eq!(fault("disque://:7711"), UrlError::NoHost);
        assert_eq!(fault("disque://h:0"), UrlError::Port("0".into()));
        assert_eq!(fault("disque://h:65536"), UrlError::Port("65536".into()));
        assert_eq!(fault("redis://h/0"), UrlError::Path("/0".into()));
        assert_eq!(fault("disque://secret@h"), UrlError::NoColon);
        assert_eq!(fault("disque://u:%2@h"), UrlError::Escape("%2".into()));
        assert_eq!(fault("disque://u:%+1@h"), UrlError::Escape("%+1".into()));
    }
}
