//! Runs the fuzz targets over their kept corpus, and over some thousand mutations of it that are the same in
//! every run. Real fuzzing needs cargo-fuzz and time; see `utils/fuzz/run`.
#![allow(missing_docs, unreachable_pub, reason = "a test program has no public interface")]

#[path = "../utils/fuzz/src/targets/mod.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use targets::{Chance, Target, mutate};

/// Mutations of the corpus that each target is run on.
const MUTATIONS: usize = 3000;

/// Longest mutation, as in `utils/fuzz/run`.
const MAX_LEN: usize = 4096;

/// The kept inputs of a target, in the order of their names.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("utils/fuzz/corpus").join(target.name);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.expect("the directory can be read").path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("the corpus can be read");
        (path.file_name().expect("a file has a name").to_string_lossy().into_owned(), bytes)
    };
    paths.into_iter().map(read).collect()
}

/// Runs the target, and says for which input it failed: the message of the panic stands above.
fn run(target: &Target, input: &[u8], what: &str) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        panic!("{} failed for {what}: b\"{}\"", target.name, input.escape_ascii());
    }
}

fn replay_and_mutate(target: &Target) {
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "there are inputs for {}", target.name);
    corpus.iter().for_each(|(name, input)| run(target, input, name));
    let words = (target.words)();
    let mut chance = Chance::new(0xd15_90e);
    for number in 0..MUTATIONS {
        let mut input = corpus[chance.below(corpus.len())].1.clone();
        if chance.below(4) == 0 {
            let other = &corpus[chance.below(corpus.len())].1;
            input.truncate(chance.below(input.len() + 1));
            input.extend_from_slice(&other[chance.below(other.len() + 1)..]);
        }
        mutate(&mut input, MAX_LEN, &words, &mut chance);
        run(target, &input, &format!("mutation {number}"));
    }
}

#[test]
fn request_reader_stands_whatever_comes() {
    replay_and_mutate(&targets::REQUEST_READER);
}

#[test]
fn command_table_stands_whatever_comes() {
    replay_and_mutate(&targets::COMMAND_TABLE);
}

#[test]
fn config_file_stands_whatever_comes() {
    replay_and_mutate(&targets::CONFIG_FILE);
}

#[test]
fn nodes_conf_stands_whatever_comes() {
    replay_and_mutate(&targets::NODES_CONF);
}

#[test]
fn aof_reader_stands_whatever_comes() {
    replay_and_mutate(&targets::AOF_READER);
}

#[test]
fn engine_stands_whatever_comes() {
    replay_and_mutate(&targets::ENGINE);
}

#[test]
fn connection_stands_whatever_comes() {
    replay_and_mutate(&targets::CONNECTION);
}

#[test]
fn bus_frames_stands_whatever_comes() {
    replay_and_mutate(&targets::BUS_FRAMES);
}

#[test]
fn job_image_stands_whatever_comes() {
    replay_and_mutate(&targets::JOB_IMAGE);
}

#[test]
fn member_stands_whatever_comes() {
    replay_and_mutate(&targets::MEMBER);
}

#[test]
fn every_target_has_a_program_and_a_corpus_under_its_name() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("utils/fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("the targets have a manifest");
    for target in targets::ALL {
        assert!(
            fuzz.join("fuzz_targets").join(target.name).with_extension("rs").is_file(),
            "{}",
            target.name
        );
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
    }
    let corpora = std::fs::read_dir(fuzz.join("corpus")).expect("there is a corpus").count();
    assert_eq!(corpora, targets::ALL.len(), "no corpus is left behind by a target that went");
}
