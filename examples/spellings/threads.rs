//! The handler as one writes it on OS threads: the same lines, with std's names. Waiting blocks the thread.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::thread;

use super::common::text_of;

// --- the handler
pub(crate) fn page(backend: SocketAddr) -> io::Result<String> {
    if fetch(backend, "/may-read")? != "yes" {
        return Ok("you may not read this\n".into());
    }
    let tomorrow = thread::spawn(move || fetch(backend, "/tomorrow"));
    let today = fetch(backend, "/today")?;
    let tomorrow = tomorrow.join().expect("fetch does not panic")?;
    Ok(format!("today {today}, tomorrow {tomorrow}\n"))
}
// --- the end of it

fn fetch(backend: SocketAddr, path: &str) -> io::Result<String> {
    text_of(TcpStream::connect(backend)?, path)
}
