//! Building an example for a test that runs it as a program.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Builds the example, in the profile of the tests themselves, and says where its executable is.
pub(crate) fn executable(name: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--example", name, "--message-format=json"]);
    // With the tests' features, as everything would be compiled anew for others.
    for (feature, is_on) in [
        ("brotli", cfg!(feature = "brotli")),
        ("zstd", cfg!(feature = "zstd")),
        ("redis", cfg!(feature = "redis")),
        ("mongodb", cfg!(feature = "mongodb")),
        ("peers", cfg!(feature = "peers")),
    ] {
        if is_on {
            cargo.args(["--features", feature]);
        }
    }
    // What cargo told this test about its package would look like a change to build scripts, and
    // have them run again.
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(output.status.success(), "the example {name} does not build");
    let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo names the executable")
}
