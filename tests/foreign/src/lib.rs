//! What the tests of foreign libraries stand on: each test in a process of its own, the real servers, and the table of
//! what came out. Read `check`, then `server`, then `table`; the tests are in `tests/libraries`.
//!
//! What it is not: tests. Nothing here knows a library.

pub mod check;
pub mod peer;
pub mod server;
pub mod table;
