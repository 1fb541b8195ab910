//! Tests of files, command lines and rewriting, over files that exist only here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::engine::EvictionPolicy;
use crate::types::Millis;

pub(super) fn start_dir() -> Directory {
    Directory::new(Path::new("/start"))
}

/// Files by their absolute path; the empty path is the standard input.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn run(args: &[&str], files: &Files) -> Result<StartAction, ConfigError> {
    let mut read = |source: &Source| {
        let path = match source {
            Source::File(path) => path.as_path(),
            _ => Path::new(""),
        };
        files.get(path).cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    };
    load(args.iter().map(OsString::from), Path::new("/start"), &mut read)
}

fn loaded(action: StartAction) -> Loaded {
    match action {
        StartAction::Run(loaded) => *loaded,
        StartAction::Print(text) => panic!("printed {text}"),
    }
}

fn load_args(args: &[&str]) -> Result<Loaded, ConfigError> {
    run(args, &Files::new()).map(loaded)
}

fn load_bytes(text: &[u8]) -> Result<Loaded, ConfigError> {
    run(&["disque.conf"], &Files::from([("/start/disque.conf".into(), text.to_vec())])).map(loaded)
}

pub(super) fn load_text(text: &str) -> Result<Loaded, ConfigError> {
    load_bytes(text.as_bytes())
}

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect()
}

/// The last line of the error that `text` gives.
fn complaint(text: &str) -> String {
    let error = load_text(text).expect_err(text).to_string();
    error.lines().last().expect("errors have lines").to_owned()
}

mod lines {
    use super::*;

    #[test]
    fn no_arguments_give_the_defaults_and_a_warning() {
        let loaded = load_args(&[]).unwrap();
        assert_eq!(loaded.config, Config { dir: start_dir(), ..Config::default() });
        assert_eq!((loaded.file, loaded.warnings), (None, vec![Warning::NoConfigFile]));
    }

    #[test]
    fn the_engine_is_told_its_part() {
        assert_eq!(Config::default().engine(), EngineSettings::default());
        let text = "port 7712\nmaxmemory 2gb\nmaxmemory-policy noeviction\ncluster-node-timeout 3000";
        let expected = EngineSettings {
            port: 7712,
            bus_port: 17712,
            announce_ip: None,
            maxmemory: 2 << 30,
            maxmemory_policy: EvictionPolicy::NoEviction,
            node_timeout: Millis(3000),
        };
        assert_eq!(load_text(text).unwrap().config.engine(), expected);
    }

    #[test]
    fn ports_are_announced_as_they_are_unless_others_are_given() {
        let ports = |text: &str| {
            let config = load_text(text).unwrap().config;
            let engine = config.engine();
            (config.bus_port(), engine.port, engine.bus_port)
        };
        assert_eq!(ports("port 7712"), (Some(17712), 7712, 17712));
        assert_eq!(ports("port 7712\ncluster-port 9"), (Some(9), 7712, 9));
        let announced = "cluster-announce-port 80\ncluster-announce-bus-port 81";
        assert_eq!(ports(announced), (Some(17711), 80, 81));
        assert_eq!(ports("cluster-announce-port 80"), (Some(17711), 80, 17711));
        assert_eq!(ports("port 0\nunixsocket x"), (None, 0, 0));
        assert_eq!(ports("port 55535").0, Some(65535));
        let ip = load_text("cluster-announce-ip 203.0.113.7").unwrap().config.engine().announce_ip;
        assert_eq!(ip, Some("203.0.113.7".parse().unwrap()));
    }

    #[test]
    fn comments_blanks_and_case_do_not_matter_and_later_lines_win() {
        let text = "# port 1\n\n \t PORT 7712 \t\r\n  # a comment\r\nLogLevel DEBUG\nport 7713";
        let config = load_text(text).unwrap().config;
        assert_eq!((config.port, config.loglevel), (7713, LogLevel::Debug));
    }

