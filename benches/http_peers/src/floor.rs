//! The floor: the system calls that an epoll server cannot do without, and nothing else. It serves no HTTP: it takes
//! whatever comes for requests as long as the first, answers bytes that it was given, and looks at nothing but whether the
//! connection is to be closed. Whoever serves HTTP with these calls pays this and more; a ratio below it is out of reach.

use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, accept_with, bind, getsockname,
    listen, recv, send, socket_with, sockopt,
};

/// As long as sward's answer in the plans.
const KEPT: &[u8] = b"HTTP/1.1 200 OK\r\nServer: F\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n\r\nHello, World!";
const LAST: &[u8] = b"HTTP/1.1 200 OK\r\nServer: F\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\nConnection: close\r\n\r\nHello, World!";
/// The listener's token; connections have their numbers.
const LISTENER: u64 = u64::MAX;

/// Serves for ever.
pub(crate) fn serve() {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let listener =
        socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).expect("a socket");
    bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listen(&listener, 1024).expect("it listens");
    // Accepted connections inherit it.
    sockopt::set_tcp_nodelay(&listener, true).expect("an option");
    let address = getsockname(&listener).expect("bound");
    println!("{}", std::net::SocketAddr::try_from(address).expect("of the internet"));
    let epoll = epoll::create(CreateFlags::CLOEXEC).expect("epoll");
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN).expect("added");
    let mut answers = KEPT.repeat(64);
    answers.shrink_to_fit();
    let mut buffer = [MaybeUninit::<u8>::uninit(); 16 * 1024];
    let mut events: Vec<Event> = Vec::with_capacity(1024);
    loop {
        events.clear();
        // Interrupted: once more.
        let _ = epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None);
        for event in &events {
            match event.data.u64() {
                LISTENER => accept_all(&epoll, &listener, &mut buffer, &answers),
                number => {
                    answer(number as RawFd, &mut buffer, &answers);
                }
            }
        }
    }
}

/// Who asks at once is answered at once, and not registered if the connection ends with that.
fn accept_all(epoll: &OwnedFd, listener: &OwnedFd, buffer: &mut [MaybeUninit<u8>], answers: &[u8]) {
    // A look is cheap; a call that finds nobody makes a socket first.
    while has_come(listener)
        && let Ok(socket) = accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
    {
        // From here on it is the number: `answer` closes it.
        let number = socket.into_raw_fd();
        if !answer(number, buffer, answers) {
            continue;
        }
        // SAFETY: `answer` has not closed it.
        let socket = unsafe { BorrowedFd::borrow_raw(number) };
        let data = EventData::new_u64(number as u64);
        epoll::add(epoll, socket, data, EventFlags::IN | EventFlags::RDHUP | EventFlags::ET)
            .expect("added");
    }
}

fn has_come(listener: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// False if that was the end of the connection.
fn answer(number: RawFd, buffer: &mut [MaybeUninit<u8>], answers: &[u8]) -> bool {
    // SAFETY: `accept_all` has left this number to us, and it is closed nowhere but below, when it is not registered or
    // there will be no further event for it.
    let socket = unsafe { BorrowedFd::borrow_raw(number) };
    let got = match recv(socket.as_fd(), &mut *buffer, RecvFlags::empty()) {
        Ok(((got, _), _)) => &*got,
        Err(rustix::io::Errno::AGAIN) => return true,
        Err(_) => &[],
    };
    let Some(end) = got.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        close(number);
        return false;
    };
    let requests = got.len() / (end + 4);
    // The header is the last one: `Connection: close`, or `keep-alive`.
    if got[..end].ends_with(b"close") {
        // OK to ignore: the client is gone, and so is the connection.
        // With the end in one packet.
        let _ = send(socket, LAST, SendFlags::NOSIGNAL | SendFlags::MORE);
        close(number);
        false
    } else {
        // OK to ignore: answers this small always fit, or the client is gone.
        let _ = send(socket, &answers[..requests * KEPT.len()], SendFlags::NOSIGNAL);
        true
    }
}

fn close(number: RawFd) {
    // SAFETY: as in `answer`; this is where it is closed, and epoll forgets it with that.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
}
