//! Event streams without a thread: connections that follow a topic, after their head is sent.
//!
//! ```text
//!   head sent ──► behind: replay ──► current: in its pump's list, no stack ──► behind: a green thread sends the rest
//!                      ▲                          │ what was sent did not fit            │
//!                      └──────────────────────────┴──────────── caught up ◄──────────────┘
//! ```
//!
//! A pump is one green thread for a topic on a worker. It frames each message once and sends it to all of its members, none
//! of which it waits for. All of this stays on one worker, so between two waits nobody else moves: a member that has read
//! everything joins its pump's list before anything new can be delivered, and a member's cursor says what it has got,
//! whoever sent it. Hence no gap and no double.
//!
//! While it is here a connection also waits, without a stack, for the client's end and for that of the server.

#![forbid(unsafe_code)]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::chunked::{LAST_CHUNK, SIZE_ROOM, write_size};
use super::connection::Service;
use super::follow::{Encode, Following, Piece, event, lagged};
use super::link::{Holder, LINGER_BYTES, Link};
use crate::hub::clock::Moment;
use crate::io::{Descriptor, OnReadable, start_when_readable};
use crate::pubsub::{Lagging, Message, RecvError, Subscriber};
use crate::thread::{self, LocalJoinHandle};

/// What is collected before it is sent.
const COLLECT: usize = 16 << 10;
/// So many members are served before others of the worker run.
const AT_ONCE: usize = 16;

/// A connection that follows a topic.
struct Member {
    socket: Descriptor,
    /// Stands where the client is.
    subscriber: Subscriber,
    service: Arc<Service>,
    encode: Option<Encode>,
    heartbeat: Option<Duration>,
    lagging: Lagging,
    chunked: bool,
    state: Cell<State>,
    /// It ends when it has everything.
    stopping: Cell<bool>,
    /// Its place in the pump's list.
    at: Cell<u32>,
    /// What goes with the connection.
    _kept: (Box<dyn Any>, Vec<Box<dyn Any>>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A green thread sends what it has not got yet.
    Behind,
    /// It is in its pump's list.
    Current,
    Ended,
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// All was sent.
    Proper,
    /// The client must see that it is not all.
    Cut,
    /// There is no client.
    Gone,
}

/// A member, as what waits without a stack.
struct Waiting(Rc<Member>);

impl OnReadable for Waiting {
    fn descriptor(&self) -> &Descriptor {
        &self.0.socket
    }

    fn group(&self) -> usize {
        self.0.service.context.state.idle
    }

    fn on_readable(self: Box<Self>, why: io::Result<()>) {
        self.0.ready(why);
    }
}

/// Takes a connection over whose head is sent. `kept` goes when it ends.
pub(crate) fn start(
    following: Following,
    socket: Descriptor,
    service: Arc<Service>,
    chunked: bool,
    kept: Box<dyn Any>,
) {
    let Following { subscriber, encode, lagging, heartbeat, first, held } = following;
    let member = Rc::new(Member {
        socket,
        subscriber,
        service,
        encode,
        heartbeat,
        lagging,
        chunked,
        state: Cell::new(State::Behind),
        stopping: Cell::new(false),
        at: Cell::new(0),
        _kept: (kept, held),
    });
    let mut owed = Vec::new();
    member.frame(&first, &mut owed);
    member.watch();
    // Of a replay nothing is lost in silence.
    member.catch_up(owed, Lagging::DropOldest);
}

impl Member {
    /// Waits, without a stack, for the client's end and the server's.
    fn watch(self: &Rc<Self>) {
        let state = &self.service.context.state;
        if state.is_stopping() {
            self.stopping.set(true);
        } else if self.state.get() != State::Ended {
            let waiting = Box::new(Waiting(self.clone()));
            if start_when_readable(waiting, Moment::NEVER).is_err() {
                self.end(End::Cut);
            }
        }
    }

