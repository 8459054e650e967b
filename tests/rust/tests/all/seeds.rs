//! Every seed of the fuzz targets, and so everything that they have found, is tried with every run of the tests.

#[path = "../../../../fuzz/properties/mod.rs"]
mod properties;

use std::fs;
use std::path::Path;

use properties::TARGETS;

#[test]
fn the_corpora_of_the_fuzzers_pass() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join("fuzz/seeds");
    let folders = fs::read_dir(&seeds).unwrap().count();
    assert_eq!(folders, TARGETS.len(), "a folder of seeds for each target");
    for (target, holds) in TARGETS {
        let mut count = 0;
        for file in fs::read_dir(seeds.join(target)).unwrap() {
            let path = file.unwrap().path();
            let data = fs::read(&path).unwrap();
            if std::panic::catch_unwind(|| holds(&data)).is_err() {
                panic!("{} does not hold", path.display());
            }
            count += 1;
        }
        assert!(count >= 3, "{target} has {count} seeds");
    }
}

#[test]
fn every_target_is_a_program_of_the_fuzz_crate() {
    let manifest = include_str!("../../../../fuzz/Cargo.toml");
    let programs = manifest.lines().filter_map(|line| {
        let path = line.strip_prefix("path = \"fuzz_targets/")?;
        path.strip_suffix(".rs\"")
    });
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(programs.collect::<Vec<_>>(), targets);
    for target in targets {
        let program = format!("fuzz/fuzz_targets/{target}.rs");
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(program);
        let call = format!("properties::{target}(data)");
        assert!(
            fs::read_to_string(path).unwrap().contains(&call),
            "{target}"
        );
    }
}