    #[test]
    fn a_file_of_the_reference_loads() {
        // What the file that RC1 ships sets, with the values that operators must change left out.
        let text = "daemonize no\npidfile /var/run/disque.pid\nport 7711\ntcp-backlog 511\ntimeout 0\n\
            tcp-keepalive 0\nloglevel notice\nlogfile \"\"\ndir ./\nappendonly no\n\
            appendfilename \"disque.aof\"\nappendfsync everysec\nauto-aof-rewrite-percentage 100\n\
            auto-aof-rewrite-min-size 64mb\naof-load-truncated yes\naof-enqueue-jobs-once no\n\
            slowlog-log-slower-than 10000\nslowlog-max-len 128\nlatency-monitor-threshold 0\n\
            client-output-buffer-limit normal 0 0 0\nhz 10\naof-rewrite-incremental-fsync yes\n";
        let loaded = load_text(text).unwrap();
        let pidfile = Some("/var/run/disque.pid".into());
        assert_eq!(loaded.config, Config { dir: start_dir(), pidfile, ..Config::default() });
        assert_eq!(loaded.warnings, []);
    }

    #[test]
    fn every_other_directive_of_the_reference_loads() {
        let text = "bind 127.0.0.1 ::1\nunixsocket /tmp/d.sock\nunixsocketperm 700\nsyslog-enabled no\n\
            requirepass sekret\nmaxclients 5000\nmaxmemory 512mb\nmaxmemory-policy noeviction\n\
            no-appendfsync-on-rewrite yes\ncluster-config-file nodes-7711.conf\ncluster-node-timeout 5000\n\
            rename-command DEBUG \"\"";
        let loaded = load_text(text).unwrap();
        assert_eq!(loaded.warnings, []);
        assert_eq!(loaded.config.bind.addresses().len(), 2);
        assert_eq!(loaded.config.unixsocketperm, FileMode(0o700));
        assert_eq!(loaded.config.requirepass.bytes(), Some(b"sekret".as_slice()));
        assert_eq!(
            loaded.config.path_of(loaded.config.cluster_config_file.path()),
            Path::new("/start/nodes-7711.conf")
        );
        let [renamed] = loaded.renamed_commands.as_slice() else { panic!("one command is renamed") };
        assert_eq!((renamed.from.as_slice(), renamed.to.as_slice()), (b"DEBUG".as_slice(), b"".as_slice()));
        let error = renamed.error(Problem::NoSuchCommand).to_string();
        assert!(
            error.ends_with(">>> 'rename-command \"DEBUG\" \"\"'\nNo such command in rename-command"),
            "{error}"
        );
    }

    #[test]
    fn directives_without_effect_warn_once_each() {
        let text = "databases 16\nmaxmemory-samples 5\nactiverehashing yes\nDATABASES 16\nhz 100\n\
            syslog-ident disque\nsyslog-facility local0\nmaxmemory 1000000";
        let warnings: Vec<String> =
            load_text(text).unwrap().warnings.iter().map(Warning::to_string).collect();
        let starts = [
            "databases has no effect: there are no databases",
            "maxmemory-samples has no effect",
            "activerehashing has no effect",
            "syslog-ident has no effect",
            "syslog-facility has no effect",
            "maxmemory is only 1000000 bytes",
            "hz has no effect",
        ];
        assert_eq!(warnings.len(), starts.len());
        for (warning, start) in warnings.iter().zip(starts) {
            assert!(warning.starts_with(start), "{warning}");
        }
    }

    #[test]
    fn what_this_version_lacks_is_refused_with_the_remedy() {
        assert_eq!(
            complaint("appendonly yes"),
            "appendonly cannot have this value: this version keeps jobs in memory only; set appendonly no"
        );
        for (line, remedy) in [
            ("daemonize yes", "setsid disque-server"),
            ("aof-enqueue-jobs-once yes", "set aof-enqueue-jobs-once no"),
            ("syslog-enabled yes", "journald"),
        ] {
            assert!(complaint(line).contains(remedy), "{line}");
        }
    }

