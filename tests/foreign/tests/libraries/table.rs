//! The table in docs/patch.md is what the tests hold the libraries to. `SWARD_WRITE=1` writes it anew.

use std::fs;
use std::path::Path;
use std::process::Command;

use foreign::table::{ROWS, render};

const BEGIN: &str = "<!-- libraries: written by tests/foreign, see there -->\n";
const END: &str = "<!-- end of libraries -->\n";

#[test]
fn table_is_current() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = render(&fs::read_to_string(here.join("Cargo.lock")).unwrap());
    let file = here.join("../../docs/patch.md");
    let text = fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the mark before the table");
    let (_, after) = rest.split_once(END).expect("the mark after the table");
    let current = format!("{before}{BEGIN}{table}{END}{after}");
    if std::env::var_os("SWARD_WRITE").is_some() {
        fs::write(&file, current).unwrap();
    } else {
        assert!(
            text == current,
            "docs/patch.md is not current: SWARD_WRITE=1 cargo test table_is_current\n{table}"
        );
    }
}

/// A row without tests would be a claim, and tests without a row would be lost.
#[test]
fn rows_have_tests() {
    let list = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let modules =
        || list.lines().filter_map(|line| line.strip_suffix(": test")?.split("::").next());
    for row in ROWS {
        assert!(modules().any(|module| module == row.module), "no test of {}", row.module);
    }
    for module in modules().filter(|module| *module != "table") {
        assert!(ROWS.iter().any(|row| row.module == module), "no row for {module}");
    }
}
