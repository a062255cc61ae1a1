//! Each plants one violation and must see it found, and sees the lawful twin pass.

use super::check;

const HEAD: &str = "//! What it is.\n#![forbid(unsafe_code)]\n";

fn faults(path: &str, code: &str) -> Vec<String> {
    let mut faults = Vec::new();
    check(path, &format!("{HEAD}{code}"), &mut faults);
    faults
}

fn finds(path: &str, code: &str, what: &str) {
    let faults = faults(path, code);
    assert_eq!(faults.len(), 1, "{code}: {faults:?}");
    assert!(faults[0].contains(what), "{faults:?}");
}

fn passes(path: &str, code: &str) {
    assert_eq!(faults(path, code), Vec::<String>::new(), "{code}");
}

#[test]
fn arrows() {
    finds("hub/mod.rs", "use crate::net::TcpStream;", "`hub` may not use `net`");
    finds("net/udp.rs", "use crate::sync::Mutex;", "`net` may not use `sync`");
    finds("io.rs", "use crate::{hub, http::Request};", "`io` may not use `http`");
    finds("io.rs", "fn f() { crate :: pubsub :: f() }", "may not use `pubsub`");
    finds("io.rs", "use crate::{hub::{park, Thread}, sys, thread};", "may not use `thread`");
    finds("http/mod.rs", "use crate::patch::install;", "`http` may not use `patch`");
    finds("patch/mod.rs", "use crate::net::TcpStream;", "`patch` may not use `net`");
    passes("net/udp.rs", "use crate::{hub::park, io, net::addr};\nuse crate::sys::socket;");
    passes("patch/mod.rs", "use crate::hub::park;");
}

#[test]
fn comments_and_strings_are_no_arrows() {
    passes("io.rs", "/// See [`crate::http`].\n// crate::http\n/* /* crate::http */ crate::net */");
    passes("io.rs", r##"const A: &str = "crate::http"; const B: &str = r#"" crate::net "#;"##);
    passes("io.rs", r#"const A: [char; 3] = ['"', '\'', '\u{7f}']; fn f<'a>(_: &'a str) {} // "#);
    finds("io.rs", r#"const A: char = '"'; use crate::net; const B: char = '"';"#, "`net`");
}

#[test]
fn unlisted_modules() {
    finds("surprise.rs", "", "`surprise` has no row");
    finds("lib.rs", "mod sys;\npub mod surprise;", "`surprise` has no row");
    passes("lib.rs", "mod sys;\npub mod net;\npub mod patch;");
}

#[test]
fn re_exports() {
    finds("http/mod.rs", "fn f() { crate::spawn(g) }", "`crate::spawn` is not a module");
    finds("http/mod.rs", "use crate::{net, Builder};", "`crate::Builder` is not a module");
    passes("http/mod.rs", "pub(crate) use x::y; pub(in crate::http) fn f() {}");
}

#[test]
fn climbing() {
    finds("io.rs", "use super::net::TcpStream;", "climbs out");
    finds("net/mod.rs", "use super::sync;", "climbs out");
    finds("net/udp.rs", "use super::super::sync;", "climbs out");
    finds("io.rs", "mod tests { use super::*; } use super::*;", "climbs out");
    finds("io.rs", "mod tests { use super::super::http; }", "climbs out");
    passes(
        "io.rs",
        "pub(super) fn f() { if x { } } mod tests { use super::*; fn g() { super::f() } }",
    );
    passes("os/unix/net/raw.rs", "use super::super::net::UnixStream;");
}

#[test]
fn crates() {
    finds("net/mod.rs", "fn f() { libc::close(1); }", "crate `libc`");
    finds("io.rs", "use rustix::net::recv;", "crate `rustix`");
    finds("io.rs", "use ::rustix::net::recv;", "crate `rustix`");
    finds("thread/mod.rs", "use tokio;", "crate `tokio`");
    finds("hub/mod.rs", "use corosensei::Coroutine;", "crate `corosensei`");
    passes("sys/fd.rs", "use rustix::io; fn f() { libc::close(1) }");
    passes("io.rs", "use crate::sys::libc_like; fn may() {} fn f() { may() }");
}

#[test]
fn danger() {
    finds("net/mod.rs", "fn f() { unsafe { g() } }", "`unsafe` has no address");
    passes("fiber/mod.rs", "fn f() { unsafe { g() } }");
    passes("net/mod.rs", "fn unsafe_not() {} // unsafe");
    let mut found = Vec::new();
    check("io.rs", "//! No promise.\n", &mut found);
    assert!(found[0].contains("does not say"), "{found:?}");
    found.clear();
    check("net/mod.rs", "//! Has `raw` below.\n", &mut found);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn heads_and_lengths() {
    let mut found = Vec::new();
    check("io.rs", "#![forbid(unsafe_code)]\n", &mut found);
    assert!(found[0].contains("begin with"), "{found:?}");
    finds("io.rs", &"\n".repeat(700), "longer than 600");
}
