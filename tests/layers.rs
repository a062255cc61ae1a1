//! The house rules that no compiler checks: who may use whom, where `unsafe` and system calls may stand.
//!
//! The table is DESIGN.md's, section 3. Do not change it to make a build pass: a new arrow needs a reason, which the
//! commit that adds it gives. What is checked, file by file, on the code without comments and strings:
//!
//! - a module uses modules of lower rows and itself, by `crate::module::...`, never through the root's re-exports;
//! - every module has a row;
//! - `super::` does not climb out of the module;
//! - a crate is named only where it is used for what it is there for;
//! - `unsafe` has an address, and everybody else forbids it;
//! - every file says at its top what it is, and is not too long.
//!
//! The canaries plant violations and must see each found. What reads the code is in `scan`.

#[path = "layers_support/canaries.rs"]
mod canaries;
#[path = "layers_support/scan.rs"]
mod scan;

use std::fs;
use std::path::{Path, PathBuf};

use scan::{climbs_out, code_of, crate_names, declared_modules, names_crate, words};

/// Lowest first.
const ROWS: &[&[&str]] = &[
    &["sys", "list", "timer"],
    &["stack", "driver", "inbox", "lent"],
    &["fiber"],
    &["hub"],
    // Row L4 in two steps: what the second holds is made of the first.
    &["wait", "io"],
    &["blocking", "block_on", "timeout", "watch", "socket", "inspect"],
    &["thread", "sync", "net", "os", "process", "signal"],
    &["group", "pubsub"],
    &["http"],
    &["webhook"],
    // Used by tests and examples only.
    &["testing"],
    // Texts.
    &["guide"],
];

/// Beside the tower: may use these, and is used by nobody.
const PATCH: (&str, &[&str]) = (
    "patch",
    &["sys", "list", "timer", "stack", "driver", "inbox", "fiber", "hub", "wait", "io", "blocking"],
);

/// `macro_rules!` with `#[macro_export]` live at the root, whatever module they belong to.
const MACROS: &[(&str, &str)] = &[("green_local", "thread")];

/// Crates that only some modules may name.
const CRATES: &[(&str, &[&str])] = &[
    ("libc", &["sys", "patch"]),
    ("rustix", &["sys"]),
    ("io_uring", &["driver"]),
    ("corosensei", &["stack", "fiber"]),
    ("crossbeam_deque", &["hub"]),
    ("httparse", &["http"]),
    ("httpdate", &["http", "webhook"]),
    ("matchit", &["http"]),
    ("sha1_smol", &["http"]),
    ("flate2", &["http"]),
    ("brotli", &["http"]),
    ("zstd", &["http"]),
    ("rustls", &["http", "webhook"]),
    ("rusqlite", &["webhook"]),
    ("redis", &["pubsub", "webhook"]),
    ("ureq_proto", &["webhook"]),
    ("webpki_roots", &["webhook"]),
    ("ring", &["webhook"]),
    ("base64", &["webhook"]),
    ("may", &[]),
    ("may_minihttp", &[]),
    ("mongodb", &["webhook"]),
    // MongoDB's driver runs on it.
    ("tokio", &["webhook"]),
];

/// Where `unsafe` may stand: files, and folders with a slash at the end.
const UNSAFE: &[&str] = &[
    "sys/",
    "list.rs",
    "stack.rs",
    "driver/",
    "inbox.rs",
    // A lifetime that the owner's frame vouches for.
    "lent.rs",
    "fiber/",
    "hub/",
    "wait.rs",
    // The cells: each lends out what its lock guards.
    "sync/mutex.rs",
    "sync/rwlock/",
    "sync/once.rs",
    "sync/once_lock.rs",
    "sync/lazy_lock.rs",
    "sync/mpsc/",
    // Lifetimes that the scope's end vouches for.
    "thread/scope.rs",
    // `FromRawFd` has an unsafe fn.
    "socket/traits.rs",
    "net/raw.rs",
    "os/unix/net/raw.rs",
    "patch/",
];

const LONGEST: usize = 600;

#[test]
fn the_house_is_in_order() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&src);
    assert!(files.len() > 40, "found only {} files: is this the right place?", files.len());
    let mut faults = Vec::new();
    for file in files {
        let path = file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        check(&path, &fs::read_to_string(&file).unwrap(), &mut faults);
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut bare = Vec::new();
    for folder in ["tests", "examples", "benches"] {
        for file in rust_files(&root.join(folder)) {
            if !fs::read_to_string(&file).unwrap().starts_with("//!") {
                bare.push(file);
            }
        }
    }
    assert!(bare.is_empty(), "no `//!` at the top of {bare:#?}");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") {
                files.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Adds what is wrong with the file at `path` (below `src`) to `faults`.
fn check(path: &str, text: &str, faults: &mut Vec<String>) {
    let mut fault = |what: String| faults.push(format!("src/{path}: {what}"));
    let code = code_of(text);
    let module = path.split('/').next().unwrap().trim_end_matches(".rs");

    if !text.starts_with("//!") {
        fault("does not begin with `//!`".into());
    }
    if text.lines().count() > LONGEST {
        fault(format!("is longer than {LONGEST} lines"));
    }

    if module == "lib" {
        for name in declared_modules(&code) {
            if row(&name).is_none() && name != PATCH.0 {
                fault(format!("module `{name}` has no row in the table"));
            }
        }
    } else {
        if row(module).is_none() && module != PATCH.0 {
            fault(format!("module `{module}` has no row in the table"));
        }
        for name in crate_names(&code) {
            let of_macro = MACROS.iter().find(|(macro_name, _)| *macro_name == name);
            let name = of_macro.map_or(name, |(_, module)| module.to_string());
            if row(&name).is_none() && name != PATCH.0 {
                fault(format!("`crate::{name}` is not a module: go to where it lives"));
            } else if !may_use(module, &name) {
                fault(format!("`{module}` may not use `{name}`"));
            }
        }
        if climbs_out(path, &code) {
            fault("`super::` climbs out of the module: say `crate::`".into());
        }
    }

    for (name, modules) in CRATES {
        if names_crate(&code, name) && !modules.contains(&module) {
            fault(format!("may not name the crate `{name}`"));
        }
    }

    let listed =
        UNSAFE.iter().any(|at| if at.ends_with('/') { path.starts_with(at) } else { path == *at });
    if !listed {
        if words(&code).any(|(_, word)| word == "unsafe") {
            fault("`unsafe` has no address here".into());
        }
        // `forbid` holds for the modules below too, so a folder with an exception in it cannot say it.
        let folder =
            path.strip_suffix("mod.rs").filter(|f| UNSAFE.iter().any(|at| at.starts_with(f)));
        if folder.is_none() && module != "lib" && !code.contains("#![forbid(unsafe_code)]") {
            fault("does not say `#![forbid(unsafe_code)]`".into());
        }
    }
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

fn may_use(module: &str, other: &str) -> bool {
    if other == PATCH.0 {
        return module == PATCH.0;
    }
    if module == PATCH.0 {
        return PATCH.1.contains(&other);
    }
    module == other || row(other) < row(module)
}
