//! The descriptor traits of std for the types of this module, and the ways to std's own types and back.
//!
//! Apart from the rest because `FromRawFd` has an `unsafe fn`; no other file of `net` has any.

use super::{TcpListener, TcpStream, UdpSocket};
use crate::socket::descriptor_traits;

descriptor_traits!(TcpListener, std::net::TcpListener);
descriptor_traits!(TcpStream, std::net::TcpStream);
descriptor_traits!(UdpSocket, std::net::UdpSocket);
