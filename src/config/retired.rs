//! Directives that are no parameters: those that act where they stand, and those that old files may still
//! hold.

use super::value::{Value, ValueError};

/// How to write `include`.
pub(super) const INCLUDE_USAGE: &str = "include PATH";

/// How to write `rename-command`.
pub(super) const RENAME_USAGE: &str = "rename-command OLD NEW, with \"\" for NEW to remove OLD";

/// Directives that act where they stand.
pub(super) const DIRECTIVES: &[&str] = &["include", "rename-command"];

/// A directive of Disque 1.0-rc1 that has no meaning here. Accepted, so that its files load.
pub(super) struct Retired {
    /// Its name.
    pub(super) name: &'static str,
    /// Why it has no effect.
    reason: &'static str,
    /// Set if `yes` asks for something that would be missed; then how to get it.
    remedy_for_yes: Option<&'static str>,
}

const RETIRED: &[Retired] = &[
    Retired { name: "databases", reason: "there are no databases", remedy_for_yes: None },
    Retired { name: "maxmemory-samples", reason: "Disque never used it", remedy_for_yes: None },
    Retired { name: "activerehashing", reason: "Disque never used it", remedy_for_yes: None },
    Retired { name: "syslog-enabled", reason: NO_SYSLOG, remedy_for_yes: Some(SYSLOG_REMEDY) },
    Retired { name: "syslog-ident", reason: NO_SYSLOG, remedy_for_yes: None },
    Retired { name: "syslog-facility", reason: NO_SYSLOG, remedy_for_yes: None },
];

const NO_SYSLOG: &str = "this server does not write to syslog";

const SYSLOG_REMEDY: &str = "this server does not write to syslog; set syslog-enabled no and let journald, \
     or your container's logs, collect the standard output, or set logfile";

impl Retired {
    /// Takes the value; `Some` tells why it has no effect, unless it asks for none.
    pub(super) fn accept(&self, values: &[&[u8]]) -> Result<Option<&'static str>, ValueError> {
        let [value] = values else { return Err(ValueError::Expected("one word")) };
        match self.remedy_for_yes {
            None => Ok(Some(self.reason)),
            Some(remedy) if bool::parse(&[value])? => Err(ValueError::Unavailable(remedy)),
            Some(_) => Ok(None),
        }
    }
}

/// The retired directive called `name`, in any case.
pub(super) fn named(name: &[u8]) -> Option<&'static Retired> {
    RETIRED.iter().find(|retired| retired.name.as_bytes().eq_ignore_ascii_case(name))
}
