//! Compiles `c/waits.c` with the system's C compiler: once into the program, once (where programs load libraries) into a shared
//! object that the program loads at run time.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn run(command: &str, args: &[&str]) {
    let status = Command::new(command).args(args).status();
    assert!(status.as_ref().is_ok_and(|s| s.success()), "{command} {args:?}: {status:?}");
}

fn main() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where"));
    let at = |name: &str| out.join(name).to_str().expect("a path of ASCII").to_owned();
    let source = Path::new("c").join("waits.c");
    let source = source.to_str().expect("a path of ASCII");
    println!("cargo::rerun-if-changed=c");

    // Fortified, as distributions build: then the compiler may call __recv_chk for recv, and __poll_chk for poll.
    let flags = ["-O2", "-D_FORTIFY_SOURCE=2", "-Wall", "-Werror", "-fPIC"];
    run("cc", &[&flags[..], &["-c", source, "-o", &at("waits.o")]].concat());
    println!("cargo::rustc-link-arg-bins={}", at("waits.o"));

    run("cc", &[&flags[..], &["-shared", source, "-o", &at("libloaded.so"), "-lpthread"]].concat());
    println!("cargo::rustc-env=LOADED={}", at("libloaded.so"));
}