    /// On a fresh green thread: something came, or the server stops.
    fn ready(self: &Rc<Self>, why: io::Result<()>) {
        if self.state.get() == State::Ended {
            return;
        }
        if why.is_ok() {
            // What a client says now means nothing, but that it is there.
            if !Link::drain(&self.socket, &mut LINGER_BYTES.clone()) {
                return self.end(End::Gone);
            }
            self.watch();
        } else {
            self.stopping.set(true);
        }
        if self.stopping.get() && self.state.get() == State::Current {
            self.leave();
            self.catch_up(Vec::new(), self.lagging);
        }
    }

    /// Sends what is `owed` to the client and what it has not got yet, then joins the pump, or ends.
    fn catch_up(self: &Rc<Self>, owed: Vec<u8>, lagging: Lagging) {
        match self.send_rest(owed, lagging) {
            Ok(true) => self.end(End::Proper),
            Ok(false) if self.state.get() == State::Ended => {}
            Ok(false) => Pump::join(self),
            Err(_) => self.end(End::Cut),
        }
    }

    /// The sending part; true if that was the last of it.
    fn send_rest(&self, mut out: Vec<u8>, lagging: Lagging) -> io::Result<bool> {
        let until = self.subscriber.newest();
        let link = Link::new(&self.socket, &self.service.context, Holder::Green);
        loop {
            let last = match lagging.next(&self.subscriber, until) {
                Piece::Frame(message) => {
                    self.frame(&event(&message, self.encode), &mut out);
                    None
                }
                Piece::Missed(missed) => {
                    self.frame(&lagged(missed), &mut out);
                    None
                }
                Piece::Nothing => Some(self.stopping.get()),
                Piece::Closed => Some(true),
                Piece::Cut => return Err(ErrorKind::TimedOut.into()),
            };
            if last == Some(true) && self.chunked {
                out.extend_from_slice(LAST_CHUNK);
            }
            if last.is_some() || out.len() >= COLLECT {
                let nothing = out.is_empty();
                link.send(&out, false)?;
                out.clear();
                match last {
                    Some(true) => return Ok(true),
                    // Sending may have taken its time: another look, unless there was no time for anything.
                    Some(false) if nothing => return Ok(false),
                    _ => {}
                }
            }
        }
    }

    /// Appends events as they go on the wire.
    fn frame(&self, events: &[u8], out: &mut Vec<u8>) {
        if self.chunked {
            chunk(events, out);
        } else {
            out.extend_from_slice(events);
        }
    }

    /// Sends a batch, without waiting.
    fn deliver(self: &Rc<Self>, batch: &Batch) {
        let seen = self.subscriber.seen();
        if seen >= batch.last() {
            return; // it was quicker
        }
        if seen + 1 < batch.first {
            return self.fall_behind(Vec::new());
        }
        let bytes = if self.chunked { &batch.chunks } else { &batch.plain };
        let from = batch.end_of(seen, self.chunked);
        match Link::try_send_on(&self.socket, &bytes[from..]) {
            Ok(n) if from + n == bytes.len() => self.subscriber.skip_to(batch.last()),
            Ok(n) => {
                let (id, end) = batch.message_at(from + n, self.chunked);
                self.subscriber.skip_to(id);
                self.fall_behind(bytes[from + n..end].to_vec());
            }
            Err(error) => self.not_sent(&error, Vec::new()),
        }
    }

    /// Sends something that stands for itself, without waiting.
    fn deliver_comment(self: &Rc<Self>) {
        let comment: &[u8] = if self.chunked { b"3\r\n:\n\n\r\n" } else { b":\n\n" };
        match Link::try_send_on(&self.socket, comment) {
            Ok(n) if n == comment.len() => {}
            Ok(n) => self.fall_behind(comment[n..].to_vec()),
            Err(error) => self.not_sent(&error, comment.to_vec()),
        }
    }

    /// The topic has ended, and it has got everything.
    fn deliver_end(self: &Rc<Self>) {
        let end = if self.chunked { LAST_CHUNK } else { b"" };
        match Link::try_send_on(&self.socket, end) {
            Ok(n) if n == end.len() => self.end(End::Proper),
            Ok(_) => self.end(End::Cut),
            Err(error) => self.not_sent(&error, Vec::new()),
        }
    }

