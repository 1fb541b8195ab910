//! Who may ask: the password, and the defences against what other pages make a browser send.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::request::Request;
use super::response::Response;
use crate::net::shell::is_same_secret;

/// The header field without which nothing is changed. Pages from elsewhere cannot send it without being asked first, and
/// nobody here says yes.
const ACTION_FIELD: &str = "x-disque-action";

/// Refuses those who do not give the password, if there is one: by HTTP basic, with any user, or as a bearer token.
pub(super) fn check_password(request: &Request, password: Option<&[u8]>) -> Result<(), Response> {
    let Some(expected) = password else { return Ok(()) };
    let given = request.header("authorization").and_then(given_password);
    if given.is_some_and(|given| is_same_secret(&given, expected)) {
        return Ok(());
    }
    let refusal = Response::text(401, "this needs the server's password (requirepass)\n");
    Err(refusal.with("WWW-Authenticate", "Basic realm=\"disque\", charset=\"UTF-8\""))
}

fn given_password(field: &[u8]) -> Option<Vec<u8>> {
    let split = field.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = (&field[..split], field[split..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_vec());
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let pair = STANDARD.decode(rest).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// Without a password, pages and jobs are only given to those who name this machine by an address or as localhost: a
/// page from elsewhere can make its own name mean this machine, and would then be at home here.
pub(super) fn check_host(request: &Request, password: Option<&[u8]>) -> Result<(), Response> {
    let host = request.header("host").and_then(|host| std::str::from_utf8(host).ok()).unwrap_or_default();
    if password.is_some() || is_own_name(host) {
        return Ok(());
    }
    Err(Response::text(403, "ask for an IP address or localhost, or set a password (requirepass)\n"))
}

fn is_own_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Refuses what a page from elsewhere made the browser send.
pub(super) fn check_own_page(request: &Request) -> Result<(), Response> {
    let from_elsewhere = request.header("sec-fetch-site").is_some_and(|site| site != b"same-origin");
    let origin = request.header("origin").map(|origin| {
        let name = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
        name.unwrap_or(origin)
    });
    let foreign = origin.is_some_and(|origin| Some(origin) != request.header("host"));
    let plain = request.header("content-type") != Some(b"application/json".as_slice());
    if request.header(ACTION_FIELD).is_none() || from_elsewhere || foreign || plain {
        return Err(Response::text(403, "actions come from this server's own page\n"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::parsed;
    use super::*;

    fn asking(fields: &str) -> Request {
        parsed(&format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n"))
    }

    #[test]
    fn the_password_is_taken_as_basic_and_as_bearer() {
        let admitted = |fields: &str| check_password(&asking(fields), Some(b"se:kret")).is_ok();
        assert!(admitted("Authorization: Bearer se:kret"));
        assert!(admitted("authorization: bearer  se:kret"));
        // any:se:kret
        assert!(admitted("Authorization: Basic YW55OnNlOmtyZXQ="));
        for fields in [
            "X: y",
            "Authorization: Bearer",
            "Authorization: Bearer se:kre",
            "Authorization: Bearer se:kret2",
            // se:kret, whose user is se
            "Authorization: Basic c2U6a3JldA==",
            "Authorization: Basic !!!",
            "Authorization: Digest se:kret",
        ] {
            assert!(!admitted(fields), "{fields}");
        }
        assert!(check_password(&asking("X: y"), None).is_ok());
    }

    #[test]
    fn names_that_others_can_choose_are_refused_without_a_password() {
        let admitted = |host: &str| check_host(&asking(&format!("Host: {host}")), None).is_ok();
        for host in ["127.0.0.1:8711", "[::1]:8711", "localhost:1", "LOCALHOST", "10.1.2.3", "[::1]"] {
            assert!(admitted(host), "{host}");
        }
        for host in ["evil.example:8711", "127.0.0.1.evil.example", "localhost.evil.example", "", "[evil]"] {
            assert!(!admitted(host), "{host}");
        }
        assert!(check_host(&asking("Host: disque.example"), Some(b"x")).is_ok());
    }

    #[test]
    fn actions_come_from_the_own_page() {
        let admitted = |fields: &str| {
            check_own_page(&asking(&format!("Host: h:1\r\nContent-Type: application/json\r\n{fields}")))
                .is_ok()
        };
        assert!(admitted("X-Disque-Action: pause\r\nOrigin: http://h:1\r\nSec-Fetch-Site: same-origin"));
        assert!(admitted("X-Disque-Action: pause"), "programs need no origin");
        for fields in [
            "Origin: http://h:1",
            "X-Disque-Action: pause\r\nOrigin: http://evil.example",
            "X-Disque-Action: pause\r\nOrigin: http://h:2",
            "X-Disque-Action: pause\r\nOrigin: null",
            "X-Disque-Action: pause\r\nSec-Fetch-Site: cross-site",
            "X-Disque-Action: pause\r\nSec-Fetch-Site: same-site",
        ] {
            assert!(!admitted(fields), "{fields}");
        }
        let form = "Host: h\r\nX-Disque-Action: pause\r\nContent-Type: text/plain";
        assert!(check_own_page(&asking(form)).is_err());
    }
}
