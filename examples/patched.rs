//! The whole idea: blocking code that knows nothing of green threads, hundreds at once on one OS thread.
//! `cargo run --release --example patched`: std's sockets, sleep and Mutex, and ureq, a plain blocking HTTP client.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "that is the idea")]

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sward::thread;

const REQUESTS: usize = 500;
const THINKING: Duration = Duration::from_millis(200);

/// A server as any first book has it: read the request, think, answer.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut head = BufReader::new(stream.try_clone()?).lines();
    while head.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    std::thread::sleep(THINKING);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")
}

/// And its client, with somebody else's library.
fn fetch(url: &str, total: &Mutex<usize>) -> Result<(), ureq::Error> {
    let text = ureq::get(url).call()?.body_mut().read_to_string()?;
    *total.lock().expect("nobody panics") += text.len();
    Ok(())
}

fn main() -> io::Result<()> {
    // SAFETY: no code here, nor in ureq, relies on a thread-local staying as it is across a blocking call.
    unsafe { sward::patch::install()? };

    sward::Builder::new().workers(1).run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/", listener.local_addr()?);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || serve(stream));
            }
        });

        let (total, start) = (Arc::new(Mutex::new(0)), Instant::now());
        let clients: Vec<_> = (0..REQUESTS)
            .map(|_| {
                let (url, total) = (url.clone(), total.clone());
                thread::spawn(move || fetch(&url, &total))
            })
            .collect();
        for client in clients {
            client.join().expect("nobody panics").map_err(io::Error::other)?;
        }
        let (bytes, time) = (total.lock().expect("nobody panics"), start.elapsed());
        println!(
            "{REQUESTS} requests of {THINKING:?} each on one OS thread: {bytes} bytes, {time:.2?}"
        );
        Ok(())
    })
}
