//! A small event loop of the usual kind, for `callbacks.rs`: one thread, readiness by epoll, callbacks that run once.
//! And a server on it, since handlers that are callbacks need one that calls back.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// Runs callbacks when descriptors are ready.
pub(crate) struct Loop {
    epoll: OwnedFd,
    waiting: RefCell<HashMap<u64, Box<dyn FnOnce()>>>,
    next: Cell<u64>,
}

impl Loop {
    pub(crate) fn new() -> io::Result<Rc<Loop>> {
        Ok(Rc::new(Loop {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            waiting: RefCell::new(HashMap::new()),
            next: Cell::new(0),
        }))
    }

    /// Calls `then`, once, when `fd` is ready. It must stay open until then.
    fn when(
        &self,
        fd: BorrowedFd<'_>,
        what: EventFlags,
        then: impl FnOnce() + 'static,
    ) -> io::Result<()> {
        let key = self.next.replace(self.next.get() + 1);
        self.waiting.borrow_mut().insert(key, Box::new(then));
        let (data, flags) = (EventData::new_u64(key), what | EventFlags::ONESHOT);
        match epoll::modify(&self.epoll, fd, data, flags) {
            Err(rustix::io::Errno::NOENT) => epoll::add(&self.epoll, fd, data, flags)?,
            modified => modified?,
        }
        Ok(())
    }

    /// For ever.
    pub(crate) fn run(&self) -> io::Result<()> {
        let mut events = Vec::with_capacity(256);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Err(rustix::io::Errno::INTR) => continue,
                waited => waited?,
            };
            for event in &events {
                let then = self.waiting.borrow_mut().remove(&event.data.u64());
                if let Some(then) = then {
                    then();
                }
            }
        }
    }
}

/// Sends all of `bytes`, and hands the stream on.
pub(crate) fn send_all(
    on: &Rc<Loop>,
    mut stream: TcpStream,
    bytes: Vec<u8>,
    then: impl FnOnce(io::Result<TcpStream>) + 'static,
) {
    match stream.write(&bytes) {
        Ok(n) if n == bytes.len() => then(Ok(stream)),
        Ok(n) => send_all(on, stream, bytes[n..].to_vec(), then),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            let (again, stream) = (on.clone(), Rc::new(stream));
            let watched = stream.clone();
            let registered = on.when(watched.as_fd(), EventFlags::OUT, move || {
                send_all(&again, Rc::into_inner(stream).expect("the only owner"), bytes, then);
            });
            drop((registered, watched));
        }
        Err(error) => then(Err(error)),
    }
}

/// Receives until the other side closes, behind what is in `all`.
pub(crate) fn receive_all(
    on: &Rc<Loop>,
    mut stream: TcpStream,
    mut all: Vec<u8>,
    then: impl FnOnce(io::Result<String>) + 'static,
) {
    let mut some = [0; 4096];
    match stream.read(&mut some) {
        Ok(0) => then(String::from_utf8(all).map_err(io::Error::other)),
        Ok(n) => {
            all.extend_from_slice(&some[..n]);
            receive_all(on, stream, all, then);
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            let (again, stream) = (on.clone(), Rc::new(stream));
            let watched = stream.clone();
            let registered = on.when(watched.as_fd(), EventFlags::IN, move || {
                receive_all(&again, Rc::into_inner(stream).expect("the only owner"), all, then);
            });
            drop((registered, watched));
        }
        Err(error) => then(Err(error)),
    }
}

/// Serves: takes the head of each request, and calls `page`, which calls back with the answer.
pub(crate) fn serve<P>(listener: TcpListener, backend: SocketAddr, page: P) -> io::Result<()>
where
    P: Fn(&Rc<Loop>, SocketAddr, Box<dyn FnOnce(io::Result<String>)>) + 'static,
{
    listener.set_nonblocking(true)?;
    let on = Loop::new()?;
    accept(&on, Rc::new(listener), backend, Rc::new(page))?;
    on.run()
}

type Page = dyn Fn(&Rc<Loop>, SocketAddr, Box<dyn FnOnce(io::Result<String>)>);

fn accept(
    on: &Rc<Loop>,
    listener: Rc<TcpListener>,
    backend: SocketAddr,
    page: Rc<Page>,
) -> io::Result<()> {
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nonblocking(true)?;
        read_head(on, stream, Vec::new(), backend, page.clone());
    }
    let (again, watched) = (on.clone(), listener.clone());
    on.when(watched.as_fd(), EventFlags::IN, move || {
        // OK to ignore: a listener that cannot be watched serves nobody, and whoever asks it sees that.
        let _ = accept(&again, listener, backend, page);
    })
}

fn read_head(
    on: &Rc<Loop>,
    mut stream: TcpStream,
    mut head: Vec<u8>,
    backend: SocketAddr,
    page: Rc<Page>,
) {
    let mut some = [0; 1024];
    match stream.read(&mut some) {
        Ok(n @ 1..) => {
            head.extend_from_slice(&some[..n]);
            if !head.ends_with(b"\r\n\r\n") {
                return read_head(on, stream, head, backend, page);
            }
            let (again, then_on, next) = (on.clone(), on.clone(), page.clone());
            page(
                on,
                backend,
                Box::new(move |answer| {
                    let bytes = super::common::response(answer).into_bytes();
                    send_all(&again, stream, bytes, move |sent| {
                        if let Ok(stream) = sent {
                            read_head(&then_on, stream, Vec::new(), backend, next);
                        }
                    });
                }),
            );
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            let (again, stream) = (on.clone(), Rc::new(stream));
            let watched = stream.clone();
            let registered = on.when(watched.as_fd(), EventFlags::IN, move || {
                let stream = Rc::into_inner(stream).expect("the only owner");
                read_head(&again, stream, head, backend, page);
            });
            drop((registered, watched));
        }
        // The client is gone.
        Ok(_) | Err(_) => {}
    }
}