    #[test]
    fn complaints_say_what_would_be_right() {
        for (line, text) in [
            ("timeout abc", "timeout must be a whole number from 0 to 2147483647"),
            ("port 55536", "port must be a whole number from 0 to 55535"),
            ("cluster-node-timeout 0", "cluster-node-timeout must be a whole number from 1 to 2147483647"),
            ("loglevel loud", "loglevel must be one of debug, verbose, notice, warning"),
            ("timeout", "timeout must be a whole number from 0 to 2147483647"),
            ("port 1 2", "port must be a whole number from 0 to 55535"),
            ("logfile 'a", "Unbalanced quotes in configuration line"),
            (
                "prot 7711",
                "Bad directive or wrong number of arguments: there is no 'prot'; did you mean 'port'?",
            ),
            ("save 60 1", "Bad directive or wrong number of arguments: there is no 'save'"),
            (
                "watchdog-period 0",
                "Bad directive or wrong number of arguments: there is no 'watchdog-period'",
            ),
            ("include", "Bad directive or wrong number of arguments: write include PATH"),
            (
                "rename-command a",
                "Bad directive or wrong number of arguments: \
                 write rename-command OLD NEW, with \"\" for NEW to remove OLD",
            ),
            ("port 0", "port is 0: set unixsocket, or a port from 1 to 55535"),
        ] {
            assert_eq!(complaint(line), text);
        }
        assert_eq!(load_text("port 55535").unwrap().config.port, 55535);
        assert_eq!(load_text("port 0\nunixsocket /s").unwrap().config.port, 0);
    }

    #[test]
    fn errors_show_file_line_and_text() {
        let error = load_text("port 7712\n\n  timeout  soon\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "*** FATAL CONFIG FILE ERROR ***\n\
             Reading the configuration file, at line 3 of '/start/disque.conf'\n\
             >>> 'timeout  soon'\n\
             timeout must be a whole number from 0 to 2147483647"
        );
    }

    #[test]
    fn errors_show_no_password_and_no_endless_line() {
        for line in
            ["requirepass sekret x", "RequirePass \"sekret", "\"requirepass\" 'sekret", "requirpass sekret"]
        {
            let error = load_text(line).unwrap_err().to_string();
            assert!(!error.contains("sekret"), "{error}");
        }
        let error = load_args(&["--requirepas=sekret"]).unwrap_err().to_string();
        assert!(!error.contains("sekret"), "{error}");
        let error = load_text(&"x".repeat(100_000)).unwrap_err().to_string();
        assert!(error.len() < 1000);
    }
}

mod includes {
    use super::*;

    #[test]
    fn an_included_file_counts_where_it_is_included() {
        let files = files(&[
            ("/start/main", "port 1\ndir sub\ninclude a.conf\ntimeout 7"),
            ("/start/sub/a.conf", "port 2\ntimeout 5\nINCLUDE /b.conf"),
            ("/b.conf", "maxclients 3"),
        ]);
        let loaded = loaded(run(&["main"], &files).unwrap());
        let config = &loaded.config;
        assert_eq!((config.port, config.timeout, config.maxclients), (2, Seconds(7), 3));
        assert!(config.set_by_includes.contains(Parameter::Port));
        assert!(config.set_by_includes.contains(Parameter::Timeout), "though overridden");
        assert!(!config.set_by_includes.contains(Parameter::Dir));
        assert_eq!(loaded.file, Some("/start/main".into()));
    }

    #[test]
    fn errors_name_the_included_file_and_a_missing_one() {
        let bad = files(&[("/start/main", "include /a"), ("/a", "port 1\nport x")]);
        let error = run(&["main"], &bad).unwrap_err().to_string();
        assert!(error.contains("at line 2 of '/a'\n>>> 'port x'\n"), "{error}");
        let error = load_text("port 1\ninclude /b").unwrap_err().to_string();
        assert_eq!(
            error,
            "Fatal error, can't open config file '/b': no such file\n\
             Reading the configuration file, at line 2 of '/start/disque.conf', which includes it"
        );
        let error = load_args(&["gone"]).unwrap_err().to_string();
        assert_eq!(error, "Fatal error, can't open config file '/start/gone': no such file");
    }

    #[test]
    fn sixteen_levels_are_enough_and_a_file_that_includes_itself_is_refused() {
        let chain = |levels: usize| {
            let file = |n: usize| match n {
                n if n == levels => (format!("/{n}").into(), b"port 99".to_vec()),
                n => (format!("/{n}").into(), format!("include /{}", n + 1).into_bytes()),
            };
            (0..=levels).map(file).collect::<Files>()
        };
        assert_eq!(loaded(run(&["/0"], &chain(16)).unwrap()).config.port, 99);
        assert!(run(&["/0"], &chain(17)).is_err());
        let error = load_text("include disque.conf").unwrap_err().to_string();
        assert!(error.ends_with("does a file include itself?"), "{error}");
    }