    fn not_sent(self: &Rc<Self>, error: &io::Error, owed: Vec<u8>) {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => self.fall_behind(owed),
            _ => self.end(End::Gone),
        }
    }

    /// It gets a green thread of its own until it has caught up.
    #[cold]
    fn fall_behind(self: &Rc<Self>, owed: Vec<u8>) {
        self.leave();
        let member = self.clone();
        let builder = thread::Builder::new().name("http-behind".into());
        if builder.spawn_local(move || member.catch_up(owed, member.lagging)).is_err() {
            self.end(End::Cut);
        }
    }

    /// Leaves its pump's list.
    fn leave(&self) {
        debug_assert!(self.state.get() == State::Current);
        self.state.set(State::Behind);
        Pump::leave(self);
    }

    fn end(&self, how: End) {
        match self.state.get() {
            State::Ended => return,
            State::Current => self.leave(),
            State::Behind => {}
        }
        self.state.set(State::Ended);
        match how {
            End::Proper => {}
            End::Cut => Link::reset(&self.socket),
            End::Gone => Link::hang_up_on(&self.socket), // and whoever is sending gives up
        }
        // What waits for the client's end has the last count of it.
        Link::end_reading(&self.socket);
    }
}

/// Appends `data` as a chunk. Nothing for nothing: such a chunk would be the last.
fn chunk(data: &[u8], out: &mut Vec<u8>) {
    if !data.is_empty() {
        let mut room = [0; SIZE_ROOM];
        let used = write_size(data.len(), &mut room);
        for part in [&room[SIZE_ROOM - used..], data, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
}

/// Messages, one after the other, as they go on the wire.
#[derive(Default)]
struct Batch {
    first: u64,
    chunks: Vec<u8>,
    plain: Vec<u8>,
    /// Where each message ends, in both.
    ends: Vec<(usize, usize)>,
}

impl Batch {
    fn begin(&mut self, first: &Message, encode: Option<Encode>) {
        self.first = first.id;
        self.chunks.clear();
        self.plain.clear();
        self.ends.clear();
        self.add(first, encode);
    }

    fn add(&mut self, message: &Message, encode: Option<Encode>) {
        debug_assert_eq!(message.id, self.last() + 1);
        let event = event(message, encode);
        chunk(&event, &mut self.chunks);
        self.plain.extend_from_slice(&event);
        self.ends.push((self.chunks.len(), self.plain.len()));
    }

    fn last(&self) -> u64 {
        self.first + self.ends.len() as u64 - 1
    }

    /// Where the message `id` ends; 0 for the one before the first.
    fn end_of(&self, id: u64, chunked: bool) -> usize {
        match (id + 1 - self.first) as usize {
            0 => 0,
            n => self.pick(n - 1, chunked),
        }
    }

    /// The message that the byte at `offset` belongs to, and where it ends.
    fn message_at(&self, offset: usize, chunked: bool) -> (u64, usize) {
        let n = (0..self.ends.len()).position(|n| self.pick(n, chunked) >= offset).unwrap_or(0);
        (self.first + n as u64, self.pick(n, chunked))
    }

    fn pick(&self, n: usize, chunked: bool) -> usize {
        let (chunks, plain) = self.ends[n];
        if chunked { chunks } else { plain }
    }
}

/// A topic's address, the heartbeat's interval, and the address of what makes events.
type Key = (usize, Option<Duration>, usize);

/// Sends a topic's messages to those members of this worker that have got everything before.
struct Pump {
    key: Key,
    encode: Option<Encode>,
    reader: Subscriber,
    members: RefCell<Vec<Rc<Member>>>,
    thread: RefCell<Option<LocalJoinHandle<()>>>,
}

thread_local! {
    static PUMPS: RefCell<HashMap<Key, Rc<Pump>>> = RefCell::new(HashMap::new());
}

impl Pump {
    fn key_of(member: &Member) -> Key {
        // One function may have two addresses: then there are two pumps.
        let encode = member.encode.map_or(0, |encode| encode as *const () as usize);
        (member.subscriber.topic(), member.heartbeat, encode)
    }

    /// Takes a member that has got everything; nobody has waited since it knows.
    fn join(member: &Rc<Member>) {
        let key = Pump::key_of(member);
        let (pump, fresh) = PUMPS.with_borrow_mut(|pumps| match pumps.get(&key) {
            Some(pump) => (pump.clone(), false),
            None => {
                let reader = member.subscriber.reader();
                let (members, thread) = (RefCell::default(), RefCell::default());
                let pump = Rc::new(Pump { key, encode: member.encode, reader, members, thread });
                pumps.insert(key, pump.clone());
                (pump, true)
            }
        });
        let mut members = pump.members.borrow_mut();
        member.at.set(members.len() as u32);
        members.push(member.clone());
        member.state.set(State::Current);
        drop(members);
        if fresh {
            let theirs = Gone(pump.clone());
            let builder = thread::Builder::new().name("http-follow".into());
            // OK to ignore the error: then `Gone` has cut the members.
            *pump.thread.borrow_mut() = builder.spawn_local(move || theirs.0.run()).ok();
        }
    }

    fn leave(member: &Member) {
        let pump = PUMPS.with_borrow(|pumps| pumps.get(&Pump::key_of(member)).cloned());
        let Some(pump) = pump else { return };
        let mut members = pump.members.borrow_mut();
        let at = member.at.get() as usize;
        if !members.get(at).is_some_and(|it| std::ptr::eq(&**it, member)) {
            return;
        }
        let left = members.swap_remove(at);
        if let Some(moved) = members.get(at) {
            moved.at.set(at as u32);
        }
        let empty = members.is_empty();
        drop(members);
        drop(left); // not the last count: somebody calls us
        if empty {
            pump.forget();
            if let Some(thread) = &*pump.thread.borrow() {
                thread.cancel();
            }
        }
    }

    /// Nobody finds it any more.
    fn forget(&self) {
        PUMPS.with_borrow_mut(|pumps| {
            if pumps.get(&self.key).is_some_and(|it| std::ptr::eq(&**it, self)) {
                pumps.remove(&self.key);
            }
        });
    }

    fn run(&self) {
        let mut batch = Batch::default();
        let mut next = self.wait();
        loop {
            next = match next {
                Ok(message) => {
                    batch.begin(&message, self.encode);
                    let then = loop {
                        match self.reader.try_recv() {
                            Ok(message) if batch.chunks.len() < COLLECT => {
                                batch.add(&message, self.encode)
                            }
                            other => break other,
                        }
                    };
                    self.each(|member| member.deliver(&batch));
                    match then {
                        Err(RecvError::Empty) => self.wait(),
                        then => then,
                    }
                }
                Err(RecvError::Timeout) => {
                    self.each(Member::deliver_comment);
                    self.wait()
                }
                Err(RecvError::Lagged { .. }) => {
                    // So they all are, and each is seen to as it wants it.
                    self.each(|member| member.fall_behind(Vec::new()));
                    self.wait()
                }
                Err(_) => return self.each(Member::deliver_end),
            };
        }
    }

    fn wait(&self) -> Result<Message, RecvError> {
        match self.key.1 {
            Some(every) => self.reader.recv_timeout(every),
            None => self.reader.recv(),
        }
    }

    /// Calls `f` with each member, from the last to the first, so that those who leave and join meanwhile disturb nobody:
    /// whoever takes the place of one that left comes from behind, where everybody was served.
    fn each(&self, f: impl Fn(&Rc<Member>)) {
        let mut at = self.members.borrow().len();
        for served in 1.. {
            let members = self.members.borrow();
            at = at.min(members.len());
            if at == 0 {
                return;
            }
            at -= 1;
            let member = members[at].clone();
            drop(members);
            f(&member);
            drop(member);
            if served % AT_ONCE == 0 {
                thread::yield_now();
            }
        }
    }
}

/// The end of a pump's thread, however it comes: members that are left have nobody.
struct Gone(Rc<Pump>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.forget();
        let left = self.0.members.take();
        for member in left {
            member.state.set(State::Behind);
            member.end(End::Cut);
        }
    }
}
