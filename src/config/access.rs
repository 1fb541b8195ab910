//! CONFIG GET and CONFIG SET.

use super::error::SetError;
use super::value::ValueError;
use super::{Change, Config, Parameter, glob};

/// The order of CONFIG GET's answers: that of RC1 (operations.md 3), then what RC1 could not show.
const ORDER: [Parameter; Parameter::ALL.len()] = [
    Parameter::RequirePass,
    Parameter::UnixSocket,
    Parameter::LogFile,
    Parameter::PidFile,
    Parameter::MaxMemory,
    Parameter::Timeout,
    Parameter::AutoAofRewritePercentage,
    Parameter::AutoAofRewriteMinSize,
    Parameter::SlowlogLogSlowerThan,
    Parameter::LatencyMonitorThreshold,
    Parameter::SlowlogMaxLen,
    Parameter::Port,
    Parameter::TcpBacklog,
    Parameter::MaxClients,
    Parameter::Hz,
    Parameter::ClusterNodeTimeout,
    Parameter::TcpKeepalive,
    Parameter::NoAppendFsyncOnRewrite,
    Parameter::Daemonize,
    Parameter::AofRewriteIncrementalFsync,
    Parameter::AofLoadTruncated,
    Parameter::AofEnqueueJobsOnce,
    Parameter::MaxMemoryPolicy,
    Parameter::LogLevel,
    Parameter::AppendFsync,
    Parameter::AppendOnly,
    Parameter::Dir,
    Parameter::ClientOutputBufferLimit,
    Parameter::UnixSocketPerm,
    Parameter::Bind,
    Parameter::AppendFileName,
    Parameter::ClusterConfigFile,
    Parameter::ClusterPort,
    Parameter::ClusterSeeds,
    Parameter::ClusterAnnounceIp,
    Parameter::ClusterAnnouncePort,
    Parameter::ClusterAnnounceBusPort,
    Parameter::ClusterLinkSendbufLimit,
    Parameter::LogFormat,
    Parameter::HttpPort,
    Parameter::HttpBind,
    Parameter::HttpPage,
    Parameter::HttpMetricsQueues,
];

/// What stands for the password in answers to patterns.
const PASSWORD_HIDDEN: &[u8] = b"(set; ask for requirepass by name)";

impl Config {
    /// The parameters whose name matches the glob `pattern`, in any case, with their values.
    ///
    /// The password is only told to those who ask for it by its name: monitoring asks for `*` and stores what
    /// it gets. `save`, which redis-benchmark asks for, is empty: nothing is ever saved by snapshots.
    pub fn get(&self, pattern: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
        if pattern.eq_ignore_ascii_case(b"save") {
            return vec![("save", Vec::new())];
        }
        if pattern.eq_ignore_ascii_case(Parameter::RequirePass.name().as_bytes()) {
            return vec![(Parameter::RequirePass.name(), self.show(Parameter::RequirePass))];
        }
        let matching = ORDER.iter().filter(|parameter| glob::matches(pattern, parameter.name().as_bytes()));
        matching.map(|parameter| (parameter.name(), self.show_publicly(*parameter))).collect()
    }

    fn show_publicly(&self, parameter: Parameter) -> Vec<u8> {
        match parameter {
            Parameter::RequirePass if self.requirepass.bytes().is_some() => PASSWORD_HIDDEN.to_vec(),
            parameter => self.show(parameter),
        }
    }