    #[test]
    fn files_that_include_each_other_twice_end_at_the_thousandth() {
        let file = |n: usize| (PathBuf::from(format!("/{n}")), format!("include /{0}\ninclude /{0}", n + 1));
        let mut files: Files = (0..15).map(file).map(|(path, text)| (path, text.into_bytes())).collect();
        files.insert("/15".into(), Vec::new());
        let error = run(&["/0"], &files).unwrap_err().to_string();
        assert!(error.ends_with("does a file include itself?"), "{error}");
    }
}

mod command_line {
    use super::*;

    #[test]
    fn options_win_over_the_file_and_take_several_values() {
        let files = files(&[("/start/d.conf", "port 1\ntimeout 5\n")]);
        let args = ["d.conf", "--port", "7777", "--bind", "127.0.0.1", "10.0.0.1", "--loglevel", "verbose"];
        let loaded = loaded(run(&args, &files).unwrap());
        let config = &loaded.config;
        assert_eq!((config.port, config.timeout, config.loglevel), (7777, Seconds(5), LogLevel::Verbose));
        assert_eq!(config.bind.addresses().len(), 2);
        assert_eq!(loaded.warnings, []);
    }

    #[test]
    fn values_may_hold_blanks_dashes_and_equal_signs() {
        let loaded = load_args(&[
            "--requirepass",
            "a b\"c\n",
            "--slowlog-log-slower-than",
            "-1",
            "--logfile=/a b=c",
            "--port 7712",
            "--unixsocket=",
        ])
        .unwrap();
        let config = &loaded.config;
        assert_eq!(config.requirepass.bytes(), Some(b"a b\"c\n".as_slice()));
        assert_eq!(config.slowlog_log_slower_than, SlowerThan(None));
        assert_eq!(config.logfile, Some("/a b=c".into()));
        assert_eq!((config.port, config.unixsocket.as_ref(), &loaded.file), (7712, None, &None));
    }

    #[test]
    fn a_dash_reads_the_standard_input_and_names_no_file() {
        let files = files(&[("", "port 7712\nprt 1")]);
        let error = run(&["-"], &files).unwrap_err().to_string();
        assert!(error.contains("at line 2 of the standard input\n"), "{error}");
        let loaded = loaded(run(&["-", "--port", "5"], &super::files(&[("", "timeout 9")])).unwrap());
        assert_eq!((loaded.config.port, loaded.config.timeout, loaded.file), (5, Seconds(9), None));
    }

    #[test]
    fn lines_are_counted_through_file_and_options() {
        let line = |args: &[&str], files: &Files| match run(args, files).unwrap_err() {
            ConfigError::BadLine { place, .. } => (place.source, place.line),
            error => panic!("{error}"),
        };
        let no_files = Files::new();
        assert_eq!(line(&["--port", "x"], &no_files), (Source::CommandLine, 2));
        assert_eq!(line(&["--port", "1", "--port", "x"], &no_files), (Source::CommandLine, 3));
        let ended = files(&[("/start/f", "port 1\nport 2\n")]);
        assert_eq!(line(&["f", "--port", "x"], &ended), (Source::CommandLine, 4));
        let not_ended = files(&[("/start/f", "port 1\nport 2")]);
        assert_eq!(line(&["f", "stray"], &not_ended), (Source::CommandLine, 3));
    }

    #[test]
    fn version_and_help_are_printed_as_first_arguments_only() {
        for args in [["-v"], ["--version"]] {
            let Ok(StartAction::Print(text)) = run(&args, &Files::new()) else { panic!("{args:?}") };
            assert!(text.starts_with("Disque server v="), "{text}");
        }
        for args in [["-h"], ["--help"]] {
            let Ok(StartAction::Print(text)) = run(&args, &Files::new()) else { panic!("{args:?}") };
            assert!(text.starts_with("Usage: disque-server [FILE | -]"), "{text}");
        }
        assert!(load_args(&["--port", "1", "--help"]).is_err());
    }

    #[test]
    fn arguments_need_not_be_text() {
        let args = [OsString::from("--requirepass"), OsString::from_vec(vec![0xff, 0xfe])];
        let mut read = |_: &Source| Ok(Vec::new());
        let Ok(StartAction::Run(loaded)) = load(args, Path::new("/"), &mut read) else { panic!("runs") };
        assert_eq!(loaded.config.requirepass.bytes(), Some([0xff, 0xfe].as_slice()));
    }
}

