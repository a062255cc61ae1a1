//! The descriptor traits of std for the types of this module, and the ways to std's own types and back.
//!
//! Apart from the rest because `FromRawFd` has an `unsafe fn`; no other file of `os` has any.

use super::{UnixDatagram, UnixListener, UnixStream};
use crate::socket::descriptor_traits;

descriptor_traits!(UnixDatagram, std::os::unix::net::UnixDatagram);
descriptor_traits!(UnixListener, std::os::unix::net::UnixListener);
descriptor_traits!(UnixStream, std::os::unix::net::UnixStream);
