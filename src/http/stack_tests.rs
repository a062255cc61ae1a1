//! How much of its stack is used when a handler begins: so little that the frames of its waiting find room on the same page.
//! What that is good for is measured by `examples/compare`, workload `longpoll`.

#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Request, Router, Server};
use crate::hub::{self, runtime};
use crate::net::TcpStream;
use crate::stack::GUARD_SIZE;
use crate::thread;

/// Of each green thread here, guard included.
const STACK: usize = 256 << 10;

/// How much may be used by then, with the largest offset of a stack's top. A page has 4,096 bytes; a handler that waits for a
/// message of a topic needs about 600.
const ROOM: usize = 3600;

#[test]
fn a_handler_has_room_to_wait_on_the_first_page() {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = most.clone();
    runtime::Builder::new().workers(1).stack_size(STACK).run(move || {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let (addr, handle) = (server.local_addr().unwrap(), server.handle());
        let app = Router::new().get("/", move |_: &mut Request<'_>| {
            let here = 0_u8;
            let (_, fiber) = hub::here_green().unwrap();
            // From the end of the slot, so that the offset of the stack's top counts.
            let end = fiber.guard().end + STACK - GUARD_SIZE;
            seen.fetch_max(end - std::ptr::from_ref(&here).addr(), Ordering::Relaxed);
            thread::yield_now(); // so that the next one has another stack
        });
        let serving = thread::spawn(move || server.serve(app));
        let clients: Vec<_> = (0..16)
            .map(|_| {
                let mut client = TcpStream::connect(addr).unwrap();
                let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
                client.write_all(request).unwrap();
                client
            })
            .collect();
        for mut client in clients {
            // OK to ignore: whoever gets no answer was not seen either.
            let _ = client.read_to_end(&mut Vec::new());
        }
        handle.shutdown();
        serving.join().unwrap().unwrap();
    });
    let most = most.load(Ordering::Relaxed);
    // Frames are larger where nothing is optimised.
    let room = if cfg!(debug_assertions) { 16 << 10 } else { ROOM };
    assert!(most > 0 && most <= room, "{most} bytes are used when a handler begins");
}