mod rewriting {
    use super::*;

    /// Loads `old`, applies `changes` as CONFIG SET does, and rewrites.
    fn rewritten(old: &str, changes: &[(&str, &str)]) -> String {
        let mut config = load_text(old).unwrap().config;
        for (name, value) in changes {
            config.set(name.as_bytes(), value.as_bytes()).unwrap();
        }
        String::from_utf8(config.rewrite(old.as_bytes())).unwrap()
    }

    #[test]
    fn the_published_example_comes_out() {
        let old =
            "port 7811\ndir ./d\nlogfile log2.txt\nloglevel notice\n# a comment\n\n\n\nbind 127.0.0.1\n";
        let expected = "port 7811\ndir \"/start/d\"\nlogfile \"log2.txt\"\nloglevel notice\n# a comment\n\n\
            bind 127.0.0.1\n# Generated by CONFIG REWRITE\ncluster-node-timeout 3000\n";
        assert_eq!(rewritten(old, &[("cluster-node-timeout", "3000")]), expected);
        assert_eq!(rewritten(expected, &[]), expected);
    }

    #[test]
    fn a_missing_file_gets_dir_and_what_is_not_default() {
        let signed = "# Generated by CONFIG REWRITE\n";
        assert_eq!(rewritten("", &[]), format!("{signed}dir \"/start\"\n"));
        let config = load_args(&["--port", "7712", "--maxmemory", "2048mb"]).unwrap().config;
        let text = String::from_utf8(config.rewrite(b"")).unwrap();
        assert_eq!(text, format!("{signed}port 7712\ndir \"/start\"\nmaxmemory 2gb\n"));
    }

    #[test]
    fn the_first_mention_is_replaced_and_further_ones_go() {
        let old = "dir /x\nTIMEOUT 1\n# between\ntimeout 2\n\ntimeout 3\n# end";
        let expected = "dir \"/x\"\ntimeout 9\n# between\n\n# end\n";
        assert_eq!(rewritten(old, &[("timeout", "9")]), expected);
        let defaulted = expected.replace('9', "0");
        assert_eq!(rewritten(old, &[("timeout", "0")]), defaulted, "a mentioned default stays");
    }

    #[test]
    fn other_lines_stay_and_a_removed_password_goes() {
        let old = "dir /\nrename-command DEBUG \"\"\nrequirepass \"a b\"\n  # odd   comment\ndatabases 4\n";
        let expected = "dir \"/\"\nrename-command DEBUG \"\"\n\n  # odd   comment\ndatabases 4\n";
        assert_eq!(rewritten(old, &[("requirepass", "")]), expected);
        let expected = expected.replace("\n\n", "\nrequirepass \"\\\"\\x01\"\n");
        assert_eq!(rewritten(old, &[("requirepass", "\"\u{1}")]), expected);
    }

    #[test]
    fn garbled_lines_become_comments() {
        // Such a file does not load, but it may have been edited since.
        let config = load_text("dir /").unwrap().config;
        assert_eq!(config.rewrite(b"dir /\n logfile 'a \n"), b"dir \"/\"\n# ??? logfile 'a\n");
    }

    #[test]
    fn new_lines_go_below_an_earlier_signature() {
        let old = "# Generated by CONFIG REWRITE\ndir \"/\"\n";
        assert_eq!(rewritten(old, &[("timeout", "9")]), format!("{old}timeout 9\n"));
    }

    #[test]
    fn a_changed_value_wins_over_the_included_file_at_the_next_start() {
        let main = "dir /\nrequirepass one\ninclude /inc\n";
        let mut files = files(&[("/start/main", main), ("/inc", "requirepass two\ntimeout 5\nmaxclients 9")]);
        let mut config = loaded(run(&["main"], &files).unwrap()).config;
        config.set(b"requirepass", b"").unwrap();
        config.set(b"timeout", b"0").unwrap();
        let text = config.rewrite(main.as_bytes());
        let expected = "dir \"/\"\n\ninclude /inc\n# Generated by CONFIG REWRITE\ntimeout 0\nmaxclients 9\n\
            requirepass \"\"\n";
        assert_eq!(String::from_utf8_lossy(&text), expected);
        files.insert("/start/main".into(), text);
        let again = loaded(run(&["main"], &files).unwrap()).config;
        assert_eq!(again, config);
    }
}

mod properties;
