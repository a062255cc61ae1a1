//! TCP and UDP with std's names, signatures and errors; what waits is the calling thread, green or not.
//!
//! Code written for `std::net` moves here by changing its `use` lines: the sockets work on green threads, on OS
//! threads, and on both at once. Addresses are std's own types. What differs from std:
//!
//! - [`ToSocketAddrs`] looks names up on the pool of [`blocking`](crate::blocking()), so that a slow resolver holds up one
//!   green thread and not its worker.
//! - A [`timeout`](crate::timeout()) scope around a call ends it with [`TimedOut`](std::io::ErrorKind::TimedOut).
//!   A socket's own time-out gives [`WouldBlock`](std::io::ErrorKind::WouldBlock), as in std on Unix.
//! - Beyond std: [`BindOptions`] with [`TcpListener::bind_with`], and `close`, which ends the waits of others.
//!
//! Unstable parts of std are left out, as are `TcpListener::set_only_v6` and `only_v6`, which std has deprecated.
//!
//! ```
//! use std::io::{Read, Write};
//! use sward::net::{TcpListener, TcpStream};
//!
//! sward::run(|| -> std::io::Result<()> {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let addr = listener.local_addr()?;
//!     let echo = sward::thread::spawn(move || -> std::io::Result<()> {
//!         let (mut peer, _) = listener.accept()?;
//!         let mut word = [0; 5];
//!         peer.read_exact(&mut word)?;
//!         peer.write_all(&word)
//!     });
//!     let mut client = TcpStream::connect(addr)?;
//!     client.write_all(b"hello")?;
//!     let mut back = String::new();
//!     client.read_to_string(&mut back)?;
//!     assert_eq!(back, "hello");
//!     echo.join().unwrap()
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Read on: [`addr`] (names to addresses), [`listener`], [`stream`], [`udp`]; `raw` holds the descriptor traits.
#![allow(rustdoc::private_intra_doc_links, reason = "the last line is for readers of the source")]

mod addr;
mod listener;
mod raw;
mod stream;
mod udp;

pub use std::net::{
    AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6,
};

pub use addr::ToSocketAddrs;
pub use listener::{BindOptions, Incoming, TcpListener};
pub use stream::TcpStream;
pub use udp::UdpSocket;
