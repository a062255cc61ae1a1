//! Unix sockets with std's names, signatures and errors; what waits is the calling thread, green or not.
//!
//! Addresses are std's own [`SocketAddr`], with its extension trait for abstract names. Beyond std: `close`, which
//! ends the waits of others.
//!
//! ```
//! use std::io::{Read, Write};
//! use sward::os::unix::net::UnixStream;
//!
//! sward::run(|| -> std::io::Result<()> {
//!     let (mut one, mut two) = UnixStream::pair()?;
//!     let reader = sward::thread::spawn(move || {
//!         let mut text = String::new();
//!         two.read_to_string(&mut text).map(|_| text)
//!     });
//!     one.write_all(b"hello")?;
//!     drop(one);
//!     assert_eq!(reader.join().unwrap()?, "hello");
//!     Ok(())
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod datagram;
mod listener;
mod raw;
mod stream;

pub use std::os::unix::net::SocketAddr;

pub use datagram::UnixDatagram;
pub use listener::{Incoming, UnixListener};
pub use stream::UnixStream;
