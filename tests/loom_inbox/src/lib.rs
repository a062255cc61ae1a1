//! Nothing: everything is in `tests/`, because loom is needed there only.
