//! The handler as one writes it on an event loop: what happens next is passed along, and so is what goes wrong.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;

use super::common::{body_of, request};
use super::event_loop::{Loop, receive_all, send_all};

// --- the handler
pub(crate) fn page(
    on: &Rc<Loop>,
    backend: SocketAddr,
    then: impl FnOnce(io::Result<String>) + 'static,
) {
    let next = on.clone();
    fetch(on, backend, "/may-read", move |answer| match answer {
        Err(error) => then(Err(error)),
        Ok(text) if text != "yes" => then(Ok("you may not read this\n".into())),
        Ok(_) => {
            // Whoever comes second has both, and answers; whoever fails first answers for both.
            let state = Rc::new(RefCell::new((None, None, Some(then))));
            let (first, second) = (state.clone(), state);
            fetch(&next, backend, "/today", move |answer| {
                first.borrow_mut().0 = Some(answer);
                join(&first);
            });
            fetch(&next, backend, "/tomorrow", move |answer| {
                second.borrow_mut().1 = Some(answer);
                join(&second);
            });
        }
    });
}

type Answer = Option<io::Result<String>>;

fn join<F: FnOnce(io::Result<String>)>(state: &RefCell<(Answer, Answer, Option<F>)>) {
    let result = {
        let mut state = state.borrow_mut();
        match (&state.0, &state.1) {
            (Some(Err(_)), _) => state.0.take(),
            (_, Some(Err(_))) => state.1.take(),
            (Some(Ok(today)), Some(Ok(tomorrow))) => {
                Some(Ok(format!("today {today}, tomorrow {tomorrow}\n")))
            }
            _ => None,
        }
    };
    if let Some(result) = result
        && let Some(then) = state.borrow_mut().2.take()
    {
        then(result);
    }
}
// --- the end of it

fn fetch(
    on: &Rc<Loop>,
    backend: SocketAddr,
    path: &str,
    then: impl FnOnce(io::Result<String>) + 'static,
) {
    let connected = TcpStream::connect(backend).and_then(|stream| {
        stream.set_nonblocking(true)?;
        Ok(stream)
    });
    let stream = match connected {
        Ok(stream) => stream,
        Err(error) => return then(Err(error)),
    };
    let on_too = on.clone();
    send_all(on, stream, request(path).into_bytes(), move |sent| match sent {
        Err(error) => then(Err(error)),
        Ok(stream) => receive_all(&on_too, stream, Vec::new(), |all| then(all.and_then(body_of))),
    });
}