    /// Sets a parameter at run time and tells which, so that the caller can apply the change.
    ///
    /// On an error nothing has changed. A change that the caller cannot apply is undone by the caller: let it
    /// try with a clone and keep that only if all went well.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<Parameter, SetError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let parameter = Parameter::named(name).ok_or_else(|| SetError::Unsupported { name: text(name) })?;
        if parameter.change() == Change::AtStart {
            return Err(SetError::NeedsRestart { name: text(name) });
        }
        let words: Vec<&[u8]> = if parameter.takes_many_words() {
            value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect()
        } else {
            vec![value]
        };
        if words.is_empty() {
            return Ok(parameter); // RC1 takes an empty list as no change.
        }
        self.assign(parameter, &words).map_err(|error| match error {
            ValueError::Unavailable(remedy) => {
                SetError::Unavailable { name: text(name), value: text(value), remedy }
            }
            _ => SetError::Invalid { name: text(name), value: text(value) },
        })?;
        Ok(parameter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(config: &Config, pattern: &str) -> Vec<(&'static str, String)> {
        let text = |value| String::from_utf8(value).expect("the tests' values are UTF-8");
        config.get(pattern.as_bytes()).into_iter().map(|(name, value)| (name, text(value))).collect()
    }

    fn set(config: &mut Config, name: &str, value: &str) -> Result<Parameter, String> {
        config.set(name.as_bytes(), value.as_bytes()).map_err(|error| error.to_string())
    }

    fn owned(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    }

    #[test]
    fn a_star_lists_every_parameter_once_in_the_order_of_rc1() {
        let expected = owned(&[
            ("requirepass", ""),
            ("unixsocket", ""),
            ("logfile", ""),
            ("pidfile", ""),
            ("maxmemory", "1073741824"),
            ("timeout", "0"),
            ("auto-aof-rewrite-percentage", "100"),
            ("auto-aof-rewrite-min-size", "67108864"),
            ("slowlog-log-slower-than", "10000"),
            ("latency-monitor-threshold", "0"),
            ("slowlog-max-len", "128"),
            ("port", "7711"),
            ("tcp-backlog", "511"),
            ("maxclients", "10000"),
            ("hz", "10"),
            ("cluster-node-timeout", "15000"),
            ("tcp-keepalive", "0"),
            ("no-appendfsync-on-rewrite", "no"),
            ("daemonize", "no"),
            ("aof-rewrite-incremental-fsync", "yes"),
            ("aof-load-truncated", "yes"),
            ("aof-enqueue-jobs-once", "no"),
            ("maxmemory-policy", "acks"),
            ("loglevel", "notice"),
            ("appendfsync", "everysec"),
            ("appendonly", "no"),
            ("dir", "."),
            ("client-output-buffer-limit", "normal 0 0 0"),
            ("unixsocketperm", "0"),
            ("bind", ""),
            ("appendfilename", "disque.aof"),
            ("cluster-config-file", "nodes.conf"),
            ("cluster-port", "0"),
            ("cluster-seeds", ""),
            ("cluster-announce-ip", ""),
            ("cluster-announce-port", "0"),
            ("cluster-announce-bus-port", "0"),
            ("cluster-link-sendbuf-limit", "268435456"),
            ("log-format", "plain"),
            ("http-port", "0"),
            ("http-bind", "127.0.0.1"),
            ("http-page", "no"),
            ("http-metrics-queues", "1000"),
        ]);
        assert_eq!(get(&Config::default(), "*"), expected);
        for parameter in Parameter::ALL {
            assert_eq!(ORDER.iter().filter(|listed| *listed == parameter).count(), 1, "{parameter:?}");
        }
    }

    #[test]
    fn patterns_ignore_case_and_retired_names_are_unknown() {
        let config = Config::default();
        assert_eq!(get(&config, "MAXMEMORY-*"), owned(&[("maxmemory-policy", "acks")]));
        assert_eq!(get(&config, "save"), owned(&[("save", "")]));
        assert_eq!(get(&config, "databases"), []);
        assert_eq!(get(&config, "s*").len(), 2);
    }

    #[test]
    fn the_password_is_told_to_those_who_name_it() {
        let mut config = Config::default();
        assert_eq!(set(&mut config, "requirepass", "sekret"), Ok(Parameter::RequirePass));
        assert_eq!(get(&config, "RequirePass"), owned(&[("requirepass", "sekret")]));
        assert_eq!(get(&config, "require*")[0].1.as_bytes(), PASSWORD_HIDDEN);
        assert_eq!(set(&mut config, "requirepass", ""), Ok(Parameter::RequirePass));
        assert_eq!(get(&config, "require*"), owned(&[("requirepass", "")]));
        assert!(set(&mut config, "requirepass", &"x".repeat(513)).is_err());
    }

    #[test]
    fn every_parameter_that_may_change_can_be_set_to_what_it_shows() {
        let mut config = Config::default();
        for parameter in Parameter::ALL {
            let value = config.show(*parameter);
            let set = config.set(parameter.name().to_uppercase().as_bytes(), &value);
            match parameter.change() {
                Change::AtRunTime => assert_eq!(set, Ok(*parameter)),
                Change::AtStart => assert!(matches!(set, Err(SetError::NeedsRestart { .. }))),
            }
        }
        assert_eq!(config, Config::default());
    }

    #[test]
    fn set_is_as_lenient_as_files_are() {
        let mut config = Config::default();
        for (name, value, shown) in [
            ("auto-aof-rewrite-min-size", "32mb", "33554432"),
            ("maxmemory", "2GB", "2147483648"),
            ("maxmemory", "0", "0"),
            ("tcp-keepalive", "yes", "300"),
            ("tcp-keepalive", "60", "60"),
            ("slowlog-log-slower-than", "-1", "-1"),
            ("hz", "1000", "500"),
            ("client-output-buffer-limit", "normal 1kb 2kb 3", "normal 1024 2048 3"),
            ("client-output-buffer-limit", "", "normal 1024 2048 3"),
            ("Cluster-Node-Timeout", "3000", "3000"),
            ("no-appendfsync-on-rewrite", "yes", "yes"),
        ] {
            let parameter = set(&mut config, name, value).unwrap();
            assert_eq!(config.show(parameter), shown.as_bytes(), "{name} {value}");
        }
    }

    #[test]
    fn refusals_have_the_published_texts_and_change_nothing() {
        let mut config = Config::default();
        for (name, value, text) in [
            ("save", "", "Unsupported CONFIG parameter: save"),
            ("watchdog-period", "100", "Unsupported CONFIG parameter: watchdog-period"),
            ("MaxClients", "0", "Invalid argument '0' for CONFIG SET 'MaxClients'"),
            ("maxmemory", "5tb", "Invalid argument '5tb' for CONFIG SET 'maxmemory'"),
            ("cluster-node-timeout", "0", "Invalid argument '0' for CONFIG SET 'cluster-node-timeout'"),
            ("timeout", "1\0", "Invalid argument '1\0' for CONFIG SET 'timeout'"),
            (
                "port",
                "7712",
                "Unsupported CONFIG parameter: port (it cannot change at run time: \
                 change it in the config file or on the command line and restart)",
            ),
        ] {
            assert_eq!(set(&mut config, name, value), Err(text.to_owned()));
        }
        assert_eq!(config, Config::default());
    }
}
