//! Sets `cfg(loom)` for this package only, so that no RUSTFLAGS are needed.

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rerun-if-changed=build.rs");
}
