//! Directives that documents and packages give the server exist, and their values are right.

use std::path::Path;

use disque::config::{self, StartAction};

use crate::pages;

/// The words of a line that shows how the server is started, from its first directive on.
fn directives(line: &str) -> Option<Vec<String>> {
    let (_, arguments) = line.split_once("disque-server ").filter(|_| !line.contains(['|', '<']))?;
    let end = |text: &str| text.find(['`', '&']).or(text.find(" #")).unwrap_or(text.len());
    let arguments = arguments[..end(arguments)].replace(['"', ',', '[', ']'], " ");
    let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
    let first = words.iter().position(|word| word.starts_with("--"))?;
    Some(words[first..].to_vec())
}

/// The directives of a list of arguments in YAML, one argument a line.
fn listed(text: &str) -> Vec<String> {
    let arguments = text.lines().filter_map(|line| line.trim().strip_prefix("- "));
    let words = arguments.map(|argument| argument.trim_matches('"').to_owned());
    // In the rest of these files lists have mappings.
    words.skip_while(|word| !word.starts_with("--")).take_while(|word| !word.contains(": ")).collect()
}

/// Whether the server would start with these arguments.
fn judge(words: &[String]) -> Result<(), String> {
    let words = words.iter().map(|word| word.replace("$(POD_IP)", "10.0.0.5"));
    let outcome = config::load(words.map(Into::into), Path::new("/"), &mut config::read_source);
    match outcome {
        Ok(StartAction::Run(_) | StartAction::Print(_)) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn every_start_of_the_server_that_is_shown_would_be_accepted() {
    let mut faults = Vec::new();
    let mut judged = 0;
    let mut check = |name: &str, words: &[String]| {
        judged += 1;
        faults.extend(judge(words).err().map(|why| format!("{name}: {words:?}: {why}")));
    };
    let mut files = pages::all();
    files.push("utils/packaging/systemd/disque.service".to_owned());
    files.push("utils/packaging/docker/Dockerfile".to_owned());
    for name in &files {
        let text = pages::read(name);
        let lines = text.lines().filter(|line| !line.starts_with("COPY"));
        lines.filter_map(directives).for_each(|words| check(name, &words));
    }
    for name in ["utils/packaging/docker/compose.yaml", "utils/packaging/kubernetes/disque.yaml"] {
        check(name, &listed(&pages::read(name)));
    }
    assert!(judged > 10, "starts of the server are found: {judged}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_configuration_of_the_pods_is_right() {
    let text = pages::read("utils/packaging/kubernetes/disque.yaml");
    let (_, rest) = text.split_once("disque.conf: |\n").expect("the secret has a configuration");
    let lines = rest.lines().take_while(|line| line.starts_with("    ")).map(str::trim);
    let words: Vec<String> = lines
        .flat_map(|line| format!("--{line}").split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert!(words.len() > 4, "{words:?}");
    assert_eq!(judge(&words), Ok(()));
}

#[test]
fn a_wrong_directive_is_found() {
    let words = directives("ExecStart=/usr/bin/disque-server /etc/x.conf --prot 7711").expect("there is one");
    assert_eq!(words, ["--prot", "7711"]);
    assert!(judge(&words).is_err());
    let list = listed("a:\n  - x: y\n  - --prot\n  - \"7711\"\n  - { name: z }\n");
    assert_eq!(list, ["--prot", "7711"]);
}
